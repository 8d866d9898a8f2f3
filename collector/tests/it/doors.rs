//! Both protocols through real sockets, on one port, into a fake that records.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use plimsoll_collector::doors::{Doors, Ingest, Limits, serve};
use plimsoll_schemas::Tenant;
use plimsoll_store::{Accepted, DecodeError, IngestError, RecordKind};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::codec::CompressionEncoding;

/// Records what comes, and answers by tenant.
#[derive(Debug, Default)]
struct Fake {
    got: Mutex<Vec<(RecordKind, String, Bytes)>>,
}

impl Ingest for Fake {
    fn ingest(
        &self,
        kind: RecordKind,
        tenant: Tenant,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Accepted, IngestError>> {
        let answer = match tenant.as_str() {
            "full" => Err(IngestError::Overloaded {
                reason: "the tail is full".into(),
                retry_after: Duration::from_millis(1500),
            }),
            "bad" => Err(DecodeError("no such message".into()).into()),
            "partly" => Ok(Accepted { rejected: 2, message: Some("bad ids".into()), ..Accepted::default() }),
            _ => Ok(Accepted::default()),
        };
        self.got.lock().expect("no panic").push((kind, tenant.as_str().to_owned(), payload));
        async move { answer }.boxed()
    }
}

pub struct Server {
    pub address: std::net::SocketAddr,
    fake: Arc<Fake>,
    doors: Doors,
}

pub async fn start(limits: Limits) -> Server {
    start_until(limits, std::future::pending()).await
}

pub async fn start_until(limits: Limits, shutdown: impl Future<Output = ()> + Send + 'static) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let fake = Arc::new(Fake::default());
    let doors = Doors::new(fake.clone(), limits);
    tokio::spawn(serve(listener, doors.clone(), shutdown));
    Server { address, fake, doors }
}

impl Server {
    pub async fn http(&self, line: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.expect("connects");
        let head = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("writes");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
    }

    pub async fn post(&self, headers: &str, body: &[u8]) -> (String, String) {
        let (head, body) = self.http("POST /v1/traces", headers, body).await;
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    async fn grpc(&self) -> TraceServiceClient<tonic::transport::Channel> {
        TraceServiceClient::connect(format!("http://{}", self.address)).await.expect("connects")
    }
}

pub fn request(name: &str) -> ExportTraceServiceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: name.into(), ..Span::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn of_tenant(tenant: &'static str, name: &str) -> tonic::Request<ExportTraceServiceRequest> {
    let mut request = tonic::Request::new(request(name));
    request.metadata_mut().insert("x-scope-orgid", tenant.parse().expect("ascii"));
    request
}

pub const PROTO: &str = "content-type: application/x-protobuf\r\n";
const JSON: &str = "content-type: application/json\r\n";
fn small() -> Limits {
    Limits { request_bytes: 2000, decompressed_bytes: 2000, in_flight_bytes: 1 << 20, ..Limits::default() }
}

#[tokio::test]
async fn both_protocols_on_one_port() {
    let server = start(Limits::default()).await;
    let plain = request("a").encode_to_vec();
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = server.grpc().await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let answer = client.export(request("a")).await.expect("accepted").into_inner();
        assert_eq!(answer.partial_success, None);
    }
    let mut gzip = flate2::read::GzEncoder::new(&*plain, flate2::Compression::fast());
    let mut zlib = flate2::read::ZlibEncoder::new(&*plain, flate2::Compression::fast());
    let (mut gzipped, mut zlibbed) = (Vec::new(), Vec::new());
    std::io::Read::read_to_end(&mut gzip, &mut gzipped).expect("gzip");
    std::io::Read::read_to_end(&mut zlib, &mut zlibbed).expect("zlib");
    let zstd = zstd::encode_all(&*plain, 1).expect("zstd");
    let bodies = [("identity", plain.clone()), ("gzip", gzipped), ("deflate", zlibbed), ("zstd", zstd)];
    for (name, body) in bodies {
        let (head, _) = server.post(&format!("{PROTO}content-encoding: {name}\r\n"), &body).await;
        assert!(head.starts_with("http/1.1 200"), "{name}: {head}");
        assert!(head.contains("access-control-allow-origin: *"));
    }
    let json = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": "01".repeat(16), "spanId": "02".repeat(8), "name": "a"}]}]}]});
    let (head, body) = server.post(JSON, json.to_string().as_bytes()).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "{}");
    let got = server.fake.got.lock().expect("no panic");
    assert_eq!(got.len(), 8);
    assert!(got.iter().all(|g| *g == (RecordKind::Traces, "default".into(), plain.clone().into())));
    assert_eq!(server.doors.status().requests, 8);
}

