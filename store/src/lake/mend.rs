//! Data files that rotted: every byte is read and checked, and a bit that is flipped is flipped back.
//!
//! CRC-32C tells which one it is: no other single bit of so few bytes changes the sum so, nor do any two. More damage than that is
//! named and stays, but for the one time in a hundred thousand, of a block of 4 KiB, in which its sum is that of a single bit.
//!
//! Nothing is thrown away: what a file was before it was mended stays, as `<table>/_damaged/<its path in the table>.damaged`. No reader takes
//! that for data, whether it goes by the table's log or by names, and no vacuum looks into a folder that begins with an underscore. (Beside
//! its file it would go with delta-rs' full vacuum, for which only folders of the table itself are hidden.)

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use plimsoll_schemas::table::Table;

use super::checksums::{Blocks, Tail};
use super::table::LakeTable;
use crate::error::StoreError;
use crate::home::{Created, Home};
use crate::snapshot::DataFile;

/// The polynomial of CRC-32C, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What was found in the data files of a home.
#[derive(Debug, Default)]
pub struct Mended {
    /// Files of which every byte was checked, the mended ones too.
    pub whole: usize,
    /// Files of other writers, and of older versions of us.
    pub unchecked: usize,
    pub damaged: Vec<Damage>,
}

/// What was wrong with one file.
#[derive(Debug)]
pub struct Damage {
    pub file: PathBuf,
    pub rows: u64,
    /// Where it is as it was before it was mended, if anything was.
    pub kept_as: Option<PathBuf>,
    /// Bytes in which a bit was flipped, and is as it was again.
    pub mended: Vec<u64>,
    /// Bytes that are not what was written, and stay so.
    pub lost: Vec<Range<u64>>,
}

/// Checks every data file, and writes those again of which something can be mended: under their names, as they were.
pub async fn mend(home: &Home) -> Result<Mended, StoreError> {
    let mut found = Mended::default();
    for table in Table::ALL {
        let is_there = !home.list(&format!("{}/_delta_log", table.as_str())).await?.is_empty();
        if !is_there {
            continue;
        }
        for file in LakeTable::open_to_read(home, table).await?.files().iter() {
            check(home, file, &mut found).await?;
        }
    }
    Ok(found)
}

async fn check(home: &Home, file: &DataFile, found: &mut Mended) -> Result<(), StoreError> {
    let Some(tail) = file.object.tail() else {
        found.unchecked += 1;
        return Ok(());
    };
    let name = file.object.name();
    let bytes = home.get(name).await?.unwrap_or_default();
    let mut bytes = Vec::from(bytes);
    let (mended, lost) = mend_bytes(&mut bytes, file.size_bytes, tail);
    let mut kept_as = None;
    if !mended.is_empty() {
        kept_as = Some(keep(home, name).await?);
        home.put(name, bytes.into()).await?;
    }
    found.whole += usize::from(lost.is_empty());
    if !mended.is_empty() || !lost.is_empty() {
        found.damaged.push(Damage { file: home.name(name), rows: file.rows, kept_as, mended, lost });
    }
    Ok(())
}

/// Makes a copy of a damaged file; answers where it is. It may be there already, if a crash kept the file from being mended then; a copy
/// of earlier damage stays beside it.
async fn keep(home: &Home, name: &str) -> Result<PathBuf, StoreError> {
    let (table, path) = name.split_once('/').unwrap_or(("", name));
    let damaged = home.get(name).await?.unwrap_or_default();
    let mut nth = 1;
    loop {
        let number = if nth > 1 { format!("{nth}.") } else { String::new() };
        let kept_as = format!("{table}/_damaged/{path}.{number}damaged");
        let made = home.create(&kept_as, damaged.clone()).await?;
        if made != Created::Taken || home.get(&kept_as).await?.is_some_and(|there| there == damaged) {
            return Ok(home.name(&kept_as));
        }
        nth += 1;
    }
}

