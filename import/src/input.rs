//! The bytes of a file, unpacked, with a look at how they begin.

use std::io::{BufRead, BufReader, Cursor, Read};

use crate::error::ImportError;

/// Enough to tell the formats apart: tau2-bench files have pages of guidelines before their first session.
const BEGINNING_BYTES: usize = 256 << 10;

pub struct Input<'r> {
    reader: BufReader<Box<dyn Read + 'r>>,
}

impl<'r> Input<'r> {
    /// Packed input (gzip, zstd) is recognised by its first bytes.
    pub fn open(input: impl Read + 'r) -> Result<Self, ImportError> {
        let mut packed = BufReader::with_capacity(BEGINNING_BYTES, input);
        let begin = packed.fill_buf()?;
        let unpacked: Box<dyn Read + 'r> = if begin.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(packed))
        } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(zstd::stream::read::Decoder::with_buffer(packed)?)
        } else {
            Box::new(packed)
        };
        Ok(Self { reader: BufReader::with_capacity(BEGINNING_BYTES, unpacked) })
    }

    /// The first bytes, which stay to be read.
    pub fn beginning(&mut self) -> Result<&[u8], ImportError> {
        let mut begin = Vec::with_capacity(BEGINNING_BYTES);
        self.reader.by_ref().take(BEGINNING_BYTES as u64).read_to_end(&mut begin)?;
        let empty: Box<dyn Read + 'r> = Box::new(std::io::empty());
        let rest = std::mem::replace(&mut self.reader, BufReader::new(empty));
        let again: Box<dyn Read + 'r> = Box::new(Cursor::new(begin).chain(rest));
        self.reader = BufReader::with_capacity(BEGINNING_BYTES, again);
        Ok(self.reader.fill_buf()?)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buf)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}
