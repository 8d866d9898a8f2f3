//! Which traces the next start would have to settle again: one small file, replaced at each flush.
//!
//! Derived rows live in memory until the flush after their settling. A crash before it loses them, and the log
//! may not hold the spans any more that they came from; this file names those traces, so that the next
//! start settles them from the files. So are traces named whose merged spans are to be restated (see `restate.rs`): also
//! when the store is closed, since that waits for no merge. More names than needed do no harm.
//!
//! Each opening writes a file of its own, see [`OwnFile`].
//!
//! Format: `PLMPEND1`, then for each trace a length byte, the tenant and 16 bytes of trace id; last a CRC-32C
//! of everything before it, little-endian.

use std::path::Path;

use plimsoll_schemas::{Tenant, TraceId};

use super::restate::Restating;
use crate::error::StoreError;
use crate::files::{Files, OwnFile};
use crate::tail::Traces;

const MAGIC: &[u8; 8] = b"PLMPEND1";
const NAME: &str = "pending";
/// Of a trace of a tenant whose name is short.
const BYTES_EACH: usize = 32;

/// The file of this opening in the log's folder, and the traces that were named at the last flush before a crash, or at the clean stop.
pub fn open(files: &dyn Files, folder: &Path) -> Result<(OwnFile, Vec<(Tenant, TraceId)>), StoreError> {
    let (own, older) = OwnFile::open(files, folder, NAME)?;
    let mut named = Vec::new();
    for (path, bytes) in older {
        let problem = "damaged; remove it to start without settling again what a crash interrupted";
        let traces = parse(&bytes).ok_or(StoreError::BadFormat { path, problem: problem.into() })?;
        named.extend(traces);
    }
    Ok((own, named))
}

/// The encoded file.
#[derive(Debug)]
pub struct Pending(Vec<u8>);

impl Pending {
    pub fn of(traces: &Traces, restating: &Restating) -> Self {
        let all = traces.pending().chain(restating.traces());
        let mut bytes = Vec::with_capacity(MAGIC.len() + all.size_hint().0 * BYTES_EACH);
        bytes.extend_from_slice(MAGIC);
        for (tenant, trace_id) in all {
            bytes.push(tenant.as_str().len() as u8);
            bytes.extend_from_slice(tenant.as_str().as_bytes());
            bytes.extend_from_slice(trace_id.bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Self(bytes)
    }

    pub fn write(&self, files: &dyn Files, own: &OwnFile) -> Result<(), StoreError> {
        own.replace(files, &self.0)
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

    fn open(files: &dyn Files) -> (OwnFile, Vec<u64>) {
        let (own, found) = super::open(files, Path::new("wal")).expect("it opens");
        let number = |id: &TraceId| (0..10).find(|number| trace_id(*number) == *id).expect("one of ours");
        let mut found: Vec<u64> = found.iter().map(|(_, id)| number(id)).collect();
        found.sort_unstable();
        found.dedup();
        (own, found)
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
