//! Bytes of headers and records. See [`crate::wal`] for the format.

use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};

use crate::decode::{RecordKind, RecordMeta};

const MAGIC: &[u8; 8] = b"PLMWAL01";
pub const HEADER_LEN: usize = 32;
/// `len` and the checksum.
const PREFIX_LEN: usize = 8;
/// Sequence, ingest time, kind and the tenant's length.
const FIXED_LEN: usize = 18;
/// Far above what any door lets in: a length beyond it is damage, not a record.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// One record of the log.
#[derive(Debug, Clone)]
pub struct Record {
    pub seq: u64,
    pub meta: RecordMeta,
    pub payload: Bytes,
}

pub fn header(id: uuid::Uuid, first_seq: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..24].copy_from_slice(id.as_bytes());
    header[24..].copy_from_slice(&first_seq.to_le_bytes());
    header
}

/// The log's id and the segment's first sequence; `None` if it is not a header.
pub fn parse_header(bytes: &[u8]) -> Option<(uuid::Uuid, u64)> {
    let bytes = bytes.first_chunk::<HEADER_LEN>()?;
    let id = bytes.strip_prefix(MAGIC)?.first_chunk::<16>()?;
    let first = u64::from_le_bytes(*bytes.last_chunk::<8>()?);
    Some((uuid::Uuid::from_bytes(*id), first))
}

pub fn encode(out: &mut Vec<u8>, seq: u64, meta: &RecordMeta, payload: &[u8]) {
    let tenant = meta.tenant.as_str().as_bytes();
    let len = FIXED_LEN + tenant.len() + payload.len();
    out.reserve(PREFIX_LEN + len);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    let crc_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&meta.ingest.0.to_le_bytes());
    out.push(meta.kind as u8);
    out.push(tenant.len() as u8);
    out.extend_from_slice(tenant);
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[crc_at + 4..]);
    out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record at `at`, and where the next one begins; `None` if there is no valid one.
pub fn decode(bytes: &Bytes, at: usize) -> Option<(Record, usize)> {
    let prefix = bytes.get(at..at.checked_add(PREFIX_LEN)?)?;
    let len = u32::from_le_bytes(*prefix.first_chunk()?) as usize;
    let crc = u32::from_le_bytes(*prefix.last_chunk()?);
    if !(FIXED_LEN..=RECORD_BYTES_MAX).contains(&len) {
        return None;
    }
    let (from, to) = (at + PREFIX_LEN, at + PREFIX_LEN + len);
    let body = bytes.get(from..to)?;
    if crc32c::crc32c(body) != crc {
        return None;
    }
    let seq = u64::from_le_bytes(*body.first_chunk()?);
    let ingest = UnixNanos(i64::from_le_bytes(*body[8..].first_chunk()?));
    let kind = RecordKind::from_byte(body[16])?;
    let payload_at = FIXED_LEN + usize::from(body[17]);
    let tenant = Tenant::new(std::str::from_utf8(body.get(FIXED_LEN..payload_at)?).ok()?).ok()?;
    let meta = RecordMeta { kind, tenant, ingest };
    Some((Record { seq, meta, payload: bytes.slice(from + payload_at..to) }, to))
}

/// Where a valid record begins at or after `at`, found byte by byte: only looked for after damage.
pub fn find(bytes: &Bytes, at: usize) -> Option<usize> {
    (at..bytes.len().saturating_sub(PREFIX_LEN + FIXED_LEN - 1)).find(|i| decode(bytes, *i).is_some())
}
