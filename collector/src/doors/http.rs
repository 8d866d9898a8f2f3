//! OTLP/HTTP: protobuf and JSON, answered in the request's own encoding, for SDKs and for browsers.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use prost::Message;

use super::answer::{ExportResponse, RpcStatus};
use super::compression::{ACCEPTED, Encoding};
use super::refusal::Refusal;
use super::signal::Signal;
use super::unpack::Packed;
use super::{Doors, body, tenant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let whole = headers
            .get(header::CONTENT_TYPE)
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .unwrap_or_default();
        let media_type = whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::ContentType(media_type)),
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

pub async fn export(doors: Doors, signal: Signal, request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    let format = Format::of(request.headers());
    let answered_in = *format.as_ref().unwrap_or(&Format::Json);
    let result = match format {
        _ if request.method() != Method::POST => Err(Refusal::Method(request.method().to_string())),
        Ok(format) => take(&doors, signal, format, request).await,
        Err(refusal) => Err(refusal),
    };
    doors.count(&result);
    let (status, bytes) = match &result {
        Ok(response) => (
            StatusCode::OK,
            match answered_in {
                Format::Protobuf => response.encode_to_vec(),
                Format::Json => response.to_json(signal),
            },
        ),
        Err(refusal) => {
            let status = RpcStatus::new(refusal);
            (
                refusal.http_status(),
                match answered_in {
                    Format::Protobuf => status.encode_to_vec(),
                    Format::Json => status.to_json(),
                },
            )
        }
    };
    let mut answer = (status, Body::from(bytes)).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, answered_in.content_type());
    match &result {
        Err(Refusal::Busy { retry_after, .. }) => {
            let seconds = retry_after.as_millis().div_ceil(1000).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(1)));
        }
        Err(Refusal::Method(_)) => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        }
        Err(Refusal::Encoding(_)) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        }
        _ => {}
    }
    answer
}

/// Lets browsers' SDKs send from any page.
pub fn preflight(asked: &HeaderMap) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    // A `*` would leave out `Authorization`; whatever the page asks for may be sent.
    let allowed = asked
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned()
        .unwrap_or(HeaderValue::from_static("content-type, content-encoding, x-scope-orgid"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    answer
}

async fn take(
    doors: &Doors,
    signal: Signal,
    format: Format,
    request: Request,
) -> Result<ExportResponse, Refusal> {
    let limits = doors.inner.limits;
    let (head, body) = request.into_parts();
    let encoding = Encoding::parse(head.headers.get(header::CONTENT_ENCODING))?;
    let tenant = tenant(&head.headers)?;
    let mut reservation = doors.inner.budget.reservation();
    let bytes = body::read(body, &limits, 0, &mut reservation).await?;
    let packed = Packed { bytes, encoding, json: (format == Format::Json).then_some(signal) };
    let (payload, _reservation) = packed.unpack(limits, reservation).await;
    Ok(ExportResponse::new(doors.accept(signal, tenant, payload?).await?))
}
