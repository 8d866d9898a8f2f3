//! A store with two tenants' traces, and the HTTP API over it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use plimsoll_collector::OtlpDecoder;
use plimsoll_query::{QueryOptions, QueryState, router};
use plimsoll_schemas::retention::Retention;
use plimsoll_schemas::{Rules, Tenant};
use plimsoll_store::home::{Home, Location};
use plimsoll_store::{RecordKind, Store, StoreOptions};
use prost::Message;
use serde_json::Value;
use tower::ServiceExt;

pub const MS: i64 = 1_000_000;
/// The start of everything; a whole second, so that series begin on it.
pub const BEGAN: u64 = 1_760_000_000_000_000_000;
const CLIENT: i32 = 3;

pub struct Fleet {
    pub store: Store,
    pub state: QueryState,
    api: Router,
    home: tempfile::TempDir,
}

impl Fleet {
    /// An empty store, with these OpenSLO documents. Nothing settles but when it is told to.
    pub async fn empty(objectives: &str) -> Self {
        Self::ruled(objectives, Rules::default()).await
    }

    /// The same with configured rules.
    pub async fn ruled(objectives: &str, rules: Rules) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("objectives");
        if !objectives.is_empty() {
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(folder.join("all.yaml"), objectives).expect("writable");
        }
        Self::open(home, rules).await
    }

    /// What is in a folder.
    pub async fn open(home: tempfile::TempDir, rules: Rules) -> Self {
        Self::keeping(home, rules, Retention::default()).await
    }

    /// The same, of which not all is kept for ever.
    pub async fn keeping(home: tempfile::TempDir, rules: Rules, retention: Retention) -> Self {
        Self::with(home, rules, |options| StoreOptions { retention, ..options }).await
    }

    /// The same, of a store with other options than never to do anything by itself.
    pub async fn with(
        home: tempfile::TempDir,
        rules: Rules,
        options: impl FnOnce(StoreOptions) -> StoreOptions,
    ) -> Self {
        let location = Location::Folder(home.path().to_owned());
        let at = Home::open(&location).expect("a home");
        Self::at(at, home, rules, options).await
    }

    async fn at(
        at: Home,
        home: tempfile::TempDir,
        rules: Rules,
        tuned: impl FnOnce(StoreOptions) -> StoreOptions,
    ) -> Self {
        let mut options = StoreOptions::new(home.path());
        options.settle_after = Duration::from_secs(3_600);
        options.merge_every = Duration::from_secs(3_600);
        options.rules = rules.clone();
        let options = tuned(options);
        let store = Store::open_at(at, options, Arc::new(OtlpDecoder)).await.expect("opens");
        let mut options = QueryOptions::new(home.path());
        options.objectives_dir = Some(home.path().join("objectives"));
        options.threads = 2;
        options.rules = rules;
        options.roll_up_every = Duration::from_secs(3_600);
        let state = QueryState::new(store.clone(), options, || Value::Null).expect("starts");
        Self { store, state: state.clone(), api: router(state), home }
    }

    /// Another process on what this one left on disk at this moment, but for some of it: nothing in memory comes along.
    pub async fn copy(&self, gone: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        copy(self.home.path(), home.path(), gone);
        Self::open(home, self.store.rules().clone()).await
    }

    /// The same, which has no room in memory for what it knows of files' contents.
    pub async fn copy_without_filters(&self) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        copy(self.home.path(), home.path(), &[]);
        let location = Location::Folder(home.path().to_owned());
        let at = Home::open(&location).expect("a home").with_filter_bytes(0);
        Self::at(at, home, self.store.rules().clone(), |options| options).await
    }

    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    pub async fn export(&self, tenant: &str, service: &str, spans: Vec<Span>) {
        let resource =
            Resource { attributes: vec![attribute("service.name", text(service))], ..Default::default() };
        let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans,
                ..Default::default()
            }],
        };
        let tenant = Tenant::new(tenant).expect("a tenant");
        let body = request.encode_to_vec().into();
        self.store.ingest(RecordKind::Traces, tenant, body).await.expect("accepted");
    }

    pub async fn settle(&self) {
        self.store.settle_all().await.expect("settles");
    }

    pub async fn send(&self, method: Method, path: &str, body: String) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .expect("a request");
        let answer = self.api.clone().oneshot(request).await.expect("answers");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body:?}")))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.send(Method::GET, path, String::new()).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub async fn judge(&self, tenant: &str, verdict: Value) {
        let path = format!("verdicts?tenant={tenant}");
        let (status, answer) = self.send(Method::POST, &path, verdict.to_string()).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Rows of an answer, or its problem's detail.
    pub async fn sql(&self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        let body = serde_json::json!({ "sql": sql }).to_string();
        let (status, answer) = self.send(Method::POST, "sql", body).await;
        if status != 200 {
            assert_eq!(status, 400, "{answer}");
            return Err(answer["detail"].as_str().unwrap_or_default().to_owned());
        }
        Ok(serde_json::from_value(answer["rows"].clone()).expect("rows"))
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path, gone: &[&str]) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        if gone.iter().any(|name| path.file_name() == Some(name.as_ref())) {
            continue;
        }
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir(&to).expect("a folder");
            copy(&path, &to, &[]);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}

/// The hour around [`BEGAN`], as parameters.
pub fn hour() -> String {
    let (start, end) = bounds();
    format!("start={start}&end={end}")
}

/// The hour around [`BEGAN`].
pub fn bounds() -> (u64, u64) {
    let half = 1_800_000_000_000;
    (BEGAN - half, BEGAN + half)
}

pub fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

pub fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

/// A client span from `from` to `to` milliseconds after [`BEGAN`]; parent 0 is none.
pub fn span(trace: u8, id: u8, parent: u8, name: &str, from: u64, to: u64) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        kind: CLIENT,
        name: name.to_owned(),
        start_time_unix_nano: BEGAN + from * MS as u64,
        end_time_unix_nano: BEGAN + to * MS as u64,
        ..Default::default()
    }
}

pub trait With: Sized {
    fn with(self, key: &str, value: &str) -> Self;
    fn failed(self) -> Self;
}

impl With for Span {
    fn with(mut self, key: &str, value: &str) -> Self {
        self.attributes.push(attribute(key, text(value)));
        self
    }

    fn failed(mut self) -> Self {
        self.status = Some(Status { code: 2, ..Default::default() });
        self
    }
}

/// An agent's request of one model call: the root lasts `total` ms, the call 10 ms less.
pub fn request(trace: u8, total: u64, session: &str) -> Vec<Span> {
    vec![
        span(trace, 1, 0, "invoke_agent a", 0, total)
            .with("gen_ai.operation.name", "invoke_agent")
            .with("gen_ai.conversation.id", session)
            .with("gen_ai.request.model", "m1"),
        span(trace, 2, 1, "chat m1", 5, total - 5)
            .with("gen_ai.operation.name", "chat")
            .with("gen_ai.response.id", &format!("response-{trace}")),
    ]
}