#[tokio::test]
async fn grpc_refusals_have_the_codes_of_the_specification() {
    let server = start(small()).await;
    let mut client = server.grpc().await;
    let partial = client.export(of_tenant("partly", "a")).await.expect("accepted").into_inner();
    assert_eq!(partial.partial_success.map(|p| p.rejected_spans), Some(2));
    let cases = [
        ("full", "a".to_owned(), Code::Unavailable),
        ("bad", "a".to_owned(), Code::InvalidArgument),
        ("no tenant", "a".to_owned(), Code::InvalidArgument),
        ("t", "a".repeat(5000), Code::ResourceExhausted),
    ];
    for (tenant, name, code) in cases {
        let status = client.export(of_tenant(tenant, &name)).await.expect_err("refused");
        assert_eq!(status.code(), code, "{status}");
        let retries = String::from_utf8_lossy(status.details()).contains("google.rpc.RetryInfo");
        assert_eq!(retries, code == Code::Unavailable);
    }
    let mut zipped = server.grpc().await.send_compressed(CompressionEncoding::Gzip);
    let bomb = zipped.export(request(&"a".repeat(100_000))).await.expect_err("a bomb");
    assert_eq!(bomb.code(), Code::ResourceExhausted);
    assert_eq!((server.doors.status().refused, server.doors.status().rejected_spans), (1, 2));
}

#[tokio::test]
async fn http_refusals_say_what_to_do() {
    let server = start(small()).await;
    let plain = request("a").encode_to_vec();
    let bomb = zstd::encode_all(&*vec![0; 1 << 20], 1).expect("zstd");
    let cases: [(&str, &[u8], &str); 8] = [
        ("content-type: text/plain\r\n", b"x", "415"),
        ("content-type: application/x-protobuf\r\ncontent-encoding: br\r\n", b"x", "415"),
        ("content-type: application/json\r\n", b"{", "400"),
        ("content-type: application/json\r\nx-scope-orgid: a/b\r\n", b"{}", "400"),
        ("content-type: application/json\r\nx-scope-orgid: bad\r\n", b"{}", "400"),
        ("content-type: application/x-protobuf\r\n", &[0; 3000], "413"),
        ("content-type: application/x-protobuf\r\ncontent-encoding: zstd\r\n", &bomb, "413"),
        ("content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\n", &plain, "400"),
    ];
    for (headers, body, status) in cases {
        let (head, _) = server.post(headers, body).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{headers}: {head}");
    }
    let (head, body) = server.post(&format!("{JSON}x-scope-orgid: full\r\n"), b"{}").await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 2"), "{head}");
    assert!(body.contains("\"code\":14"), "{body}");
    let (_, body) = server.post(&format!("{JSON}x-scope-orgid: partly\r\n"), b"{}").await;
    assert!(body.contains("\"rejectedSpans\":\"2\"") && body.contains("bad ids"), "{body}");
    let (head, _) = server.http("GET /v1/traces", "", b"").await;
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: post"), "{head}");
    let (head, body) = server.http("POST /", PROTO, b"").await;
    assert!(head.starts_with("http/1.1 404") && String::from_utf8_lossy(&body).contains("/v1/traces"));
    let (head, _) = server.http("OPTIONS /v1/traces", "access-control-request-headers: a\r\n", b"").await;
    assert!(head.starts_with("http/1.1 204") && head.contains("access-control-allow-headers: a"), "{head}");
}

#[tokio::test]
async fn metrics_are_said_not_to_be_kept() {
    let server = start(Limits::default()).await;
    let (head, body) = server.http("POST /v1/metrics", JSON, b"{\"resourceMetrics\":[]}").await;
    assert!(head.starts_with("http/1.1 200") && String::from_utf8_lossy(&body).contains("not kept"));
    let (head, _) = server.http("POST /v1/metrics", PROTO, &[0xff]).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert_eq!(server.doors.status().metrics_dropped, 1);
    assert!(server.fake.got.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn at_the_bound_of_all_requests_clients_are_asked_to_wait() {
    let server = start(Limits { in_flight_bytes: 10, ..Limits::default() }).await;
    let (head, _) = server.post(PROTO, &request("a").encode_to_vec()).await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1"), "{head}");
}
