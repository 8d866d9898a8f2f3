//! Which traces the next start would have to settle again: one small file, replaced at each flush.
//!
//! Derived rows live in memory until the flush after their settling. A crash before it loses them, and the log
//! may not hold the spans any more that they came from; this file names those traces, so that the next
//! start settles them from the files. So are traces named whose merged spans are to be restated (see `restate.rs`): also
//! when the store is closed, since that waits for no merge. More names than needed do no harm.
//!
//! Each opening writes a file of its own: whoever has a bucket is not kept from replacing its file once more after another server took
//! the bucket over, which may have let go of its log meanwhile. An opening reads all files that are there, and removes them once its own,
//! which names their traces too, is durable.
//!
//! Format: `PLMPEND1`, then for each trace a length byte, the tenant and 16 bytes of trace id; last a CRC-32C
//! of everything before it, little-endian.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use plimsoll_schemas::{Tenant, TraceId};
use uuid::Uuid;

use super::restate::Restating;
use crate::error::StoreError;
use crate::files::Files;
use crate::tail::Traces;

const MAGIC: &[u8; 8] = b"PLMPEND1";
/// What a file is called, before the dot and what tells it from others.
const NAME: &str = "pending";
/// A file that [`Files::replace`] did not get to name.
const DRAFT: &str = "draft";

/// The files beside the log: that of this opening, and those of openings before it as long as they are needed.
#[derive(Debug)]
pub struct Beside {
    folder: PathBuf,
    own: PathBuf,
    older: Mutex<Vec<PathBuf>>,
}

impl Beside {
    /// Finds the files in the log's folder, and the traces that they name: at the last flush before a crash, or at the clean stop.
    pub fn open(files: &dyn Files, folder: &Path) -> Result<(Self, Vec<(Tenant, TraceId)>), StoreError> {
        loop {
            let mut older = files.list(folder).map_err(StoreError::io(folder))?;
            older.retain(|path| is_of_an_opening(path));
            // One that is gone since has another in its place, of a server that was taken over and does not know it yet.
            let Some(read) =
                older.iter().map(|path| read(files, path)).collect::<Result<Option<Vec<_>>, _>>()?
            else {
                continue;
            };
            let own = folder.join(format!("{NAME}.{}", Uuid::new_v4().simple()));
            let beside = Self { folder: folder.to_owned(), own, older: Mutex::new(older) };
            return Ok((beside, read.concat()));
        }
    }

    /// After a clean stop, when nothing is left to be settled again.
    pub fn remove(&self, files: &dyn Files) -> Result<(), StoreError> {
        self.remove_older(files)?;
        remove(files, &self.own)?;
        files.sync_dir(&self.folder).map_err(StoreError::io(&self.folder))
    }

    fn remove_older(&self, files: &dyn Files) -> Result<(), StoreError> {
        let mut older = self.older.lock();
        while let Some(path) = older.last() {
            remove(files, path)?;
            older.pop();
        }
        Ok(())
    }
}

/// The encoded file.
#[derive(Debug)]
pub struct Pending(Vec<u8>);

impl Pending {
    pub fn of(traces: &Traces, restating: &Restating) -> Self {
        let mut bytes = MAGIC.to_vec();
        for (tenant, trace_id) in traces.pending().chain(restating.traces()) {
            bytes.push(tenant.as_str().len() as u8);
            bytes.extend_from_slice(tenant.as_str().as_bytes());
            bytes.extend_from_slice(trace_id.bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Self(bytes)
    }

    pub fn write(&self, files: &dyn Files, beside: &Beside) -> Result<(), StoreError> {
        files.replace(&beside.own, &self.0).map_err(StoreError::io(&beside.own))?;
        beside.remove_older(files)
    }
}

fn is_of_an_opening(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == NAME) && path.extension().is_none_or(|of| of != DRAFT)
}

/// `None` where there is no such file.
fn read(files: &dyn Files, path: &Path) -> Result<Option<Vec<(Tenant, TraceId)>>, StoreError> {
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(path)(error)),
    };
    let traces = parse(&bytes).ok_or_else(|| StoreError::BadFormat {
        path: path.to_owned(),
        problem: "damaged; remove it to start without settling again what a crash interrupted".into(),
    })?;
    Ok(Some(traces))
}

