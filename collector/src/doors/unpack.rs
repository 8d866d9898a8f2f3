//! Inflates and converts bodies, away from the async threads where that takes long.

use bytes::Bytes;

use super::body::Reservation;
use super::compression::Encoding;
use super::refusal::Refusal;
use super::signal::Signal;
use super::{Limits, json};

/// Work on fewer bytes takes less time than handing it to another thread is worth.
const INLINE_BYTES_MAX: usize = 32 << 10;
/// The same of compressed ones, which may be a thousand times as many.
const INLINE_PACKED_BYTES_MAX: usize = 1 << 10;
/// Bytes of a parsed JSON document for each byte of its text, about: an attribute of 45 bytes is two objects, of which
/// each is a tree node with room for eleven entries.
const TREE_BYTES_PER_BYTE: usize = 32;

/// A body as it came, and what it is said to be.
#[derive(Debug)]
pub struct Packed {
    pub bytes: Bytes,
    pub encoding: Encoding,
    /// JSON of this signal; else protobuf.
    pub json: Option<Signal>,
}

impl Packed {
    /// The plain protobuf. The reservation comes back with what it grew by.
    pub async fn unpack(
        self,
        limits: Limits,
        reservation: Reservation,
    ) -> (Result<Bytes, Refusal>, Reservation) {
        let is_plain = self.encoding == Encoding::Identity;
        let inline_max = if is_plain { INLINE_BYTES_MAX } else { INLINE_PACKED_BYTES_MAX };
        if (is_plain && self.json.is_none()) || self.bytes.len() <= inline_max {
            return self.unpack_here(limits, reservation);
        }
        let work = move || self.unpack_here(limits, reservation);
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn unpack_here(
        self,
        limits: Limits,
        mut reservation: Reservation,
    ) -> (Result<Bytes, Refusal>, Reservation) {
        let plain = self.encoding.inflate(self.bytes, limits.decompressed_bytes, &mut reservation);
        let payload = match (plain, self.json) {
            (Ok(plain), Some(signal)) => reservation
                // One that is large gets through when there are few others, not never.
                .grow(plain.len().saturating_mul(TREE_BYTES_PER_BYTE).min(limits.in_flight_bytes / 2))
                .and_then(|()| json::to_protobuf(signal, &plain))
                .map(Bytes::from),
            (plain, _) => plain,
        };
        (payload, reservation)
    }
}
