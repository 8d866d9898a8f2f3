//! Which traces the next start would have to settle again: one small file, replaced at each flush.
//!
//! Derived rows live in memory until the flush after their settling. A crash before it loses them, and the log
//! may not hold the spans any more that they came from; this file names those traces, so that the next
//! start settles them from the files. So are traces named whose merged spans are to be restated (see `restate.rs`): also
//! when the store is closed, since that waits for no merge. More names than needed do no harm.
//!
//! Format: `PLMPEND1`, then for each trace a length byte, the tenant and 16 bytes of trace id; last a CRC-32C
//! of everything before it, little-endian.

use std::path::Path;

use plimsoll_schemas::{Tenant, TraceId};

use super::restate::Restating;
use crate::error::StoreError;
use crate::files::Files;
use crate::tail::Traces;

const MAGIC: &[u8; 8] = b"PLMPEND1";
const NAME: &str = "pending";

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

    pub fn write(&self, files: &dyn Files, home: &Path) -> Result<(), StoreError> {
        let path = home.join(NAME);
        files.replace(&path, &self.0).map_err(StoreError::io(path))
    }
}

/// The traces that the last flush before a crash named, or the clean stop.
pub fn read(files: &dyn Files, home: &Path) -> Result<Vec<(Tenant, TraceId)>, StoreError> {
    let path = home.join(NAME);
    let bytes = match files.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::Io { path, source: error }),
    };
    parse(&bytes).ok_or_else(|| StoreError::BadFormat {
        path,
        problem: "damaged; remove it to start without settling again what a crash interrupted".into(),
    })
}

pub fn remove(files: &dyn Files, home: &Path) -> Result<(), StoreError> {
    let path = home.join(NAME);
    match files.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { path, source: error })
        }
        _ => files.sync_dir(home).map_err(StoreError::io(home)),
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