/// Flips back what can be; answers where that was, and what else is not as it was written.
fn mend_bytes(bytes: &mut [u8], size_bytes: u64, tail: Tail) -> (Vec<u64>, Vec<Range<u64>>) {
    let all = size_bytes.max(bytes.len() as u64);
    let begin = size_bytes.saturating_sub(tail.bytes) as usize;
    let mut lost = Vec::new();
    if bytes.len() as u64 != size_bytes || begin as u64 + tail.bytes != size_bytes {
        lost.push(0..all);
        return (Vec::new(), lost);
    }
    let mut mended = Vec::new();
    let mut part = |bytes: &mut [u8], at: usize, crc32c: u32| {
        match flip_back(bytes, crc32c) {
            Some(None) => return true,
            Some(Some(byte)) => mended.push((at + byte) as u64),
            None => {
                lost.push(at as u64..(at + bytes.len()) as u64);
                return false;
            }
        }
        true
    };
    let (data, footer) = bytes.split_at_mut(begin);
    let is_footer_whole = part(footer, begin, tail.crc32c);
    let blocks = if is_footer_whole { blocks_of(footer, size_bytes).ok().flatten() } else { None };
    match blocks.as_ref().and_then(|blocks| Some((blocks.block_bytes(), blocks.sums(data.len())?))) {
        Some((block_bytes, sums)) => {
            let mut at = 0;
            for (block, crc32c) in data.chunks_mut(block_bytes).zip(sums) {
                part(block, at, *crc32c);
                at += block.len();
            }
        }
        // Without its footer nothing is known of the rest.
        None => lost.push(0..begin as u64),
    }
    (mended, lost)
}

fn blocks_of(footer: &[u8], size_bytes: u64) -> Result<Option<Blocks>, ParquetError> {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse_sized(&Bytes::copy_from_slice(footer), size_bytes)?;
    Blocks::of(&reader.finish()?)
}

/// Makes the sum of some bytes what it should be; answers which byte it changed, if it had to. `None` where no single bit does it.
fn flip_back(bytes: &mut [u8], crc32c: u32) -> Option<Option<usize>> {
    let wanted = crc32c::crc32c(bytes) ^ crc32c;
    if wanted == 0 {
        return Some(None);
    }
    // By how much the sum changes with each bit of the byte at hand, from the last one on. Sums are linear.
    let mut changes: [u32; 8] = std::array::from_fn(|bit| shifted(1 << bit));
    for at in (0..bytes.len()).rev() {
        if let Some(bit) = changes.iter().position(|change| *change == wanted) {
            bytes[at] ^= 1 << bit;
            return Some(Some(at));
        }
        changes = changes.map(shifted);
    }
    None
}

/// A remainder with eight zeros behind it.
fn shifted(remainder: u32) -> u32 {
    (0..8).fold(remainder, |r, _| if r & 1 == 1 { (r >> 1) ^ POLYNOMIAL } else { r >> 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_bit_is_flipped_back_and_two_are_left(
            whole in proptest::collection::vec(any::<u8>(), 1..6_000),
            one: prop::sample::Index,
            other: prop::sample::Index,
        ) {
            let sum = crc32c::crc32c(&whole);
            let mut bytes = whole.clone();
            prop_assert_eq!(flip_back(&mut bytes, sum), Some(None));
            let (one, other) = (one.index(whole.len() * 8), other.index(whole.len() * 8));
            bytes[one / 8] ^= 1 << (one % 8);
            prop_assert_eq!(flip_back(&mut bytes, sum), Some(Some(one / 8)));
            prop_assert_eq!(&bytes, &whole);
            if one != other {
                bytes[one / 8] ^= 1 << (one % 8);
                bytes[other / 8] ^= 1 << (other % 8);
                let before = bytes.clone();
                prop_assert_eq!(flip_back(&mut bytes, sum), None);
                prop_assert_eq!(bytes, before);
            }
        }
    }
}
