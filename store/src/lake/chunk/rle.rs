//! Parquet's hybrid of run lengths and bit-packed groups, for numbers that are all there at once.
//!
//! `run: varint(count << 1), value` in as many bytes as the width takes; `groups: varint(groups of eight << 1 | 1), bits`. The
//! last group may be filled up with zeros.

/// What it costs to break off packing for a run: a header and a value for it, and a header for what comes after it.
const BREAK_BITS: usize = 32;

/// How many bits tell so many words apart.
pub fn bit_width(words: usize) -> u8 {
    (usize::BITS - words.saturating_sub(1).leading_zeros()) as u8
}

/// Appends `values`, each of which fits in `bit_width` bits (at most 32).
pub fn encode(values: &[u32], bit_width: u8, out: &mut Vec<u8>) {
    // A shorter run costs more than its bits, and what is packed compresses better when nothing is in between.
    let run_min = BREAK_BITS.div_ceil(usize::from(bit_width).max(1)).max(8);
    let mut packed_from = 0;
    let mut at = 0;
    while at < values.len() {
        let run = run_length(&values[at..]);
        // Groups are whole: what is packed before a run takes as much of it as fills its last group.
        let filling = (at - packed_from).next_multiple_of(8) - (at - packed_from);
        if run >= run_min + filling {
            groups(&values[packed_from..at + filling], bit_width, out);
            encode_run(values[at], run - filling, bit_width, out);
            packed_from = at + run;
        }
        at += run;
    }
    groups(&values[packed_from..], bit_width, out);
}

/// Appends `value` so many times.
pub fn encode_run(value: u32, times: usize, bit_width: u8, out: &mut Vec<u8>) {
    varint((times as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(bit_width).div_ceil(8)]);
}

/// How many of the first values are equal.
fn run_length(values: &[u32]) -> usize {
    values.iter().take_while(|v| **v == values[0]).count()
}

fn groups(values: &[u32], bit_width: u8, out: &mut Vec<u8>) {
    if !values.is_empty() {
        varint((values.len().div_ceil(8) as u64) << 1 | 1, out);
        pack(values, bit_width, out);
    }
}

/// Appends the bits of `values`, filled up to a multiple of eight of them.
pub fn pack(values: &[u32], bit_width: u8, out: &mut Vec<u8>) {
    let end = out.len() + values.len().div_ceil(8) * usize::from(bit_width);
    let (mut bits, mut filled) = (0_u64, 0);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += bit_width;
        if filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes());
    // The rest of the last group is zeros, and so is what was written beyond it.
    out.resize(end, 0);
}

pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the format's words, one value at a time.
    fn decode(mut bytes: &[u8], bit_width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let (byte, rest) = bytes.split_first().expect("a header");
                bytes = rest;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if *byte < 0x80 {
                    break;
                }
            }
            let n = (header >> 1) as usize;
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(usize::from(bit_width).div_ceil(8));
                let value = value.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
                values.extend(std::iter::repeat_n(value, n));
                bytes = rest;
            } else {
                let (group, rest) = bytes.split_at(n * usize::from(bit_width));
                values.extend((0..n * 8).map(|i| {
                    let bits = (0..usize::from(bit_width)).map(|b| (b, i * usize::from(bit_width) + b));
                    bits.fold(0, |v, (b, at)| v | u32::from(group[at / 8] >> (at % 8) & 1) << b)
                }));
                bytes = rest;
            }
        }
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        assert!(values[count..].iter().all(|v| *v == 0));
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            bit_width in 0_u8..=32,
            runs in proptest::collection::vec((any::<u32>(), prop_oneof![1_usize..4, 1_usize..40]), 0..40),
        ) {
            let mask = if bit_width == 32 { u32::MAX } else { (1 << bit_width) - 1 };
            let values: Vec<u32> =
                runs.into_iter().flat_map(|(value, n)| std::iter::repeat_n(value & mask, n)).collect();
            let mut bytes = Vec::new();
            encode(&values, bit_width, &mut bytes);
            prop_assert_eq!(decode(&bytes, bit_width, values.len()), values);
        }
    }
}
