//! The objects that a file of the log is made of: how they are found, and made one behind the other.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::stream::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStore, PutMode, PutOptions, PutPayload};

use super::{BucketLog, io_error, object};
use crate::blocking::wait;
use crate::files::Appending;

/// How long a part that the bucket does not take is tried again, beyond what its client does; afterwards the log is given up.
const PATIENCE: Duration = Duration::from_secs(180);
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Parts of one file, by offset.
#[derive(Debug, Default)]
pub struct Parts(pub BTreeMap<u64, Part>);

#[derive(Debug)]
pub struct Part {
    pub object: ObjectPath,
    pub bytes: u64,
    pub modified: SystemTime,
}

impl Parts {
    /// Where it ends; `None` of a file that is gone.
    pub fn end(&self) -> Option<u64> {
        self.0.get(&0).filter(|first| first.bytes > 0)?;
        self.0.iter().map(|(at, part)| at + part.bytes).max()
    }
}

impl BucketLog {
    pub fn parts(&self, path: &Path) -> io::Result<Parts> {
        let found = self.wait(self.objects.list(Some(&object(path)?)).try_collect::<Vec<_>>())?;
        let part = |meta: ObjectMeta| {
            let offset = meta.location.filename()?.parse().ok()?;
            let part = Part { object: meta.location, bytes: meta.size, modified: meta.last_modified.into() };
            Some((offset, part))
        };
        Ok(Parts(found.into_iter().filter_map(part).collect()))
    }

    pub fn make(&self, file: &Path, offset: u64, bytes: Bytes) -> io::Result<()> {
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
}

/// A file that is written.
#[derive(Debug)]
pub struct Writing {
    log: BucketLog,
    path: PathBuf,
    buffer: Vec<u8>,
    offset: u64,
}

impl Writing {
    pub fn new(log: &BucketLog, path: &Path) -> Self {
        Self { log: log.clone(), path: path.into(), buffer: Vec::new(), offset: 0 }
    }
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

fn taken(path: &ObjectPath) -> io::Error {
    let why = format!("{path} is there already: another process took the log over; stop one of them");
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}
