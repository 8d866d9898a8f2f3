//! Peers that are slow, many, or do not speak the protocol; and closing while some are at work.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use plimsoll_collector::doors::{ConnectionLimits, Limits};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::doors::{PROTO, Server, request, start, start_until};

const SOON: Duration = Duration::from_millis(100);

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// A gRPC call by hand: its status and message.
    async fn call(&self, path: &str, encoding: Option<&str>, body: Bytes) -> (String, String) {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
        let mut call = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = encoding {
            call = call.header("grpc-encoding", encoding);
        }
        let answer = client.request(call.body(Full::new(body)).expect("a call")).await.expect("answers");
        let headers = answer.headers().clone();
        let trailers =
            answer.into_body().collect().await.expect("a body").trailers().cloned().unwrap_or_default();
        let of = |name: &str| {
            let value = headers.get(name).or(trailers.get(name));
            value.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        (of("grpc-status"), of("grpc-message"))
    }
}

fn framed(flag: u8, length: usize, message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(flag);
    framed.put_u32(length as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Everything until the peer closes; whatever way it does that.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).to_lowercase()
}

#[tokio::test]
async fn grpc_that_is_not_quite_has_its_status() {
    const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let server = start(Limits::default()).await;
    let message = request("a").encode_to_vec();
    let whole = framed(0, message.len(), &message);
    for (path, encoding, body, status, says) in [
        (EXPORT, None, whole.clone(), "0", ""),
        (EXPORT, None, framed(0, 0, b""), "0", ""),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            None,
            whole.clone(),
            "12",
            "is%20not%20served",
        ),
        (EXPORT, Some("br"), whole.clone(), "12", "br"),
        (EXPORT, None, framed(0, message.len() + 1, &message), "3", "length"),
        (EXPORT, None, framed(7, message.len(), &message), "3", "flag"),
        (EXPORT, None, Bytes::from_static(b"\0\0"), "3", "no%20whole%20message"),
        (EXPORT, Some("gzip"), framed(1, message.len(), &message), "3", "damaged"),
    ] {
        let (got, said) = server.call(path, encoding, body).await;
        let said = said.replace(' ', "%20");
        assert_eq!(got, status, "{path} {encoding:?}: {said}");
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn slow_peers_are_let_go() {
    let connections = ConnectionLimits { header_time: SOON, ..ConnectionLimits::default() };
    let server = start(Limits { body_time: SOON, connections, ..Limits::default() }).await;
    let mut header = server.connect().await;
    header.write_all(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n").await.expect("writes");
    let answer = rest(&mut header).await;
    assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
    // Says nothing at all, or not enough to tell which protocol it speaks.
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut silent = server.connect().await;
        silent.write_all(said).await.expect("writes");
        assert_eq!(rest(&mut silent).await, "");
    }
    let mut body = server.connect().await;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{PROTO}content-length: 100\r\n\r\n"
    );
    body.write_all(head.as_bytes()).await.expect("writes");
    let answer = rest(&mut body).await;
    assert!(answer.starts_with("http/1.1 408") && answer.contains("within 0.1 s"), "{answer}");
    // Others are served all the while.
    let (head, _) = server.post(PROTO, &request("a").encode_to_vec()).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[tokio::test]
async fn above_the_bound_connections_wait_for_their_turn() {
    let connections = ConnectionLimits { connections: 1, ..ConnectionLimits::default() };
    let server = start(Limits { connections, ..Limits::default() }).await;
    let mut first = server.connect().await;
    // Kept alive: its place stays taken after the answer.
    first.write_all(b"OPTIONS /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("writes");
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 204");
    let body = request("a").encode_to_vec();
    let mut second = Box::pin(server.post(PROTO, &body));
    assert!(tokio::time::timeout(SOON, &mut second).await.is_err(), "there is no place for it");
    drop(first);
    let (head, _) = second.await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[tokio::test]
async fn closing_ends_what_is_under_way_and_takes_nothing_new() {
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let server = start_until(Limits::default(), async move { drop(closed.await) }).await;
    let body = request("a").encode_to_vec();
    let mut stream = server.connect().await;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{PROTO}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("writes");
    // It asks for the body: the request has begun.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("an answer");
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
    close.send(()).expect("it listens");
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(&body).await.expect("writes");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
}
