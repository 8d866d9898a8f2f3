//! CRC-32C of every byte of a data file. Parquet has a place for those of pages alone, and none for their headers and the footer.
//!
//! The data, up to the page index, is summed by blocks, of which the footer says the sums (a key of its key-value metadata:
//! `<bytes a block>:<bytes of data>:<base64 of little-endian u32s>`). The rest, page index and footer, is the file's tail: how
//! long it is and its sum stand with the file in the Delta log (a tag of its `add`: `<bytes>:<sum, hexadecimal>`). Files of other writers
//! have neither, and are read as they are.

use std::ops::Range;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, ParquetMetaData};

/// In the footer.
const KEY: &str = "plimsoll.crc32c";
/// In the Delta log.
pub const TAG: &str = "plimsoll.tail";
/// A page of most columns is smaller, and is read with all of the blocks that it lies in.
const BLOCK_BYTES: usize = 4 * 1024;

/// The tail of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    pub bytes: u64,
    pub crc32c: u32,
}

/// The sums of a file that is being written.
#[derive(Debug, Default)]
pub struct Summing {
    /// Of the blocks so far, as the footer says them.
    blocks: Vec<u8>,
    data_bytes: u64,
    is_tail: bool,
    /// Of the block that is not full yet, or of the tail.
    bytes: u64,
    crc32c: u32,
}

impl Summing {
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = if self.is_tail { bytes.len() } else { BLOCK_BYTES - self.bytes as usize };
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.crc32c = crc32c::crc32c_append(self.crc32c, now);
            self.bytes += now.len() as u64;
            if !self.is_tail && self.bytes == BLOCK_BYTES as u64 {
                self.end_block();
            }
            bytes = later;
        }
    }

    fn end_block(&mut self) {
        self.blocks.extend_from_slice(&self.crc32c.to_le_bytes());
        self.data_bytes += self.bytes;
        (self.bytes, self.crc32c) = (0, 0);
    }

    /// What the footer is to say: all data was added, and what comes is the tail.
    pub fn end_data(&mut self) -> KeyValue {
        if self.bytes > 0 {
            self.end_block();
        }
        self.is_tail = true;
        let sums = BASE64_STANDARD.encode(std::mem::take(&mut self.blocks));
        KeyValue::new(KEY.to_owned(), format!("{BLOCK_BYTES}:{}:{sums}", self.data_bytes))
    }

    pub fn tail(&self) -> Tail {
        Tail { bytes: self.bytes, crc32c: self.crc32c }
    }
}

impl Tail {
    pub fn to_tag(self) -> String {
        format!("{}:{:08x}", self.bytes, self.crc32c)
    }

    pub fn from_tag(tag: &str) -> Option<Self> {
        let (bytes, crc32c) = tag.split_once(':')?;
        Some(Self { bytes: bytes.parse().ok()?, crc32c: u32::from_str_radix(crc32c, 16).ok()? })
    }

    pub fn check(self, bytes: &[u8]) -> Result<()> {
        match bytes.len() as u64 == self.bytes && crc32c::crc32c(bytes) == self.crc32c {
            true => Ok(()),
            false => Err(damaged("its page index or footer")),
        }
    }
}

/// The sums of a file's data.
#[derive(Debug)]
pub struct Blocks {
    block_bytes: u64,
    data_bytes: u64,
    crc32cs: Vec<u32>,
}

impl Blocks {
    /// `None` of a file that says nothing of them.
    pub fn of(metadata: &ParquetMetaData) -> Result<Option<Self>> {
        let said = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let Some(said) = said.filter(|said| said.key == KEY).find_map(|said| said.value.as_deref()) else {
            return Ok(None);
        };
        Self::parse(said).map(Some).ok_or_else(|| damaged(format_args!("{KEY} in its footer")))
    }

