//! The bytes of a file, unpacked, with a look at how they begin, and where in them the reader is.

use std::io::{BufRead, BufReader, Cursor, Read};

use crate::error::ImportError;

const BUFFER_BYTES: usize = 256 << 10;
/// Enough to tell the formats apart: what comes first may be pages of guidelines, or a long prompt.
const BEGINNING_BYTES: usize = 4 << 20;
/// Damages that are told one by one.
const DAMAGES_MAX: usize = 10;

/// Where in the unpacked text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: u64,
    /// From 0.
    pub byte: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

pub struct Input<'r> {
    reader: BufReader<Box<dyn Read + 'r>>,
    /// Read ahead of everything else, from `head_at` on.
    head: Vec<u8>,
    head_at: usize,
    /// What reading ahead ran into: told when the reader comes there.
    failed: Option<std::io::Error>,
    position: Position,
    damages: Vec<String>,
    damaged: u64,
}

impl<'r> Input<'r> {
    /// Packed input (gzip, zstd) is recognised by its first bytes.
    pub fn open(input: impl Read + 'r) -> Result<Self, ImportError> {
        let mut input = input;
        // A pipe gives what it has, which may be less than it takes to tell.
        let mut begin = Vec::new();
        input.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut begin)?;
        let packed = Cursor::new(begin.clone()).chain(input);
        let packed = BufReader::with_capacity(BUFFER_BYTES, packed);
        let unpacked: Box<dyn Read + 'r> = if begin.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(packed))
        } else if begin.starts_with(&ZSTD_MAGIC) {
            Box::new(zstd::stream::read::Decoder::with_buffer(packed)?)
        } else {
            Box::new(packed)
        };
        let mut input = Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, unpacked),
            head: Vec::new(),
            head_at: 0,
            failed: None,
            position: Position { line: 1, byte: 0 },
            damages: Vec::new(),
            damaged: 0,
        };
        // A file that breaks off may still hold something before it does.
        let read = input.reader.by_ref().take(BEGINNING_BYTES as u64).read_to_end(&mut input.head);
        input.failed = read.err();
        Ok(input)
    }

    /// The first bytes.
    pub fn beginning(&self) -> &[u8] {
        &self.head
    }

    pub const fn position(&self) -> Position {
        self.position
    }

    /// A part that cannot be read, of a file whose other parts can.
    pub fn damage(&mut self, problem: String) {
        self.damaged += 1;
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push(problem);
        }
    }

    /// What was damaged, once everything is read.
    pub fn finish(self) -> Result<(), ImportError> {
        if self.damaged == 0 {
            return Ok(());
        }
        let mut told = self.damages.join("; ");
        let more = self.damaged - self.damages.len() as u64;
        if more > 0 {
            told = format!("{told}; and {more} more");
        }
        Err(ImportError::Damaged(told))
    }
}

/// How a frame of zstd begins.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.head_at < self.head.len() {
            return Ok(&self.head[self.head_at..]);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let is_ahead = self.head_at < self.head.len();
        let bytes = if is_ahead { &self.head[self.head_at..] } else { self.reader.buffer() };
        let taken = &bytes[..amount.min(bytes.len())];
        self.position.line += taken.iter().filter(|b| **b == b'\n').count() as u64;
        self.position.byte += amount as u64;
        if !is_ahead {
            return self.reader.consume(amount);
        }
        self.head_at += amount;
        if self.head_at >= self.head.len() {
            (self.head, self.head_at) = (Vec::new(), 0);
        }
    }
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("position", &self.position).finish_non_exhaustive()
    }
}
