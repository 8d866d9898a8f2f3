//! Files of the write-ahead log in a bucket: what is appended between two syncs is an object of its own, so that a group
//! commit is one PUT.
//!
//! A file is a prefix; its parts are `<file>/<offset>`, each made under a name that must be free. Two processes that believe the log
//! to be theirs write to the same next name, and only one of them succeeds (or both, where what they write is the same). The one that
//! opened last is the one that goes on: at opening it puts a part without bytes behind the last one of each file ([`Files::seal`]), on
//! which the other one runs. Of a file that goes, this part and an empty first one stay for a day, since a process may sleep for long
//! before it finds out.
//!
//! It is no file system: of what the seam offers, it has what the log asks for.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Handle;

use crate::blocking::wait;
use crate::files::{Appending, Files, Found};

/// How long what is left of a file that is gone stays.
const REMAINS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long a part that the bucket does not take is tried again, beyond what its client does; afterwards the log is given up.
const PATIENCE: Duration = Duration::from_secs(180);
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// Parts that are read at once: most of it is waiting.
const READERS: usize = 32;

/// See the module's description. Paths are within the home.
#[derive(Debug, Clone)]
pub struct BucketLog {
    objects: Arc<dyn ObjectStore>,
    runtime: Handle,
}

/// Parts of one file, by offset.
#[derive(Debug, Default)]
struct Parts(BTreeMap<u64, Part>);

#[derive(Debug)]
struct Part {
    object: ObjectPath,
    bytes: u64,
    modified: SystemTime,
}

impl Parts {
    /// Where it ends; `None` of a file that is gone.
    fn end(&self) -> Option<u64> {
        self.0.get(&0).filter(|first| first.bytes > 0)?;
        self.0.iter().map(|(at, part)| at + part.bytes).max()
    }
}

impl BucketLog {
    pub fn new(objects: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { objects, runtime }
    }

    fn wait<T>(&self, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        wait(&self.runtime, answer).map_err(io_error)
    }

    fn parts(&self, path: &Path) -> io::Result<Parts> {
        let found = self.wait(self.objects.list(Some(&object(path)?)).try_collect::<Vec<_>>())?;
        let part = |meta: ObjectMeta| {
            let offset = meta.location.filename()?.parse().ok()?;
            let part = Part { object: meta.location, bytes: meta.size, modified: meta.last_modified.into() };
            Some((offset, part))
        };
        Ok(Parts(found.into_iter().filter_map(part).collect()))
    }

    fn get(&self, object: &ObjectPath) -> io::Result<Bytes> {
        self.wait(async { self.objects.get(object).await?.bytes().await })
    }

    fn make(&self, file: &Path, offset: u64, bytes: Bytes) -> io::Result<()> {
        let path = object(&file.join(format!("{offset:020}")))?;
        let put = || {
            self.objects.put_opts(&path, PutPayload::from(bytes.clone()), PutOptions::from(PutMode::Create))
        };
        let deadline = Instant::now() + PATIENCE;
        let made = loop {
            match wait(&self.runtime, put()) {
                // Nobody listens, a connection broke, or it is too much for the bucket: it passes, as a rule.
                Err(error @ Error::Generic { .. }) if Instant::now() < deadline => {
                    tracing::warn!(%path, %error, "the bucket did not take a part of the log; it is tried again");
                    std::thread::sleep(BETWEEN_TRIES);
                }
                made => break made.map_err(io_error),
            }
        };
        match made {
            // A request whose answer was lost is sent again, and then finds what it made itself. Nobody else makes these bytes: a
            // record says which log it is of, and under which number. (Headers are another matter, see `wal::claim`.)
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !bytes.is_empty() => {
                if self.get(&path)? == bytes { Ok(()) } else { Err(taken(&path)) }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(&path)),
            made => made.map(drop),
        }
    }

    fn delete(&self, object: &ObjectPath) -> io::Result<()> {
        match self.wait(self.objects.delete(object)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            gone => gone,
        }
    }
}

/// A file that is written.
#[derive(Debug)]
struct Writing {
    log: BucketLog,
    path: PathBuf,
    buffer: Vec<u8>,
    offset: u64,
}

impl Appending for Writing {
    fn reserve(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let len = bytes.len() as u64;
        self.log.make(&self.path, self.offset, bytes)?;
        self.offset += len;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.sync()
    }
}