fn remove(files: &dyn Files, path: &Path) -> Result<(), StoreError> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<(Tenant, TraceId)>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut traces = Vec::new();
    while let Some((len, tail)) = rest.split_first() {
        let (tenant, tail) = tail.split_at_checked(usize::from(*len))?;
        let (id, tail) = tail.split_at_checked(TraceId::BYTES)?;
        traces.push((Tenant::new(std::str::from_utf8(tenant).ok()?).ok()?, TraceId::from_wire(id)?));
        rest = tail;
    }
    Some(traces)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use object_store::memory::InMemory;

    use super::*;
    use crate::files::faulty::{Fault, FaultyFiles, Restart};
    use crate::home::BucketLog;

    fn naming(traces: &[u64]) -> Pending {
        let mut named = Traces::default();
        for trace in traces {
            named.revive(&Tenant::default(), trace_id(*trace), Instant::now());
        }
        Pending::of(&named, &Restating::default())
    }

    fn trace_id(number: u64) -> TraceId {
        TraceId::from_wire(&[[1; 8], number.to_be_bytes()].concat()).expect("an id")
    }

    fn open(files: &dyn Files) -> (Beside, Vec<u64>) {
        let (beside, found) = Beside::open(files, Path::new("wal")).expect("it opens");
        let number = |id: &TraceId| (0..10).find(|number| trace_id(*number) == *id).expect("one of ours");
        let mut found: Vec<u64> = found.iter().map(|(_, id)| number(id)).collect();
        found.sort_unstable();
        found.dedup();
        (beside, found)
    }

    #[test]
    fn who_was_taken_over_takes_nothing_from_the_one_after() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let files = BucketLog::new(Arc::new(InMemory::new()), runtime.handle().clone());
        let (first, found) = open(&files);
        assert_eq!(found, [0; 0]);
        naming(&[1, 2]).write(&files, &first).expect("written");
        let (second, found) = open(&files);
        assert_eq!(found, [1, 2]);
        // The first one wakes up before the second one's flush, and after it.
        naming(&[2]).write(&files, &first).expect("written");
        naming(&[1, 2, 3]).write(&files, &second).expect("written");
        naming(&[]).write(&files, &first).expect("written");
        assert_eq!(open(&files).1, [1, 2, 3]);
        first.remove(&files).expect("removed");
        let (third, found) = open(&files);
        assert_eq!(found, [1, 2, 3]);
        naming(&[3]).write(&files, &third).expect("written");
        assert_eq!(open(&files).1, [3]);
        third.remove(&files).expect("removed");
        assert_eq!(open(&files).1, [0; 0]);
    }

    #[test]
    fn a_crash_at_any_step_forgets_no_trace() {
        for how in [Restart::Killed, Restart::PowerLost] {
            for seed in 0..5 {
                for operation in 0.. {
                    let files = FaultyFiles::new(seed);
                    files.create_dir_all(Path::new("wal")).expect("no fault");
                    naming(&[1]).write(&files, &open(&files).0).expect("no fault");
                    let (second, _) = open(&files);
                    files.fail_at(files.operations() + operation, Fault::Crash);
                    let written = naming(&[1, 2]).write(&files, &second);
                    let (case, is_written) = (format!("{operation}, {how:?}, seed {seed}"), written.is_ok());
                    files.restart(how);
                    let (third, found) = open(&files);
                    assert!(found == [1, 2] || found == [1] && !is_written, "{case}: {found:?}");
                    naming(&[3]).write(&files, &third).expect("no fault any more");
                    assert_eq!(open(&files).1, [3], "{case}");
                    if is_written {
                        break;
                    }
                }
            }
        }
    }
}
