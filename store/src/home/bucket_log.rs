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

mod parts;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;

use crate::blocking::wait;
use crate::files::{Appending, Files, Found};
use parts::Writing;

/// How long what is left of a file that is gone stays.
const REMAINS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Parts that are read or removed at once: most of it is waiting.
const AT_ONCE: usize = 32;

/// See the module's description. Paths are within the home.
#[derive(Debug, Clone)]
pub struct BucketLog {
    objects: Arc<dyn ObjectStore>,
    runtime: Handle,
}

impl BucketLog {
    pub fn new(objects: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { objects, runtime }
    }

    fn wait<T>(&self, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        wait(&self.runtime, answer).map_err(io_error)
    }

    fn get(&self, object: &ObjectPath) -> io::Result<Bytes> {
        self.wait(async { self.objects.get(object).await?.bytes().await })
    }

    fn delete(&self, object: &ObjectPath) -> io::Result<()> {
        self.wait(self.gone(object))
    }

    async fn gone(&self, object: &ObjectPath) -> object_store::Result<()> {
        match self.objects.delete(object).await {
            Err(Error::NotFound { .. }) => Ok(()),
            gone => gone,
        }
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
        Ok(Box::new(Writing::new(self, path)))
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
        let got: Vec<Bytes> = self.wait(got.buffered(AT_ONCE).try_collect())?;
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
        // Requests wait for the log meanwhile, and there may be thousands.
        self.wait(
            stream::iter(gone).map(|part| self.gone(&part.object)).buffer_unordered(AT_ONCE).try_collect(),
        )
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
