//! Which requests were accepted of late: a request that is sent again, because its acknowledgement was lost, is recognised
//! by its digest and not kept twice, also after a restart.
//!
//! File: `PLMDIGS1`, then 16 bytes digest and 8 bytes ingest time each, last a CRC-32C; little-endian.

use std::collections::VecDeque;
use std::path::Path;

use plimsoll_schemas::UnixNanos;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::Xxh3;

use crate::decode::RecordMeta;
use crate::error::StoreError;
use crate::files::{Files, replace};

const MAGIC: &[u8; 8] = b"PLMDIGS1";
/// SDKs give up on a request after minutes; at the default batch size this is some thirty million spans.
const REQUESTS_MAX: usize = 65_536;
const AGE_MAX_NS: i64 = 15 * 60 * UnixNanos::NANOS_PER_SECOND;

/// What identifies a request: tenant, kind and payload.
pub fn digest(meta: &RecordMeta, payload: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(meta.tenant.as_str().as_bytes());
    hash.update(&[0, meta.kind as u8]);
    hash.update(payload);
    hash.digest128()
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Digests {
    order: VecDeque<(u128, UnixNanos)>,
    known: FxHashSet<u128>,
}

impl Digests {
    pub fn contains(&self, digest: u128) -> bool {
        self.known.contains(&digest)
    }

    /// False if it was known already.
    pub fn insert(&mut self, digest: u128, ingest: UnixNanos) -> bool {
        if !self.known.insert(digest) {
            return false;
        }
        self.order.push_back((digest, ingest));
        while let Some((oldest, at)) = self.order.front().copied() {
            if self.order.len() <= REQUESTS_MAX && (ingest - at).0 <= AGE_MAX_NS {
                break;
            }
            self.order.pop_front();
            self.known.remove(&oldest);
        }
        true
    }

    /// What was saved; nothing where there is no file. A damaged one is reported and left out: the worst that
    /// follows is that a request is kept twice, which reads and merges collapse.
    pub fn load(files: &dyn Files, path: &Path) -> Self {
        let mut digests = Self::default();
        let Ok(bytes) = files.read(path) else { return digests };
        let entries = bytes.split_last_chunk::<4>().and_then(|(body, crc)| {
            (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then(|| body.strip_prefix(MAGIC)).flatten()
        });
        let Some(entries) = entries else {
            tracing::warn!(path = %path.display(), "damaged; requests sent again from before the restart may not be recognised");
            return digests;
        };
        for entry in entries.chunks_exact(24) {
            let (Some(digest), Some(at)) = (entry.first_chunk::<16>(), entry.last_chunk::<8>()) else {
                continue;
            };
            digests.insert(u128::from_le_bytes(*digest), UnixNanos(i64::from_le_bytes(*at)));
        }
        digests
    }

    pub fn save(&self, files: &dyn Files, path: &Path) -> Result<(), StoreError> {
        let mut bytes = MAGIC.to_vec();
        for (digest, at) in &self.order {
            bytes.extend_from_slice(&digest.to_le_bytes());
            bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        replace(files, path, &bytes)
    }
}
