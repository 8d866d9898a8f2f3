//! Which requests were accepted of late: a request that is sent again, because its acknowledgement was lost, is recognised
//! by its digest and not kept twice, also after a restart.
//!
//! A window: the last 65,536 requests, and of those the ones received within 15 minutes before the request that asks.
//!
//! File, of which each opening has one of its own: `PLMDIGS1`, then 16 bytes digest and 8 bytes ingest time each, last a CRC-32C; little-endian.

use std::collections::VecDeque;

use plimsoll_schemas::UnixNanos;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::decode::RecordMeta;
use crate::files::Older;

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
    known: FxHashMap<u128, UnixNanos>,
}

impl Digests {
    /// Whether the request was accepted within the window that ends at `now`.
    pub fn contains(&self, digest: u128, now: UnixNanos) -> bool {
        self.known.get(&digest).is_some_and(|at| !is_old(*at, now))
    }

    /// Does nothing if it is known already.
    pub fn insert(&mut self, digest: u128, ingest: UnixNanos) {
        if self.contains(digest, ingest) {
            return;
        }
        self.order.push_back((digest, ingest));
        self.known.insert(digest, ingest);
        while let Some((oldest, at)) = self.order.front().copied() {
            if self.order.len() <= REQUESTS_MAX && !is_old(at, ingest) {
                break;
            }
            self.order.pop_front();
            if self.known.get(&oldest) == Some(&at) {
                self.known.remove(&oldest);
            }
        }
    }

    /// What was saved. A damaged file is reported and left out: the worst that follows is that a request is kept twice,
    /// which reads and merges collapse.
    pub fn of(saved: Vec<Older>) -> Self {
        let mut all = Vec::new();
        for (path, bytes) in saved {
            match entries(&bytes) {
                Some(entries) => all.extend(entries),
                None => tracing::warn!(
                    path = %path.display(),
                    "damaged: requests from before the restart that are sent again may be kept twice"
                ),
            }
        }
        all.sort_unstable_by_key(|(_, at)| *at);
        let mut digests = Self::default();
        all.into_iter().for_each(|(digest, at)| digests.insert(digest, at));
        digests
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.reserve(24 * self.order.len() + 4);
        for (digest, at) in &self.order {
            bytes.extend_from_slice(&digest.to_le_bytes());
            bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

fn is_old(at: UnixNanos, now: UnixNanos) -> bool {
    (now - at).0 > AGE_MAX_NS
}

fn entries(bytes: &[u8]) -> Option<impl Iterator<Item = (u128, UnixNanos)>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some(body.strip_prefix(MAGIC)?.chunks_exact(24).filter_map(|entry| {
        let (digest, at) = entry.split_first_chunk::<16>()?;
        Some((u128::from_le_bytes(*digest), UnixNanos(i64::from_le_bytes(*at.first_chunk()?))))
    }))
}
