//! Which small files become one. Files of a partition lie on levels by their size; as soon as a level has enough of them they
//! go up together. So a row is written again once for each level, however slowly its partition grows. Of a day that is over
//! nothing more is waited for: what is small there becomes one.

/// Bytes up to which a file is on a level; above the last it stays as it is.
const LEVELS: [u64; 2] = [512 << 10, 16 << 20];
/// That many files of one level go up: from one level's bound to the next.
const FILES_PER_LEVEL: usize = 32;
/// Rows that one merge takes.
pub const ROWS_PER_MERGE: u64 = 2_000_000;

/// A file as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized {
    pub bytes: u64,
    pub rows: u64,
}

/// Of the files of one partition, those that should become one; fewer than two are none.
pub fn to_join(files: &[Sized], is_day_over: bool) -> Vec<usize> {
    let level = |file: &Sized| LEVELS.iter().position(|most| file.bytes < *most);
    let fits = |mut of_level: Vec<usize>| {
        // The smallest first: what is left for the next merge is nearer to being done.
        of_level.sort_by_key(|at| files[*at].bytes);
        let mut rows = 0;
        of_level.retain(|at| {
            rows += files[*at].rows;
            rows <= ROWS_PER_MERGE
        });
        of_level
    };
    if is_day_over {
        let small = (0..files.len()).filter(|at| level(&files[*at]).is_some()).collect();
        return Some(fits(small)).filter(|files| files.len() > 1).unwrap_or_default();
    }
    for wanted in 0..LEVELS.len() {
        let of_level: Vec<usize> = (0..files.len()).filter(|at| level(&files[*at]) == Some(wanted)).collect();
        if of_level.len() >= FILES_PER_LEVEL {
            let files = fits(of_level);
            if files.len() > 1 {
                return files;
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes files of these sizes into one partition, joins what should be, and answers what is left and the bytes that
    /// were written again, by bytes that came.
    fn grow(sizes: &[u64], is_over: bool) -> (Vec<Sized>, f64) {
        let (mut files, mut again, mut came) = (Vec::new(), 0, 0);
        for bytes in sizes {
            files.push(Sized { bytes: *bytes, rows: bytes / 35 });
            came += bytes;
            for over in [false, is_over && came == sizes.iter().sum::<u64>()] {
                loop {
                    let joined = to_join(&files, over);
                    if joined.is_empty() {
                        break;
                    }
                    let sum = |of: fn(&Sized) -> u64| joined.iter().map(|at| of(&files[*at])).sum::<u64>();
                    let one = Sized { bytes: sum(|f| f.bytes), rows: sum(|f| f.rows) };
                    again += one.bytes;
                    let mut at = 0;
                    files.retain(|_| (!joined.contains(&at), at += 1).0);
                    files.push(one);
                }
            }
        }
        (files, again as f64 / came.max(1) as f64)
    }

    #[test]
    fn of_a_day_that_is_over_little_is_left() {
        let a_file_each_minute = [40_000; 1_440];
        let (files, again) = grow(&a_file_each_minute, true);
        assert!(files.len() <= 2, "{files:?}");
        assert!(again < 3.0, "{again}");
    }

    #[test]
    fn large_files_are_left_alone() {
        assert!(to_join(&[Sized { bytes: 64 << 20, rows: 1 }; 100], false).is_empty());
        assert!(to_join(&[Sized { bytes: 64 << 20, rows: 1 }; 100], true).is_empty());
        assert!(to_join(&[Sized { bytes: 1, rows: 1 }], true).is_empty());
    }

    proptest! {
        #[test]
        fn files_stay_few_and_rows_are_written_again_seldom(
            sizes in prop::collection::vec(16_384_u64..40_000_000, 1..400),
            is_over in any::<bool>(),
        ) {
            let (files, again) = grow(&sizes, is_over);
            let small = files.iter().filter(|f| f.bytes < LEVELS[1]).count();
            let total: u64 = sizes.iter().sum();
            prop_assert_eq!(files.iter().map(|f| f.bytes).sum::<u64>(), total, "nothing is lost");
            let most = if is_over { 1 } else { LEVELS.len() * (FILES_PER_LEVEL - 1) };
            prop_assert!(small <= most, "{small} small files");
            // Each level once, and once more when the day is over.
            prop_assert!(again <= LEVELS.len() as f64 + f64::from(u8::from(is_over)), "{again}");
        }
    }
}
