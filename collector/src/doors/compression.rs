//! Inflates bodies through a bounded reader, so that a small request cannot become a large one.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::body::Reservation;
use super::refusal::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

/// What `grpc-accept-encoding` and `accept-encoding` say.
pub const ACCEPTED: &str = "gzip,zstd,deflate,identity";

/// Bounds the memory of a zstd frame's window: 2^26 is the largest request.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

impl Encoding {
    pub fn parse(name: Option<&http::HeaderValue>) -> Result<Self, Refusal> {
        let Some(name) = name else {
            return Ok(Self::Identity);
        };
        let name = String::from_utf8_lossy(name.as_bytes()).trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::Encoding(name)),
        }
    }

    /// The plain bytes, if there are at most `limit`.
    pub fn inflate(
        self,
        bytes: Bytes,
        limit: usize,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Refusal> {
        let packed = &*bytes;
        match self {
            Self::Identity if bytes.len() > limit => Err(Refusal::TooLarge { limit, inflated: false }),
            Self::Identity => Ok(bytes),
            Self::Gzip => read_bounded(MultiGzDecoder::new(packed), limit, reservation),
            Self::Deflate => read_bounded(ZlibDecoder::new(packed), limit, reservation),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed).map_err(damaged)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
                read_bounded(decoder, limit, reservation)
            }
        }
    }
}

fn read_bounded(
    mut reader: impl Read,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Refusal> {
    let mut whole = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let n = reader.read(&mut chunk).map_err(damaged)?;
        if n == 0 {
            return Ok(whole.into());
        }
        if whole.len() + n > limit {
            return Err(Refusal::TooLarge { limit, inflated: true });
        }
        reservation.grow(n)?;
        whole.extend_from_slice(&chunk[..n]);
    }
}

fn damaged(error: std::io::Error) -> Refusal {
    Refusal::Malformed(format!("the compressed body is damaged: {error}"))
}
