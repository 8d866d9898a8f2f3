//! Inflates and converts bodies, away from the async threads where that takes long.

use bytes::Bytes;

use super::body::Reservation;
use super::compression::Encoding;
use super::refusal::Refusal;
use super::signal::Signal;
use super::{Limits, json};

/// Work on fewer bytes takes less time than handing it to another thread is worth.
const INLINE_BYTES_MAX: usize = 32 << 10;
/// Bytes of a parsed JSON document for each byte of its text, about: a `{}` in a list is 3 bytes of text and 32 of tree.
const TREE_BYTES_PER_BYTE: usize = 12;

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
        let nothing_to_do = self.encoding == Encoding::Identity && self.json.is_none();
        if nothing_to_do || self.bytes.len() <= INLINE_BYTES_MAX {
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
                .grow(plain.len().saturating_mul(TREE_BYTES_PER_BYTE))
                .and_then(|()| json::to_protobuf(signal, &plain))
                .map(Bytes::from),
            (plain, _) => plain,
        };
        (payload, reservation)
    }
}
