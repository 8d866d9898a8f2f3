//! Bytes of headers and records. See [`crate::wal`] for the format.

use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};
use uuid::Uuid;

use crate::decode::{RecordKind, RecordMeta};

const MAGIC: &[u8; 8] = b"PLIMWAL\0";
/// To be raised with every change of the format, also with a new [`RecordKind`]: a build that does not know a
/// record must refuse the log, and not take the record for damage.
const VERSION: u32 = 1;
pub const HEADER_LEN: usize = 40;
/// `len` and the checksum.
const PREFIX_LEN: usize = 8;
/// Sequence, ingest time, place, kind and the tenant's length.
const FIXED_LEN: usize = 22;
/// Far above what any door lets in: a length beyond it is damage, not a record.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// What a record's payload may have.
pub const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES_MAX - FIXED_LEN - Tenant::CHARS_MAX;

/// One record of the log.
#[derive(Debug, Clone)]
pub struct Record {
    pub seq: u64,
    pub meta: RecordMeta,
    /// A part of its segment's bytes, and keeps all of them in memory.
    pub payload: Bytes,
}

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub id: Uuid,
    pub first_seq: u64,
}

/// Why bytes are not a header that this build can go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// Torn or damaged.
    Invalid,
    Version(u32),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(self.id.as_bytes());
        bytes[28..36].copy_from_slice(&self.first_seq.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The id that the bytes say, whether they are a header or not.
    pub fn id_of(bytes: &[u8]) -> Option<Uuid> {
        bytes.get(12..28)?.try_into().ok().map(Uuid::from_bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut fields = Fields(bytes);
        let header = fields.take::<36>().filter(|h| h.starts_with(MAGIC)).ok_or(HeaderError::Invalid)?;
        if fields.u32() != Some(crc32c::crc32c(&header)) {
            return Err(HeaderError::Invalid);
        }
        let mut fields = Fields(&header[MAGIC.len()..]);
        match fields.u32() {
            Some(VERSION) => {}
            other => return Err(other.map_or(HeaderError::Invalid, HeaderError::Version)),
        }
        let id = fields.take().map(Uuid::from_bytes);
        id.zip(fields.u64()).map(|(id, first_seq)| Self { id, first_seq }).ok_or(HeaderError::Invalid)
    }
}

/// Reads and writes the records of one log. Their checksums cover the log's id too, which no client knows: a payload
/// cannot pass for records, and neither can what another log left on the disk.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    salt: u32,
}

/// A record as it lies in a segment.
#[derive(Debug)]
pub struct Found {
    pub record: Record,
    /// The first sequence of the group that it was written with.
    pub group: u64,
    /// Where the next record begins.
    pub end: usize,
}

impl Codec {
    pub fn new(id: Uuid) -> Self {
        Self { salt: crc32c::crc32c(id.as_bytes()) }
    }

    /// Appends a record to `out`: the one at `place` of its group.
    pub fn encode(&self, out: &mut Vec<u8>, seq: u64, place: u32, meta: &RecordMeta, payload: &[u8]) {
        let tenant = meta.tenant.as_str().as_bytes();
        let len = FIXED_LEN + tenant.len() + payload.len();
        debug_assert!(len <= RECORD_BYTES_MAX);
        out.reserve(PREFIX_LEN + len);
        out.extend_from_slice(&(len as u32).to_le_bytes());
        let crc_at = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&meta.ingest.0.to_le_bytes());
        out.extend_from_slice(&place.to_le_bytes());
        out.push(meta.kind as u8);
        out.push(tenant.len() as u8);
        out.extend_from_slice(tenant);
        out.extend_from_slice(payload);
        let crc = crc32c::crc32c_append(self.salt, &out[crc_at + 4..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// The record at `at` if there is a valid one with a sequence in `seqs`. Bytes that are none are recognised by
    /// their first few as a rule, so that looking at every offset of a segment costs little.
    pub fn decode(&self, bytes: &Bytes, at: usize, seqs: &std::ops::RangeInclusive<u64>) -> Option<Found> {
        let mut fields = Fields(bytes.get(at..)?);
        let len = fields.u32()? as usize;
        let crc = fields.u32()?;
        if !(FIXED_LEN..=RECORD_BYTES_MAX).contains(&len) {
            return None;
        }
        let body = fields.0.get(..len)?;
        let seq = fields.u64()?;
        if !seqs.contains(&seq) || crc32c::crc32c_append(self.salt, body) != crc {
            return None;
        }
        let ingest = UnixNanos(fields.u64()?.cast_signed());
        let group = seq.checked_sub(fields.u32()?.into())?;
        let kind = RecordKind::from_byte(fields.take::<1>()?[0])?;
        let tenant_len = usize::from(fields.take::<1>()?[0]);
        let tenant = body.get(FIXED_LEN..FIXED_LEN + tenant_len)?;
        let tenant = Tenant::new(std::str::from_utf8(tenant).ok()?).ok()?;
        let end = at + PREFIX_LEN + len;
        let payload = bytes.slice(at + PREFIX_LEN + FIXED_LEN + tenant_len..end);
        Some(Found { record: Record { seq, meta: RecordMeta { kind, tenant, ingest }, payload }, group, end })
    }
}

/// Little-endian fields, one after the other.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
