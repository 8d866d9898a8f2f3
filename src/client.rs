//! A small HTTP/1.1 client of our own API, for the commands that ask a running server.

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{url}: not an address of a server; expected something like http://127.0.0.1:8317")]
    Address { url: String },
    #[error("{url}: {problem}; is `plimsoll serve` running there? --url names another server")]
    Unreachable { url: String, problem: String },
    /// The server's own words.
    #[error("{url}: {detail}")]
    Refused { url: String, detail: String },
}

impl ClientError {
    /// What the server said, without where it is; or all that is known.
    pub fn detail(&self) -> String {
        match self {
            Self::Refused { detail, .. } => detail.clone(),
            other => other.to_string(),
        }
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answered {
    url: String,
    pub status: StatusCode,
    pub retry_after_s: Option<u64>,
    pub body: Bytes,
}

impl Answered {
    /// The body of a success, the server's own words else.
    pub fn success(self) -> Result<Bytes, ClientError> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        Err(ClientError::Refused { detail: detail(self.status, &self.body), url: self.url })
    }
}

#[derive(Debug)]
pub struct Api {
    base: String,
    http: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Api {
    pub fn new(base: &str) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    pub async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send(Method::GET, path, "application/json", Bytes::new()).await
    }

    /// Asks one question; `accept` chooses the form of the answer.
    pub async fn sql(&self, statement: &str, accept: &str) -> Result<Bytes, ClientError> {
        let body = serde_json::json!({ "sql": statement }).to_string();
        self.send(Method::POST, "/api/v1/sql", accept, body.into()).await
    }

    /// Hands something over. What the server says of it, good or bad, is for the caller to read.
    pub async fn post(&self, path: &str, tenant: &str, body: Bytes) -> Result<Answered, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-scope-orgid", tenant)
            .body(Full::new(body))
            .map_err(|_| ClientError::Address { url: self.base.clone() })?;
        let unreachable = |problem: String| ClientError::Unreachable { url: self.base.clone(), problem };
        let answer = self.http.request(request).await.map_err(|e| unreachable(innermost(&e)))?;
        let status = answer.status();
        let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = answer.into_body().collect().await.map_err(|e| unreachable(innermost(&e)))?.to_bytes();
        Ok(Answered { url, status, retry_after_s: after, body })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| ClientError::Address { url: self.base.clone() })?;
        let unreachable = |problem: String| ClientError::Unreachable { url: self.base.clone(), problem };
        let answer = self.http.request(request).await.map_err(|e| unreachable(innermost(&e)))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|e| unreachable(innermost(&e)))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(ClientError::Refused { url, detail: detail(status, &body) })
    }
}

/// The last cause says it best: "connection refused", not "client error (Connect)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The `detail` of `application/problem+json`, or whatever was sent.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    // The doors for telemetry answer with a `Status`, whose words are its `message`.
    let words =
        |p: &serde_json::Value| p.get("detail").or_else(|| p.get("message"))?.as_str().map(str::to_owned);
    let text = problem.as_ref().and_then(words);
    text.unwrap_or_else(|| format!("{status} {}", String::from_utf8_lossy(body).trim()))
}
