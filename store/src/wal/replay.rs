//! Reading a log back. A torn end is cut off: it was never acknowledged. Damage that something durable follows is not
//! a torn end, and nothing is thrown away for it.
//!
//! How the two are told apart: a group is written after the one before it was synced, and a segment is begun, or gone on
//! from after a restart, after the one before it was. So what a crash leaves half-written is one group at the end of the last
//! segment, with its records there or not in any order. A valid record of a later group, or a later segment,
//! proves that the damaged record had been durable. (If the last group of all rots while nothing runs, it cannot
//! be told from a torn one. That is the limit of every log of this kind.)
//!
//! The last segment may be one that was written over, and then what it held before follows its records. Those have lower
//! sequences, so that they are as good as torn bytes, and are cut off with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Segment;
use super::record::{Codec, HEADER_LEN, Header, HeaderError, Record};
use crate::error::StoreError;
use crate::files::Files;

/// What is on disk.
#[derive(Debug, Default)]
pub struct Contents {
    pub id: Option<uuid::Uuid>,
    pub segments: Vec<Segment>,
    /// The highest sequence that was given out.
    pub last_seq: u64,
}

/// Checks every segment, cuts off a torn end, and makes what is left durable.
pub fn recover(files: &dyn Files, folder: &Path) -> Result<Contents, StoreError> {
    let mut paths = files.list(folder).map_err(StoreError::io(folder))?;
    for spare in paths.iter().filter(|p| p.extension().is_some_and(|e| e == super::SPARE)) {
        files.remove(spare).map_err(StoreError::io(spare))?;
    }
    paths.retain(|p| p.extension().is_some_and(|e| e == "log"));
    let mut contents = Contents::default();
    let last = paths.last().cloned();
    for path in paths {
        while !files.seal(&path).map_err(StoreError::io(&path))? {}
        let bytes = Bytes::from(files.read(&path).map_err(StoreError::io(&path))?);
        let is_last = last.as_ref() == Some(&path);
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(HeaderError::Version(version)) => {
                let problem = format!("is of format {version}, which this version cannot read");
                return Err(StoreError::BadFormat { path, problem });
            }
            // The header is durable before the first record is written.
            Err(HeaderError::Invalid) if is_last && bytes.iter().skip(HEADER_LEN).all(|b| *b == 0) => {
                tracing::info!(path = %path.display(), "removing a segment that a crash left without a header");
                files.remove(&path).map_err(StoreError::io(&path))?;
                continue;
            }
            Err(HeaderError::Invalid) => return Err(damaged(path, 0, "not a segment's header")),
        };
        contents.admit(&path, header)?;
        let walk = Walk::over(&bytes, header);
        if walk.end < bytes.len() && (!is_last || walk.is_followed(&bytes)) {
            return Err(damaged(path, walk.end, "no valid record"));
        }
        let segment = Segment { path, last_seq: walk.last_seq, len: walk.end as u64 };
        contents.last_seq = segment.last_seq;
        if segment.is_empty() {
            // Whoever began it may believe the number to be its own.
            contents.last_seq = header.first_seq;
            files.remove(&segment.path).map_err(StoreError::io(&segment.path))?;
            continue;
        }
        if is_last {
            settle(files, &segment, &bytes, &walk)?;
        }
        contents.segments.push(segment);
    }
    files.sync_dir(folder).map_err(StoreError::io(folder))?;
    Ok(contents)
}

impl Contents {
    /// Checks that a segment continues those before it.
    fn admit(&mut self, path: &Path, header: Header) -> Result<(), StoreError> {
        let problem = if path.file_name() != Some(super::file_name(header.first_seq).as_ref()) {
            format!("begins with sequence {}, which its name does not say", header.first_seq)
        } else if header.first_seq <= self.last_seq {
            "begins before the segment before it ends".into()
        } else if let Some(id) = self.id.filter(|id| *id != header.id) {
            format!("belongs to log {}, the segments before it to {id}", header.id)
        } else {
            self.id = Some(header.id);
            return Ok(());
        };
        Err(StoreError::BadFormat { path: path.to_owned(), problem })
    }
}

