//! Serves the embedded web application. It holds no state and knows no data: the application asks the HTTP API.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Nothing from elsewhere and nothing inline, but for styles: the SQL editor sets them by script.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
/// Paths that belong to other doors: an unknown one among them is an error, not a screen.
const NOT_SCREENS: [&str; 6] = ["/api", "/v1", "/healthz", "/readyz", "/metrics", "/mcp"];

/// Answers every path that is a file of the application, and every other path with its first page.
pub fn router() -> Router {
    Router::new().fallback(serve)
}

async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path();
    let file = ASSETS.iter().find(|(name, _, _)| *name == path);
    let is_screen = !path.starts_with("/assets/")
        && !NOT_SCREENS
            .iter()
            .any(|p| path.strip_prefix(p).is_some_and(|r| r.is_empty() || r.starts_with('/')));
    let index = || ASSETS.iter().find(|(name, _, _)| is_screen && *name == "/index.html");
    let Some((name, plain, gzip)) = file.or_else(index) else {
        return (StatusCode::NOT_FOUND, "nothing is here\n").into_response();
    };
    let mut hasher = DefaultHasher::new();
    plain.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let same = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let zipped =
        headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("gzip"));
    let body = match (same || method == Method::HEAD, zipped) {
        (true, _) => Body::empty(),
        (false, true) => Body::from(*gzip),
        (false, false) => Body::from(*plain),
    };
    let mut response = body.into_response();
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    // Vite names assets by their content.
    let cache = if name.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    out.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    out.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if zipped {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn screens_get_the_first_page_and_other_doors_do_not() {
        for path in ["/", "/explore", "/trace/0123"] {
            let (status, headers, body) = get(path).await;
            assert_eq!(
                (status, headers[CACHE_CONTROL].as_bytes()),
                (StatusCode::OK, b"no-cache".as_slice()),
                "{path}"
            );
            assert!(body.contains("Plimsoll") && headers.contains_key(CONTENT_SECURITY_POLICY));
        }
        for path in ["/api/v2/x", "/v1/traces", "/assets/none.js", "/metrics"] {
            assert_eq!(get(path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn what_did_not_change_is_not_sent_again() {
        let (_, headers, _) = get("/").await;
        let request = Request::get("/").header(IF_NONE_MATCH, headers[ETAG].clone()).body(Body::empty());
        let response = router().oneshot(request.expect("a request")).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }
}
