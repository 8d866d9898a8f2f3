//! What is whole in a damaged log comes back; what is damaged is named, and kept.

use plimsoll_store::StoreError;
use plimsoll_store::files::Files;
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Restart};
use plimsoll_store::wal::{Salvaged, salvage};
use proptest::prelude::*;

use super::damage::{HEADER, corrupt, small_log};
use super::{append, folder, open, requests, segments};

fn kept_of(salvaged: &[Salvaged], files: &FaultyFiles) -> Vec<Vec<u8>> {
    salvaged.iter().map(|s| files.read(&s.kept_as).expect("kept")).collect()
}

#[test]
fn one_flipped_bit_costs_the_record_that_it_is_in() {
    let len = *small_log().1.last().expect("ends");
    for bit in 0..len * 8 {
        let (files, ends) = small_log();
        corrupt(&files, 0, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let case = format!("bit {} of byte {}", bit % 8, bit / 8);
        let Err(StoreError::DamagedWal { path, .. }) = open(&files) else { continue };
        let damaged = files.read(&path).expect("there");
        let salvaged = salvage(&files, folder()).unwrap_or_else(|e| panic!("{case}: {e}"));
        let lost = ends.iter().position(|end| bit / 8 < *end).expect("within") as u64;
        let whole: Vec<u64> = (1..=5).filter(|n| *n != lost).collect();
        assert_eq!((salvaged.len(), salvaged[0].records), (1, whole.len() as u64), "{case}");
        assert!(salvaged[0].damaged.iter().any(|range| range.contains(&(bit as u64 / 8))), "{case}");
        assert_eq!(kept_of(&salvaged, &files), [damaged], "{case}");
        let (mut wal, records) = open(&files).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(requests(&records), whole, "{case}");
        append(&mut wal, [9]).expect("goes on");
        let (_, records) = open(&files).expect("opens");
        assert_eq!(requests(&records), [whole, vec![9]].concat(), "{case}");
    }
}

#[test]
fn a_log_that_is_whole_is_left_alone() {
    let (files, ends) = small_log();
    assert_eq!(salvage(&files, folder()).expect("reads"), []);
    // A torn end is what every crash leaves.
    corrupt(&files, 0, |bytes| bytes.truncate(ends[5] - 1));
    assert_eq!(salvage(&files, folder()).expect("reads"), []);
    assert_eq!(requests(&open(&files).expect("opens").1), [1, 2, 3, 4]);
    assert_eq!(salvage(&FaultyFiles::new(0), folder()).expect("nothing there"), []);
}

#[test]
fn damage_in_several_segments_is_named_in_each() {
    let files = FaultyFiles::new(0);
    let (mut wal, _) = open(&files).expect("new");
    (1..=9).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("no fault"), n));
    assert_eq!(segments(&files).len(), 3);
    for segment in [0, 1] {
        corrupt(&files, segment, |bytes| bytes[HEADER + 9] ^= 1);
    }
    let salvaged = salvage(&files, folder()).expect("salvages");
    assert_eq!(salvaged.len(), 2);
    let left = requests(&open(&files).expect("opens").1);
    assert_eq!(left.len(), 7, "{left:?}");
}

#[test]
fn what_a_segment_held_before_it_was_written_over_stays_forgotten() {
    let files = FaultyFiles::new(0);
    let (mut wal, _) = open(&files).expect("new");
    (1..=9).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("no fault"), n));
    wal.delete_through(8).expect("there");
    // Into a segment that was let go of, and not to its end.
    (10..=12).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("no fault"), n));
    drop(wal);
    let last =
        segments(&files).into_iter().rfind(|path| path.extension().is_some_and(|e| e == "log")).expect("one");
    files.corrupt(&last, |bytes| bytes[HEADER + 9] ^= 1).expect("there");
    let salvaged = salvage(&files, folder()).expect("salvages");
    assert_eq!((salvaged.len(), salvaged[0].records, salvaged[0].damaged.len()), (1, 1, 1), "{salvaged:?}");
    assert_eq!(requests(&open(&files).expect("opens").1), [8, 9, 10, 12]);
}

#[test]
fn an_interrupted_salvage_is_ended_by_the_next() {
    let damaged = || {
        let (files, ends) = small_log();
        corrupt(&files, 0, |bytes| bytes[ends[2] + 9] ^= 1);
        files
    };
    let first = damaged();
    let before = first.operations();
    salvage(&first, folder()).expect("salvages");
    for operation in before..first.operations() {
        for seed in 0..8 {
            let (files, ends) = super::damage::small_log_of(seed);
            corrupt(&files, 0, |bytes| bytes[ends[2] + 9] ^= 1);
            files.fail_at(operation - before + files.operations(), Fault::Crash);
            let interrupted = salvage(&files, folder());
            files.restart(Restart::PowerLost);
            let again = salvage(&files, folder());
            assert!(again.is_ok(), "operation {operation}: {interrupted:?}, then {again:?}");
            let (_, records) = open(&files).unwrap_or_else(|e| panic!("operation {operation}: {e}"));
            assert_eq!(requests(&records), [1, 2, 4, 5], "operation {operation}, seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_damaged_the_rest_survives(at in HEADER..400_usize, len in 1..60_usize, byte in any::<u8>()) {
        let (files, ends) = small_log();
        let path = segments(&files)[0].clone();
        let then = files.read(&path).expect("there");
        corrupt(&files, 0, |bytes| bytes.iter_mut().skip(at).take(len).for_each(|b| *b = byte));
        let now = files.read(&path).expect("there");
        let whole: Vec<u64> =
            (1..=5).filter(|n| now[ends[*n - 1]..ends[*n]] == then[ends[*n - 1]..ends[*n]]).map(|n| n as u64).collect();
        salvage(&files, folder()).expect("salvages");
        let found = requests(&open(&files).expect("opens").1);
        // A torn end is cut off with its group, as at every start.
        prop_assert!(found == whole || whole.starts_with(&found) && found.len() + 2 >= whole.len(), "{found:?} of {whole:?}");
    }
}
