//! Reading a log back. A torn end is cut off: it was never acknowledged. Damage with valid records behind it is not
//! a torn end, and nothing is thrown away for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Segment;
use super::record::{HEADER_LEN, Record, decode, find, parse_header};
use crate::error::StoreError;
use crate::files::Files;

/// What is on disk.
pub struct Found {
    pub id: Option<uuid::Uuid>,
    pub segments: Vec<Segment>,
}

/// Checks every segment and cuts off a torn end.
pub fn scan(files: &dyn Files, folder: &Path) -> Result<Found, StoreError> {
    let mut paths = files.list(folder).map_err(StoreError::io(folder))?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "log"));
    let mut found = Found { id: None, segments: Vec::new() };
    // Damage that is a torn end only if nothing valid follows it.
    let mut torn: Vec<(PathBuf, u64, &str)> = Vec::new();
    for path in paths {
        let bytes = Bytes::from(files.read(&path).map_err(StoreError::io(&path))?);
        let header = parse_header(&bytes);
        let (end, last_seq) = match header {
            Some((_, first)) => walk(&bytes, first),
            None => (0, 0),
        };
        let holds_records = end > HEADER_LEN || find(&bytes, end).is_some();
        if let Some((path, offset, problem)) = torn.first().filter(|_| holds_records).cloned() {
            return Err(StoreError::DamagedWal { path, offset, problem: problem.into() });
        }
        let is_empty = end <= HEADER_LEN;
        if end < bytes.len() || is_empty {
            let problem = if header.is_none() { "not a segment's header" } else { "no valid record" };
            if find(&bytes, end).is_some() {
                return Err(StoreError::DamagedWal { path, offset: end as u64, problem: problem.into() });
            }
            // A segment without a record goes as a whole: the next one may want its name.
            torn.push((path.clone(), if is_empty { 0 } else { end as u64 }, problem));
        }
        let Some((id, _)) = header.filter(|_| !is_empty) else { continue };
        match found.id {
            Some(other) if other != id => {
                return Err(StoreError::BadFormat {
                    path,
                    problem: format!("belongs to log {id}, the segments before it to {other}"),
                });
            }
            _ => found.id = Some(id),
        }
        found.segments.push(Segment { path, last_seq });
    }
    for (path, offset, problem) in torn {
        tracing::warn!(path = %path.display(), offset, problem, "cutting off the torn end of the log");
        if offset == 0 {
            files.remove(&path).map_err(StoreError::io(&path))?;
            files.sync_dir(folder).map_err(StoreError::io(folder))?;
        } else {
            files.truncate(&path, offset).map_err(StoreError::io(&path))?;
        }
    }
    Ok(found)
}

/// The end of the last valid record, and its sequence.
fn walk(bytes: &Bytes, first_seq: u64) -> (usize, u64) {
    let (mut at, mut expected) = (HEADER_LEN, first_seq);
    while let Some((record, next)) = decode(bytes, at) {
        if record.seq != expected {
            break;
        }
        (at, expected) = (next, expected + 1);
    }
    (at, expected.saturating_sub(1))
}

/// The records of a log that was scanned, one segment in memory at a time.
#[derive(Debug)]
pub struct Replay {
    files: Arc<dyn Files>,
    paths: std::vec::IntoIter<PathBuf>,
    bytes: Bytes,
    at: usize,
}

impl Replay {
    pub(super) fn new(files: Arc<dyn Files>, paths: Vec<PathBuf>) -> Self {
        Self { files, paths: paths.into_iter(), bytes: Bytes::new(), at: 0 }
    }
}

impl Iterator for Replay {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((record, next)) = decode(&self.bytes, self.at) {
                self.at = next;
                return Some(Ok(record));
            }
            let path = self.paths.next()?;
            match self.files.read(&path) {
                Ok(bytes) => (self.bytes, self.at) = (bytes.into(), HEADER_LEN),
                Err(source) => return Some(Err(StoreError::Io { path, source })),
            }
        }
    }
}