    fn parse(said: &str) -> Option<Self> {
        let mut parts = said.splitn(3, ':');
        let (block_bytes, data_bytes) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u64>().ok()?);
        let sums = BASE64_STANDARD.decode(parts.next()?).ok()?;
        let crc32cs: Vec<u32> = sums
            .chunks(4)
            .map(|sum| sum.try_into().map(u32::from_le_bytes))
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        let is_whole = block_bytes > 0 && data_bytes.div_ceil(block_bytes) == crc32cs.len() as u64;
        is_whole.then_some(Self { block_bytes, data_bytes, crc32cs })
    }

    pub fn memory_bytes(&self) -> usize {
        self.crc32cs.len() * size_of::<u32>()
    }

    pub fn block_bytes(&self) -> usize {
        usize::try_from(self.block_bytes).unwrap_or(usize::MAX)
    }

    /// Of its blocks; `None` if that is not how many bytes of data there are.
    pub fn sums(&self, data_bytes: usize) -> Option<&[u32]> {
        (data_bytes as u64 == self.data_bytes).then_some(&self.crc32cs)
    }

    /// What is to be read, so that the range can be checked: all of the blocks that it is in. A range beyond the data stays.
    pub fn around(&self, range: &Range<u64>) -> Range<u64> {
        if range.end > self.data_bytes || range.is_empty() {
            return range.clone();
        }
        let end = range.end.next_multiple_of(self.block_bytes).min(self.data_bytes);
        range.start - range.start % self.block_bytes..end
    }

    /// The range, out of what was read [`Self::around`] it.
    pub fn checked(&self, range: &Range<u64>, read: Bytes) -> Result<Bytes> {
        let around = self.around(range);
        if read.len() as u64 != around.end - around.start {
            return Err(damaged(format_args!("what is in bytes {} to {}", around.start, around.end)));
        }
        if around.end > self.data_bytes || range.is_empty() {
            return Ok(read);
        }
        let first = (around.start / self.block_bytes) as usize;
        let mut at = around.start;
        for (block, sum) in read.chunks(self.block_bytes as usize).zip(&self.crc32cs[first..]) {
            let end = at + block.len() as u64;
            if crc32c::crc32c(block) != *sum {
                return Err(damaged(format_args!("what is in bytes {at} to {end}")));
            }
            at = end;
        }
        let begin = (range.start - around.start) as usize;
        Ok(read.slice(begin..begin + (range.end - range.start) as usize))
    }
}

fn damaged(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("damaged: {what} is not what was written"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder};
    use parquet::schema::types::{SchemaDescriptor, Type};
    use proptest::prelude::*;

    use super::*;

    /// Sums of data and tail that come in pieces.
    fn summed(data: &[u8], tail: &[u8], piece: usize) -> (KeyValue, Tail) {
        let mut summing = Summing::default();
        data.chunks(piece).for_each(|piece| summing.add(piece));
        let said = summing.end_data();
        tail.chunks(piece).for_each(|piece| summing.add(piece));
        (said, summing.tail())
    }

    fn footer(said: KeyValue) -> ParquetMetaData {
        let schema = Type::group_type_builder("schema").build().expect("a schema");
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        ParquetMetaDataBuilder::new(FileMetaData::new(2, 0, None, Some(vec![said]), schema, None)).build()
    }

    proptest! {
        #[test]
        fn a_range_is_read_whole_and_damage_is_noticed(
            data in proptest::collection::vec(any::<u8>(), 1..20_000),
            piece in 1..9_000_usize,
            (start, end, at) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()),
            flip in 1_u8..,
        ) {
            let (said, _) = summed(&data, &[], piece);
            let blocks = Blocks::of(&footer(said)).expect("sums").expect("some");
            let (start, end) = (start.index(data.len()), end.index(data.len()) + 1);
            let range = start.min(end - 1) as u64..end as u64;
            let wanted = &data[range.start as usize..range.end as usize];
            let around = blocks.around(&range);
            let read = |data: &[u8]| Bytes::copy_from_slice(&data[around.start as usize..around.end as usize]);
            prop_assert_eq!(&blocks.checked(&range, read(&data)).expect("as it was")[..], wanted);
            let mut damaged = data.clone();
            damaged[at.index(data.len())] ^= flip;
            match blocks.checked(&range, read(&damaged)) {
                Ok(read) => prop_assert_eq!(&read[..], wanted),
                Err(error) => prop_assert!(error.to_string().contains("damaged: what is in bytes")),
            }
            prop_assert!(blocks.checked(&range, read(&data).slice(1..)).is_err());
        }

        #[test]
        fn a_damaged_tail_is_noticed(
            tail in proptest::collection::vec(any::<u8>(), 1..2_000),
            piece in 1..900_usize,
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let (_, sum) = summed(b"data", &tail, piece);
            let sum = Tail::from_tag(&sum.to_tag()).expect("a tag");
            prop_assert!(sum.check(&tail).is_ok());
            let mut damaged = tail.clone();
            damaged[at.index(tail.len())] ^= flip;
            prop_assert!(sum.check(&damaged).is_err() && sum.check(&tail[1..]).is_err());
        }

        #[test]
        fn sums_that_cannot_be_are_refused(said in "[0-9]{0,5}:[0-9]{0,5}:[A-Za-z0-9+/=]{0,16}") {
            if let Ok(Some(blocks)) = Blocks::of(&footer(KeyValue::new(KEY.to_owned(), said))) {
                prop_assert_eq!(blocks.data_bytes.div_ceil(blocks.block_bytes), blocks.crc32cs.len() as u64);
            }
        }
    }
}
