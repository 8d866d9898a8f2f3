//! The write-ahead log: what was acknowledged and is in no file of the lake yet.
//!
//! # Format
//! A folder of segments `{first_seq:020}.log`, each of at most about 64 MiB:
//! ```text
//! header  magic "PLMWAL01" | log id 16 bytes | first_seq u64
//! record  len u32 | crc32c u32 | seq u64 | ingest_unix_nano i64 | kind u8 | tenant length u8 | tenant | payload
//! ```
//! Integers are little-endian. `len` counts what follows the checksum, and the checksum covers that. Sequences rise by one
//! within a segment. The payload is the request's bytes, so that replay goes through the same decoder as ingest.
//!
//! The log id is made with the log and is the application id of its Delta transactions, so that a log that
//! was removed and made again is never mistaken for the old one.
//!
//! It is not preallocated: appending to a file and `fdatasync` also makes its new length durable.

mod digests;
mod record;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::StoreError;
use crate::files::{Appending, Files};
pub use digests::digest;
pub use record::Record;
pub use replay::Replay;
pub use writer::{Durable, Entry, Submitted, WalError, WalWriter};

/// A segment that is longer is followed by a new one, so that the log can be let go of piece by piece.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// A segment that is on disk.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    last_seq: u64,
}

/// The log, for the one who writes it.
#[derive(Debug)]
pub struct Wal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    id: uuid::Uuid,
    /// Segments that are not written to any more, oldest first.
    closed: Vec<Segment>,
    open: Option<(Segment, Box<dyn Appending>, u64)>,
    last_seq: u64,
    poisoned: Option<String>,
}

impl Wal {
    /// Opens the log in `folder`, or makes one, and gives its records in order. Sequences go on above both
    /// the log's last and `seq_floor`. The records must be read to their end before the first append.
    pub fn open(files: Arc<dyn Files>, folder: &Path, seq_floor: u64) -> Result<(Self, Replay), StoreError> {
        files.create_dir_all(folder).map_err(StoreError::io(folder))?;
        let found = replay::scan(&*files, folder)?;
        let id = found.id.unwrap_or_else(uuid::Uuid::new_v4);
        let wal = Self {
            files: files.clone(),
            folder: folder.to_owned(),
            id,
            last_seq: found.segments.last().map_or(0, |s| s.last_seq).max(seq_floor),
            closed: found.segments,
            open: None,
            poisoned: None,
        };
        let paths = wal.closed.iter().map(|s| s.path.clone()).collect();
        Ok((wal, Replay::new(files, paths)))
    }

    pub fn id(&self) -> uuid::Uuid {
        self.id
    }

    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Burns one sequence number, so that what is derived from now on supersedes what a crash left.
    pub fn skip(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// Appends records under the next sequences with one write and one fsync. After an error nothing is known of
    /// them, and the log is poisoned for good.
    pub fn append<'r>(
        &mut self,
        records: impl IntoIterator<Item = (&'r crate::decode::RecordMeta, &'r [u8])>,
    ) -> Result<u64, StoreError> {
        if let Some(why) = &self.poisoned {
            return Err(StoreError::Poisoned(why.clone()));
        }
        let first = self.last_seq + 1;
        let mut seq = self.last_seq;
        let mut bytes = Vec::new();
        for (meta, payload) in records {
            seq += 1;
            record::encode(&mut bytes, seq, meta, payload);
        }
        if let Err(error) = self.write(first, seq, &bytes) {
            self.poisoned = Some(error.to_string());
            return Err(StoreError::Poisoned(error.to_string()));
        }
        self.last_seq = seq;
        Ok(seq)
    }

    fn write(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.open.as_ref().is_some_and(|(_, _, len)| *len >= SEGMENT_BYTES_MAX) {
            self.close_segment();
        }
        let (segment, file, len) = match &mut self.open {
            Some(open) => open,
            none => none.insert(Self::create(&*self.files, &self.folder, self.id, first)?),
        };
        file.append(bytes).map_err(StoreError::io(&segment.path))?;
        file.sync().map_err(StoreError::io(&segment.path))?;
        segment.last_seq = last;
        *len += bytes.len() as u64;
        Ok(())
    }

    fn create(
        files: &dyn Files,
        folder: &Path,
        id: uuid::Uuid,
        first: u64,
    ) -> Result<(Segment, Box<dyn Appending>, u64), StoreError> {
        let path = folder.join(format!("{first:020}.log"));
        let mut file = files.create(&path).map_err(StoreError::io(&path))?;
        let header = record::header(id, first);
        file.append(&header).map_err(StoreError::io(&path))?;
        file.sync().map_err(StoreError::io(&path))?;
        files.sync_dir(folder).map_err(StoreError::io(folder))?;
        Ok((Segment { path, last_seq: first - 1 }, file, header.len() as u64))
    }

    fn close_segment(&mut self) {
        if let Some((segment, _, _)) = self.open.take() {
            self.closed.push(segment);
        }
    }

    /// Deletes the segments all of whose records are at or below `seq`.
    pub fn delete_through(&mut self, seq: u64) -> Result<(), StoreError> {
        if self.open.as_ref().is_some_and(|(s, _, _)| s.last_seq <= seq) {
            self.close_segment();
        }
        let gone = self.closed.iter().take_while(|s| s.last_seq <= seq).count();
        // A log keeps its id in its segments: one that is left with none would be another log at the next start.
        let keep_last = usize::from(gone == self.closed.len() && self.open.is_none() && gone > 0);
        for segment in self.closed.drain(..gone - keep_last) {
            self.files.remove(&segment.path).map_err(StoreError::io(&segment.path))?;
        }
        self.files.sync_dir(&self.folder).map_err(StoreError::io(&self.folder))
    }

    /// Deletes the whole log, after a clean stop.
    pub fn remove_all(&mut self) -> Result<(), StoreError> {
        self.close_segment();
        for segment in self.closed.drain(..) {
            self.files.remove(&segment.path).map_err(StoreError::io(&segment.path))?;
        }
        self.files.sync_dir(&self.folder).map_err(StoreError::io(&self.folder))
    }
}