/// Cuts off what is torn and writes the last group again. The process that wrote it may have died before its fsync,
/// or been told that it failed; then the system's cache shows bytes that no later fsync would take to the disk.
fn settle(files: &dyn Files, segment: &Segment, bytes: &[u8], walk: &Walk) -> Result<(), StoreError> {
    let torn = &bytes[walk.end..];
    if torn.iter().any(|b| *b != 0) {
        let (path, offset) = (segment.path.display(), walk.end);
        let bytes = torn.len();
        tracing::info!(%path, offset, bytes, "cutting off what follows the log's last record: torn, or older than it");
    }
    files
        .rewrite_end(&segment.path, walk.last_group as u64, &bytes[walk.last_group..walk.end])
        .map_err(StoreError::io(&segment.path))
}

fn damaged(path: PathBuf, offset: usize, problem: &str) -> StoreError {
    StoreError::DamagedWal { path, offset: offset as u64, problem: problem.into() }
}

/// Where the valid records of a segment end.
pub(super) struct Walk {
    codec: Codec,
    pub(super) end: usize,
    last_seq: u64,
    /// Where the last group begins; the header is one of its own.
    last_group: usize,
}

impl Walk {
    pub(super) fn over(bytes: &Bytes, header: Header) -> Self {
        let codec = Codec::new(header.id);
        let last_seq = header.first_seq.saturating_sub(1);
        let mut walk = Self { codec, end: HEADER_LEN, last_seq, last_group: 0 };
        while let Some(found) = walk.codec.decode(bytes, walk.end, &(walk.last_seq + 1..=walk.last_seq + 1)) {
            if found.group == found.record.seq {
                walk.last_group = walk.end;
            }
            (walk.end, walk.last_seq) = (found.end, found.record.seq);
        }
        walk
    }

    /// Whether a record of a later group than the one that ends the walk is anywhere behind it.
    pub(super) fn is_followed(&self, bytes: &Bytes) -> bool {
        let missing = self.last_seq + 1;
        // Sequences rise by one, and so what fits into the segment bounds what is plausible.
        let plausible = missing..=missing.saturating_add(bytes.len() as u64);
        let mut at = self.end;
        while at < bytes.len() {
            match self.codec.decode(bytes, at, &plausible) {
                Some(found) if found.group > missing => return true,
                Some(found) => at = found.end,
                None => at += 1,
            }
        }
        false
    }
}

/// The records of a log that was recovered, one segment in memory at a time.
#[derive(Debug)]
pub struct Replay {
    files: Arc<dyn Files>,
    /// Segments and where their records end.
    segments: std::vec::IntoIter<(PathBuf, u64)>,
    reading: Option<Reading>,
}

/// The segment that is being read.
#[derive(Debug)]
struct Reading {
    path: PathBuf,
    codec: Codec,
    bytes: Bytes,
    at: usize,
}

impl Replay {
    pub(super) fn new(files: Arc<dyn Files>, segments: &[Segment]) -> Self {
        let segments = segments.iter().map(|s| (s.path.clone(), s.len)).collect::<Vec<_>>();
        Self { files, segments: segments.into_iter(), reading: None }
    }

    fn begin(&self, path: PathBuf, len: u64) -> Result<Reading, StoreError> {
        let bytes = Bytes::from(self.files.read(&path).map_err(StoreError::io(&path))?);
        match Header::decode(&bytes) {
            Ok(header) if bytes.len() as u64 == len => {
                Ok(Reading { path, codec: Codec::new(header.id), bytes, at: HEADER_LEN })
            }
            _ => Err(changed(path, 0)),
        }
    }
}

fn changed(path: PathBuf, offset: usize) -> StoreError {
    damaged(path, offset, "changed while it was replayed")
}

impl Iterator for Replay {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reading) = self.reading.as_mut().filter(|r| r.at < r.bytes.len()) {
                let found = reading.codec.decode(&reading.bytes, reading.at, &(0..=u64::MAX));
                let Some(found) = found else {
                    let error = changed(reading.path.clone(), reading.at);
                    self.reading = None;
                    return Some(Err(error));
                };
                reading.at = found.end;
                return Some(Ok(found.record));
            }
            let (path, len) = self.segments.next()?;
            match self.begin(path, len) {
                Ok(reading) => self.reading = Some(reading),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
