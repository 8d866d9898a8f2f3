//! Reads bodies within the bounds of one request and of all requests together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::Limits;
use super::refusal::Refusal;

/// Bytes of a body that are made room for at once.
const BELIEVED_BYTES_MAX: usize = 1 << 20;

/// The bytes that all requests under way may hold together.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

/// A request's part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.budget.limit {
            return Err(Refusal::Busy {
                reason: format!("more than {} bytes of requests are under way", self.budget.limit),
                retry_after: Duration::from_secs(1),
            });
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The whole body, if it is within the limits of size and time.
pub async fn read(
    body: Body,
    limits: &Limits,
    extra: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Refusal> {
    let whole = read_whole(body, limits.request_bytes.saturating_add(extra), reservation);
    match tokio::time::timeout(limits.body_time, whole).await {
        Ok(result) => result,
        Err(_) => Err(Refusal::TooSlow(limits.body_time)),
    }
}

async fn read_whole(mut body: Body, limit: usize, reservation: &mut Reservation) -> Result<Bytes, Refusal> {
    // What a client says of its length is believed as far as one may without having seen it.
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit).min(BELIEVED_BYTES_MAX);
    let mut whole = BytesMut::with_capacity(said);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refusal::Malformed(format!("the body ended early: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let fits = if whole.len() + data.len() > limit {
            Err(Refusal::TooLarge { limit, inflated: false })
        } else {
            reservation.grow(data.len())
        };
        if let Err(refusal) = fits {
            drop(whole);
            drain(body, limit).await;
            return Err(refusal);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads on for a while without keeping anything: a client that still writes when the connection is closed
/// sees a reset instead of the answer.
async fn drain(mut body: Body, limit: usize) {
    let mut left = limit;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            if read > left {
                return;
            }
            left -= read;
        }
    };
    // Past the time the client gets its reset.
    let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
}
