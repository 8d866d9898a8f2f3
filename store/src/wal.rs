//! The write-ahead log: what was acknowledged and is in no file of the lake yet.
//!
//! # Format
//! A folder of segments `{first_seq:020}.log`, each of at most 64 MiB (or one group, if that is more):
//! ```text
//! header  magic "PLIMWAL\0" | version u32 | log id 16 bytes | first_seq u64 | crc32c u32
//! record  len u32 | crc32c u32 | seq u64 | ingest_unix_nano i64 | place u32 | kind u8
//!         | tenant length u8 | tenant | payload
//! ```
//! Integers are little-endian. The header's checksum covers what precedes it. A record's `len` counts what follows its
//! checksum; the checksum covers the log id and that. Sequences rise by one within a segment; between segments they may
//! skip. Records that were written and synced together are a group; `place` counts a record's predecessors in its
//! group, so that a half-written group can be told from damage (see [`replay`]). The payload is the request's bytes, so
//! that replay goes through the same decoder as ingest.
//!
//! The log id is made with the log and is the application id of its Delta transactions, so that a log that
//! was removed and made again is never mistaken for the old one.
//!
//! A segment's space is reserved when it is begun, so that a full disk is met before a write and not in it.
//!
//! Segments that were let go of are written over by later ones, a few of them: neither the file system nor the page cache
//! has to find room for what is there already, and an fsync of it has no size or place to note. Until the segment is
//! closed, which cuts it off behind its records, what it held before follows them; its sequences are lower than the
//! segment's first, so that it can never pass for records of it.
//!
//! It is no queue (nothing is read from it but at a start) and knows nothing of what its payloads mean.

mod claim;
mod digests;
mod letting_go;
mod record;
mod replay;
mod salvage;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::RecordMeta;
use crate::error::StoreError;
use crate::files::{Appending, Files, folder_of};
pub use digests::digest;
use record::{Codec, Header};
pub use record::{PAYLOAD_BYTES_MAX, Record};
pub use replay::Replay;
pub use salvage::{Salvaged, salvage};
pub use writer::{Durable, Entry, Submitted, WalError, WalWriter};

/// A group that does not fit begins a new segment, so that the log can be let go of piece by piece.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A buffer that one large group needed is not kept.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// A segment that is on disk.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    last_seq: u64,
    len: u64,
}

impl Segment {
    fn is_empty(&self) -> bool {
        self.len <= record::HEADER_LEN as u64
    }
}

/// The segment that is written to.
#[derive(Debug)]
struct Open {
    segment: Segment,
    file: Box<dyn Appending>,
    /// Whether it is written over an older one.
    reused: bool,
}

fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.log")
}

/// What a segment is called that waits to be written over. At a start it is none any more.
const SPARE: &str = "spare";

/// The log, for the one who writes it.
#[derive(Debug)]
pub struct Wal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    id: uuid::Uuid,
    segment_bytes_max: u64,
    /// Segments that are not written to any more, oldest first.
    closed: Vec<Segment>,
    open: Option<Open>,
    /// Let go of, and not written over yet.
    spares: Vec<PathBuf>,
    last_seq: u64,
    buffer: Vec<u8>,
    poisoned: Option<String>,
}

impl Wal {
    /// Opens the log in `folder`, or makes one, and gives its records in order; they are durable. Sequences go on above
    /// both the log's last and `seq_floor`. The records must be read to their end before the first append.
    pub fn open(files: Arc<dyn Files>, folder: &Path, seq_floor: u64) -> Result<(Self, Replay), StoreError> {
        files.create_dir_all(folder).map_err(StoreError::io(folder))?;
        // The process that made the folder may have died before the folder's own entry was durable.
        files.sync_dir(folder_of(folder)).map_err(StoreError::io(folder))?;
        let mut found = replay::recover(&*files, folder)?;
        while files.is_shared() && !claim::claim(&*files, folder, &mut found, seq_floor)? {
            found = replay::recover(&*files, folder)?;
        }
        let replay = Replay::new(files.clone(), &found.segments);
        let wal = Self {
            files,
            folder: folder.to_owned(),
            id: found.id.unwrap_or_else(uuid::Uuid::new_v4),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            last_seq: found.last_seq.max(seq_floor),
            closed: found.segments,
            open: None,
            spares: Vec::new(),
            buffer: Vec::new(),
            poisoned: None,
        };
        Ok((wal, replay))
    }

    /// Smaller segments, so that a test need not write much to fill one.
    pub fn with_segment_bytes_max(self, segment_bytes_max: u64) -> Self {
        Self { segment_bytes_max, ..self }
    }