impl Files for BucketLog {
    /// Others are kept away by what they cannot write any more.
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(Writing { log: self.clone(), path: path.into(), buffer: Vec::new(), offset: 0 }))
    }

    fn reuse(&self, _: &Path) -> io::Result<Box<dyn Appending>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn seal(&self, path: &Path) -> io::Result<bool> {
        let parts = self.parts(path)?;
        let Some(end) = parts.end() else { return Ok(true) };
        if parts.0.get(&end).is_some_and(|part| part.bytes == 0) {
            return Ok(true);
        }
        match self.make(path, end, Bytes::new()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            sealed => sealed.map(|()| true),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let parts = self.parts(path)?;
        if parts.end().is_none() {
            // A small file, which is written as a whole.
            return self.get(&object(path)?).map(Into::into);
        }
        let got = stream::iter(parts.0.values())
            .map(|part| async { self.objects.get(&part.object).await?.bytes().await });
        let got: Vec<Bytes> = self.wait(got.buffered(READERS).try_collect())?;
        let mut bytes = BytesMut::new();
        for (offset, part) in parts.0.keys().zip(got) {
            if *offset != bytes.len() as u64 {
                let problem = format!("{}: the part behind byte {} is missing", path.display(), bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.into())
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        let parts = self.parts(path)?;
        let bytes = parts.end().ok_or(io::ErrorKind::NotFound)?;
        let modified = parts.0.values().map(|part| part.modified).max().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Found { path: path.into(), is_folder: false, bytes, modified })
    }

    /// Files that have parts, and small ones. What is left of files that are long gone goes.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Found>> {
        let listed = self.wait(self.objects.list_with_delimiter(Some(&object(folder)?)))?;
        let small = |object: ObjectMeta| {
            let path = folder.join(object.location.filename()?);
            let modified = object.last_modified.into();
            Some(Found { path, is_folder: false, bytes: object.size, modified })
        };
        let mut found: Vec<Found> = listed.objects.into_iter().filter_map(small).collect();
        for file in listed.common_prefixes {
            let path = folder.join(file.filename().unwrap_or_default());
            let parts = self.parts(&path)?;
            let modified = parts.0.values().map(|part| part.modified).max().unwrap_or(SystemTime::UNIX_EPOCH);
            match parts.end() {
                Some(bytes) => found.push(Found { path, is_folder: false, bytes, modified }),
                None if modified.elapsed().is_ok_and(|age| age > REMAINS_KEPT) => {
                    parts.0.values().try_for_each(|part| self.delete(&part.object))?;
                }
                None => {}
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What stays of it, see the module's description. The first part first: without it there is no file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let parts = self.parts(path)?;
        if parts.end().is_none() {
            return self.delete(&object(path)?);
        }
        let mut gone = parts.0.values().filter(|part| part.bytes > 0);
        if let Some(first) = gone.next() {
            self.wait(self.objects.put(&first.object, PutPayload::default()))?;
        }
        gone.try_for_each(|part| self.delete(&part.object))
    }

    fn remove_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Parts are whole or not there, so that there is nothing to cut off or to make durable.
    fn rewrite_end(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let now = self.read(path)?;
        let is_same = usize::try_from(offset).ok().and_then(|offset| now.get(offset..)) == Some(bytes);
        if is_same {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "its last part is damaged"))
        }
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = object(path)?;
        self.wait(self.objects.put(&path, PutPayload::from(bytes.to_vec()))).map(drop)
    }
}

fn object(path: &Path) -> io::Result<ObjectPath> {
    let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    ObjectPath::parse(text).map_err(io::Error::other)
}

fn taken(path: &ObjectPath) -> io::Error {
    let why = format!("{path} is there already: another process took the log over; stop one of them");
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}

fn io_error(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use plimsoll_schemas::{Tenant, UnixNanos};

    use super::BucketLog;
    use crate::decode::{RecordKind, RecordMeta};
    use crate::error::StoreError;
    use crate::files::Files;
    use crate::wal::Wal;

    fn open(files: &Arc<dyn Files>, seq_floor: u64) -> (Wal, usize) {
        let (mut wal, replay) = Wal::open(files.clone(), Path::new("wal"), seq_floor).expect("it opens");
        let found = replay.collect::<Result<Vec<_>, _>>().expect("whole").len();
        wal.skip().expect("a number");
        (wal, found)
    }

    fn append(wal: &mut Wal, payload: &[u8]) -> Result<u64, StoreError> {
        let meta = RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest: UnixNanos(1) };
        wal.append([(&meta, payload)])
    }

    #[test]
    fn who_opens_a_log_last_has_it_however_much_the_one_before_wrote() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for case in 0..12 {
            let (written, let_go, seq_floor) = (case % 3, case / 3 % 2 == 1, case as u64 / 6 * 10);
            let case = format!("{written} records, let go of: {let_go}, floor {seq_floor}");
            let objects = Arc::new(InMemory::new());
            let files: Arc<dyn Files> = Arc::new(BucketLog::new(objects, runtime.handle().clone()));
            let (mut first, _) = open(&files, 0);
            for _ in 0..written {
                append(&mut first, b"first").expect("it is the first's");
            }
            if let_go {
                first.delete_through(first.last_seq()).expect("it is the first's");
            }
            let (mut second, found) = open(&files, seq_floor);
            assert_eq!(found, written, "{case}: the last segment stays");
            let refused = append(&mut first, b"late");
            assert!(matches!(refused, Err(StoreError::Poisoned(_))), "{case}: {refused:?}");
            append(&mut second, b"second").expect("it is the second's");
            assert_eq!(open(&files, seq_floor).1, written + 1, "{case}");
        }
    }
}
