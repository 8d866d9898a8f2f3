//! A histogram as it lies in a column: HdrHistogram's V2 encoding, not compressed (Parquet does that), so that other
//! tools' libraries read it. Three significant digits, from 1 ns up.
//!
//! In memory it is the counted values alone, in order: the dense array of the libraries takes a hundred kilobytes, and a
//! minute of one stage and slice has a few dozen values.

use datafusion::common::{Result, exec_datafusion_err};

use super::SIGNIFICANT_DIGITS;

const COOKIE: u32 = 0x1c84_9303 | 0x10;
const HEADER_BYTES: usize = 40;
/// 2,048 sub-buckets hold three digits; above the first bucket the upper half of them is new.
const SUB_BUCKETS_LOG2: u32 = 11;
const HALF: u64 = 1 << (SUB_BUCKETS_LOG2 - 1);
/// Places in the array of counts.
pub const PLACES: u32 = (64 - SUB_BUCKETS_LOG2 + 2) << (SUB_BUCKETS_LOG2 - 1);
/// Pairs that wait before they are put in order.
const WAITING_MAX: usize = 1_024;

/// How often each value was counted; values that the digits do not tell apart are one.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Place in the array of counts, and the count; in order.
    counts: Vec<(u32, u64)>,
    waiting: Vec<(u32, u64)>,
}

impl Histogram {
    pub fn add(&mut self, value: u64, count: u64) {
        self.waiting.push((index(value), count));
        if self.waiting.len() >= WAITING_MAX {
            self.sort();
        }
    }

    /// Brings what waits into `counts`.
    fn sort(&mut self) {
        self.counts.append(&mut self.waiting);
        self.counts.sort_unstable_by_key(|(index, _)| *index);
        self.counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }

    pub fn bytes(&self) -> usize {
        (self.counts.capacity() + self.waiting.capacity()) * size_of::<(u32, u64)>()
    }

    /// `None` where nothing was counted.
    pub fn encode(&mut self) -> Option<Vec<u8>> {
        self.sort();
        let (last, _) = self.counts.last()?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 3 * self.counts.len());
        for word in [COOKIE, 0, 0, u32::from(SIGNIFICANT_DIGITS)] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&highest(*last).max(2).to_be_bytes());
        bytes.extend_from_slice(&1_f64.to_be_bytes());
        let mut next = 0;
        for (index, count) in &self.counts {
            match index - next {
                0 => {}
                1 => write(0, &mut bytes),
                zeros => write(-i64::from(zeros), &mut bytes),
            }
            write(i64::try_from(*count).unwrap_or(i64::MAX), &mut bytes);
            next = index + 1;
        }
        let payload = u32::try_from(bytes.len() - HEADER_BYTES).unwrap_or(u32::MAX);
        bytes[4..8].copy_from_slice(&payload.to_be_bytes());
        Some(bytes)
    }
}

/// Calls `each` with the values of an encoded histogram, as the greatest that its digits do not tell apart, and their counts.
pub fn decode(bytes: &[u8], mut each: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
    decode_places(bytes, |place, count| each(highest(place), count))
}

/// The same with their places in the array of counts, which are less than [`PLACES`].
pub fn decode_places(bytes: &[u8], mut each: impl FnMut(u32, u64) -> Result<()>) -> Result<()> {
    let bad = || exec_datafusion_err!("not a histogram of hdr_histogram: HdrHistogram V2 with three digits");
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let is_ours = word(0) == Some(COOKIE)
        && word(12) == Some(SIGNIFICANT_DIGITS.into())
        && bytes.get(16..24) == Some(&1_u64.to_be_bytes());
    let mut rest = bytes.get(HEADER_BYTES..).filter(|_| is_ours).ok_or_else(bad)?;
    let mut index = 0_u32;
    while !rest.is_empty() {
        match read(&mut rest).ok_or_else(bad)? {
            zeros if zeros < 0 => {
                let zeros = u32::try_from(zeros.unsigned_abs()).map_err(|_| bad())?;
                index = index.checked_add(zeros).ok_or_else(bad)?;
            }
            count => {
                if index >= PLACES {
                    return Err(bad());
                }
                if count > 0 {
                    each(index, count.unsigned_abs())?;
                }
                index = index.checked_add(1).ok_or_else(bad)?;
            }
        }
    }
    Ok(())
}

/// The place of a value in the array of counts.
pub fn index(value: u64) -> u32 {
    let bucket = 64 - SUB_BUCKETS_LOG2 - (value | (2 * HALF - 1)).leading_zeros();
    let sub = value >> bucket;
    (u64::from(bucket) * HALF + sub) as u32
}

/// The greatest value at that place.
pub fn highest(index: u32) -> u64 {
    let index = u64::from(index);
    if index < 2 * HALF {
        return index;
    }
    let bucket = (index / HALF - 1).min(u64::from(64 - SUB_BUCKETS_LOG2));
    let sub = index - bucket * HALF;
    // The last bucket ends where the numbers do.
    (sub << bucket) | ((1 << bucket) - 1)
}

/// Zig-zag, then seven bits a byte; a ninth byte has eight.
fn write(number: i64, bytes: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for _ in 0..8 {
        if rest < 0x80 {
            bytes.push(rest as u8);
            return;
        }
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn read(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if place == 8 {
            value |= u64::from(*byte) << 56;
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(bytes: &[u8]) -> Vec<(u64, u64)> {
        let mut pairs = Vec::new();
        decode(bytes, |value, count| {
            pairs.push((value, count));
            Ok(())
        })
        .expect("a histogram");
        pairs
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_library_counts(
            values in prop::collection::vec(0_u64..i64::MAX.unsigned_abs(), 1..3_000),
            shift in 0_u32..63,
            count in 1_u64..(1 << 40),
        ) {
            let mut ours = Histogram::default();
            let mut library = hdrhistogram::Histogram::<u64>::new(SIGNIFICANT_DIGITS).expect("a histogram");
            library.auto(true);
            for value in values.iter().map(|v| v >> shift) {
                ours.add(value, count);
                library.record_n(value, count).expect("recorded");
            }
            let theirs: Vec<(u64, u64)> =
                library.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
            prop_assert_eq!(counted(&ours.encode().expect("values")), theirs);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..100), ours in any::<bool>()) {
            let mut histogram = Histogram::default();
            histogram.add(5, 1);
            let header = histogram.encode().expect("a value")[..HEADER_BYTES].to_vec();
            let bytes = if ours { [header, bytes].concat() } else { bytes };
            let _ = decode(&bytes, |_, _| Ok(()));
        }
    }

    /// As HdrHistogram's own V2 serialiser writes it.
    #[test]
    fn the_encoding_is_v2() {
        let mut histogram = Histogram::default();
        histogram.add(1, 1);
        histogram.add(3, 300);
        histogram.add(100_000, 2);
        let bytes = histogram.encode().expect("values");
        let written = "1c849313 00000008 00000000 00000003 0000000000000001 00000000000186bf 3ff0000000000000 0002 00d804 ab78 04";
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, written.replace(' ', ""));
        assert_eq!(counted(&bytes), [(1, 1), (3, 300), (100_031, 2)]);
    }
}