    pub fn id(&self) -> uuid::Uuid {
        self.id
    }

    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Why nothing is written any more.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Burns one sequence number, so that what is derived from now on supersedes what a crash left. Of a log that others may
    /// take over, opening it burned one: a second, of which nobody else could know, would not be theirs to claim.
    pub fn skip(&mut self) -> Result<u64, StoreError> {
        self.close_segment()?;
        self.last_seq += u64::from(!self.files.is_shared());
        Ok(self.last_seq)
    }

    /// Appends a group of records under the next sequences, with one write and one fsync, and answers the last one's. After
    /// an error of a write or fsync nothing is known of them, and the log is poisoned for good. If only the space for
    /// a new segment cannot be had, nothing of them was written, and a later append may succeed.
    pub fn append<'r>(
        &mut self,
        records: impl IntoIterator<Item = (&'r RecordMeta, &'r [u8])>,
    ) -> Result<u64, StoreError> {
        self.check()?;
        let codec = Codec::new(self.id);
        let first = self.last_seq + 1;
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        let mut seq = self.last_seq;
        for (place, (meta, payload)) in (0..).zip(records) {
            if payload.len() > PAYLOAD_BYTES_MAX {
                let problem = format!("a record of {} bytes; at most {PAYLOAD_BYTES_MAX} fit", payload.len());
                return Err(StoreError::BadFormat { path: self.folder.clone(), problem });
            }
            seq += 1;
            codec.encode(&mut bytes, seq, place, meta, payload);
        }
        if seq > self.last_seq {
            self.write(first, seq, &bytes)?;
            self.last_seq = seq;
        }
        if bytes.capacity() <= BUFFER_BYTES_KEPT {
            self.buffer = bytes;
        }
        Ok(seq)
    }

    fn write(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let len = bytes.len() as u64;
        let is_full = |s: &Segment| !s.is_empty() && s.len + len > self.segment_bytes_max;
        if self.open.as_ref().is_some_and(|open| is_full(&open.segment)) {
            self.close_segment()?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin_segment(first, len)?);
        }
        let Some(Open { segment, file, .. }) = &mut self.open else { unreachable!("begun above") };
        if let Err(source) = file.append(bytes).and_then(|()| file.sync()) {
            let path = segment.path.clone();
            return Err(self.poison(&path, source));
        }
        segment.last_seq = last;
        segment.len += len;
        Ok(())
    }

    /// The header and the segment's name are durable before the first record is written; of one that is written over, the
    /// header before the name.
    fn begin_segment(&mut self, first_seq: u64, group_len: u64) -> Result<Open, StoreError> {
        let path = self.folder.join(file_name(first_seq));
        let spare = self.spares.pop();
        let draft = spare.as_ref().unwrap_or(&path);
        let begun = if spare.is_some() { self.files.reuse(draft) } else { self.files.create(draft) };
        let mut file = begun.map_err(StoreError::io(draft))?;
        let header = Header { id: self.id, first_seq }.encode();
        let len = header.len() as u64;
        if let Err(source) = file.reserve(self.segment_bytes_max.max(len + group_len)) {
            return Err(match self.files.remove(draft) {
                Ok(()) => StoreError::Io { path, source },
                Err(source) => self.poison(&path, source),
            });
        }
        let named = |draft: &PathBuf| self.files.rename(draft, &path);
        file.append(&header)
            .and_then(|()| file.sync())
            .and_then(|()| spare.as_ref().map_or(Ok(()), named))
            .and_then(|()| self.files.sync_dir(&self.folder))
            .map_err(|source| self.poison(&path, source))?;
        let segment = Segment { path, last_seq: first_seq - 1, len };
        Ok(Open { segment, file, reused: spare.is_some() })
    }

    fn close_segment(&mut self) -> Result<(), StoreError> {
        let Some(Open { segment, mut file, reused }) = self.open.take() else { return Ok(()) };
        let path = segment.path.clone();
        self.closed.push(segment);
        let cut = if reused { file.cut() } else { Ok(()) };
        cut.map_err(|source| self.poison(&path, source))
    }

    fn check(&self) -> Result<(), StoreError> {
        self.poisoned.clone().map_or(Ok(()), |why| Err(StoreError::Poisoned(why)))
    }

    fn poison(&mut self, path: &Path, source: io::Error) -> StoreError {
        let why = format!("{}: {source}", path.display());
        tracing::error!(why, "the log is poisoned: nothing more is acknowledged");
        self.poisoned = Some(why.clone());
        StoreError::Poisoned(why)
    }

    fn sync_folder(&mut self) -> Result<(), StoreError> {
        let folder = self.folder.clone();
        self.files.sync_dir(&folder).map_err(|source| self.poison(&folder, source))
    }
}
