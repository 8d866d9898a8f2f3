//! Parquet's DELTA_BINARY_PACKED, for the lengths of texts: most are alike, and then take a few bits in all.

use super::rle;

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;

/// Appends `values`.
pub fn encode(values: &[u32], out: &mut Vec<u8>) {
    rle::varint(BLOCK as u64, out);
    rle::varint(MINIBLOCKS as u64, out);
    rle::varint(values.len() as u64, out);
    zigzag(values.first().copied().unwrap_or(0).into(), out);
    let deltas: Vec<i64> = values.windows(2).map(|pair| i64::from(pair[1]) - i64::from(pair[0])).collect();
    for block in deltas.chunks(BLOCK) {
        let min = block.iter().copied().min().unwrap_or(0);
        zigzag(min, out);
        let widths = out.len();
        out.extend_from_slice(&[0; MINIBLOCKS]);
        for (i, miniblock) in block.chunks(BLOCK / MINIBLOCKS).enumerate() {
            // Lengths are below 2³¹, so that no two differences are further apart than 32 bits say.
            let mut above = [0; BLOCK / MINIBLOCKS];
            above.iter_mut().zip(miniblock).for_each(|(above, delta)| *above = (delta - min) as u32);
            let width = above.iter().map(|v| u32::BITS - v.leading_zeros()).max().unwrap_or(0) as u8;
            out[widths + i] = width;
            rle::pack(&above, width, out);
        }
    }
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    rle::varint(((value << 1) ^ (value >> 63)) as u64, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().expect("a byte");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                return value;
            }
        }
    }

    fn zigzag(bytes: &mut &[u8]) -> i64 {
        let value = varint(bytes);
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    /// By the format's words, one bit at a time.
    fn decode(mut bytes: &[u8]) -> Vec<u32> {
        let bytes = &mut bytes;
        let (block, miniblocks, count) =
            (varint(bytes) as usize, varint(bytes) as usize, varint(bytes) as usize);
        let mut last = zigzag(bytes);
        let mut values = vec![last as u32];
        while values.len() < count {
            let min = zigzag(bytes);
            let (widths, rest) = bytes.split_at(miniblocks);
            *bytes = rest;
            for width in widths.iter().map(|w| usize::from(*w)) {
                if values.len() >= count {
                    break;
                }
                let (packed, rest) = bytes.split_at(block / miniblocks * width / 8);
                *bytes = rest;
                for i in 0..block / miniblocks {
                    let bit = |b| i64::from(packed[(i * width + b) / 8] >> ((i * width + b) % 8) & 1) << b;
                    last += min + (0..width).map(bit).sum::<i64>();
                    values.push(last as u32);
                }
            }
        }
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            values in prop_oneof![
                proptest::collection::vec(0..40_u32, 1..700),
                proptest::collection::vec(0..=i32::MAX as u32, 1..300),
            ],
        ) {
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            prop_assert_eq!(decode(&bytes), values);
        }
    }
}
