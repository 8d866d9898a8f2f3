//! OTLP/gRPC: unary calls, by hand, so that the message reaches the store as it came and every refusal has
//! the code that the OTLP specification wants (a library's own would make clients retry what can never fit).

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, Full};
use prost::Message;

use super::answer::{ExportResponse, RpcStatus};
use super::compression::{ACCEPTED, Encoding};
use super::refusal::{Refusal, code};
use super::signal::Signal;
use super::unpack::Packed;
use super::{Doors, body, tenant};

/// A message's prefix: one byte that says whether it is compressed, four of length.
const PREFIX: usize = 5;
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/grpc")
        || media_type.eq_ignore_ascii_case("application/grpc+proto")
}

pub async fn export(doors: Doors, signal: Signal, request: Request) -> Response {
    let result = take(&doors, signal, request).await;
    doors.count(&result);
    match result {
        Ok(response) => success(&response),
        Err(refusal) => failure(&RpcStatus::new(&refusal)),
    }
}

pub fn unknown_method(path: &str) -> Response {
    let hint = format!(
        "{path} is not served here: the trace, logs and metrics services of OTLP are, \
         as /v1/traces, /v1/logs and /v1/metrics are over HTTP"
    );
    failure(&RpcStatus::plain(code::UNIMPLEMENTED, hint))
}

async fn take(doors: &Doors, signal: Signal, request: Request) -> Result<ExportResponse, Refusal> {
    let limits = doors.inner.limits;
    let (head, body) = request.into_parts();
    let encoding = Encoding::parse(head.headers.get("grpc-encoding"))?;
    let tenant = tenant(&head.headers)?;
    let mut reservation = doors.inner.budget.reservation();
    let framed = body::read(body, &limits, PREFIX, &mut reservation).await?;
    let (compressed, message) = unframe(framed)?;
    let encoding = if compressed { encoding } else { Encoding::Identity };
    let packed = Packed { bytes: message, encoding, json: None };
    let (payload, _reservation) = packed.unpack(limits, reservation).await;
    Ok(ExportResponse::new(doors.accept(signal, tenant, payload?).await?))
}

/// The one message of the call.
fn unframe(mut framed: Bytes) -> Result<(bool, Bytes), Refusal> {
    let malformed = |what: &str| Err(Refusal::Malformed(format!("gRPC frame: {what}")));
    let Some([flag, length @ ..]) = framed.first_chunk::<PREFIX>().copied() else {
        return malformed("there is no whole message");
    };
    let message = framed.split_off(PREFIX);
    if u32::from_be_bytes(length) as usize != message.len() {
        return malformed("the length differs from the message's");
    }
    match flag {
        0 => Ok((false, message)),
        1 => Ok((true, message)),
        _ => malformed("the compression flag is neither 0 nor 1"),
    }
}

fn success(response: &ExportResponse) -> Response {
    let mut framed = BytesMut::with_capacity(PREFIX + response.encoded_len());
    framed.put_u8(0);
    framed.put_u32(response.encoded_len() as u32);
    framed.put_slice(&response.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(framed.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut answer = Response::new(Body::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    answer.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    answer
}

/// Trailers only: the status is in the headers and there is no body.
fn failure(status: &RpcStatus) -> Response {
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    headers.insert("grpc-status", HeaderValue::from(status.code));
    // Both are ASCII by construction.
    if let Ok(message) = HeaderValue::try_from(percent_encoded(&status.message)) {
        headers.insert("grpc-message", message);
    }
    if let Ok(details) = HeaderValue::try_from(STANDARD_NO_PAD.encode(status.encode_to_vec())) {
        headers.insert("grpc-status-details-bin", details);
    }
    answer
}

/// As the gRPC specification has it: printable ASCII but `%` stays. Long messages are cut, for header lists
/// have bounds too.
fn percent_encoded(text: &str) -> String {
    const CHARS_MAX: usize = 1024;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.chars().take(CHARS_MAX).collect::<String>().bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
