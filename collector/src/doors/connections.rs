//! Accepts connections, within bounds: how many, and how long one may take to say what it wants.
//!
//! `axum::serve` has neither bound, and one idle peer per file descriptor would close the doors for everyone.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::first_bytes::FirstBytes;

/// How connections of one door are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open at once; more wait in the listener's queue.
    pub connections: usize,
    /// From being accepted, or from the request before, to the last byte of a request's headers.
    pub header_time: Duration,
    /// A peer that answers no ping for so long is gone.
    pub silence: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        // Half of the usual bound on file descriptors.
        Self { connections: 512, header_time: Duration::from_secs(30), silence: Duration::from_secs(20) }
    }
}

/// Streams of one HTTP/2 connection at once: exporters use one.
const STREAMS_MAX: u32 = 128;
/// Idle connections are probed so often.
const PING_EVERY: Duration = Duration::from_secs(30);
/// When the process has no file descriptor left, it waits for one to be closed.
const BREATH: Duration = Duration::from_millis(100);

/// Serves `router` over HTTP/1 and HTTP/2 (without TLS) until `shutdown`; then ends what is under way.
pub async fn serve_connections(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_time);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(limits.silence);
    let open = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) if is_the_peers(&e) => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // Answers are small and whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let stream = FirstBytes::within(limits.header_time, stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    open.shutdown().await;
    Ok(())
}

fn is_the_peers(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
