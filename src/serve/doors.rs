//! The doors: what is bound where, and who stands behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_collector::doors::{ConnectionLimits, Doors, Limits, serve_connections};
use plimsoll_query::QueryState;
use plimsoll_store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Addresses;
use crate::settings::{Listen, ListenSettings, Settings};

#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("{name} {address}: {source}; choose another address, port 0 for any free one, or off")]
    Bind { name: &'static str, address: String, source: std::io::Error },
    #[error(
        "{name} {address} is not a loopback address, and there is neither TLS nor a token yet: whoever reaches it \
         may read and write everything. Listen on 127.0.0.1, or say --insecure if the network is yours alone"
    )]
    Exposed { name: &'static str, address: String },
}

/// Listeners that are bound, but that nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    http: Option<TcpListener>,
    otlp_grpc: Option<TcpListener>,
    otlp_http: Option<TcpListener>,
}

impl Bound {
    pub async fn bind(listen: &ListenSettings) -> Result<Self, DoorError> {
        Ok(Self {
            http: bind("listen.http", &listen.http, listen.insecure).await?,
            otlp_grpc: bind("listen.otlp_grpc", &listen.otlp_grpc, listen.insecure).await?,
            otlp_http: bind("listen.otlp_http", &listen.otlp_http, listen.insecure).await?,
        })
    }

    pub fn addresses(&self) -> std::io::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok(Addresses {
            http: of(&self.http)?,
            otlp_grpc: of(&self.otlp_grpc)?,
            otlp_http: of(&self.otlp_http)?,
        })
    }

    /// Serves each door until `closed` turns true.
    pub async fn open(
        self,
        settings: &Settings,
        store: &Store,
        closed: watch::Receiver<bool>,
    ) -> Result<JoinSet<std::io::Result<()>>, Box<dyn std::error::Error + Send + Sync>> {
        let mut doors = JoinSet::new();
        let turned = |mut closed: watch::Receiver<bool>| async move {
            // The sender is dropped only with the server itself.
            let _ = closed.wait_for(|closed| *closed).await;
        };
        let otlp = Doors::new(Arc::new(store.clone()), Limits::default());
        for listener in [self.otlp_grpc, self.otlp_http].into_iter().flatten() {
            doors.spawn(plimsoll_collector::doors::serve(listener, otlp.clone(), turned(closed.clone())));
        }
        if let Some(listener) = self.http {
            let counters = move || serde_json::to_value(otlp.status()).unwrap_or_default();
            let state = QueryState::new(store.clone(), settings.query_options(), counters)?;
            let app = plimsoll_query::router(state).fallback_service(plimsoll_ui::router());
            let turned = turned(closed);
            doors.spawn(serve_connections(listener, app, ConnectionLimits::default(), turned));
        }
        Ok(doors)
    }
}

async fn bind(name: &'static str, listen: &Listen, insecure: bool) -> Result<Option<TcpListener>, DoorError> {
    let Listen::At(address) = listen else { return Ok(None) };
    let failed = |source| DoorError::Bind { name, address: address.clone(), source };
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    if !insecure && resolved.iter().any(|a| !a.ip().is_loopback()) {
        return Err(DoorError::Exposed { name, address: address.clone() });
    }
    TcpListener::bind(&resolved[..]).await.map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_is_open_to_all() {
        let exposed = bind("listen.http", &Listen::at("0.0.0.0:0"), false).await.expect_err("exposed");
        assert!(exposed.to_string().contains("--insecure"), "{exposed}");
        assert!(bind("listen.http", &Listen::at("0.0.0.0:0"), true).await.is_ok());
        assert!(bind("listen.http", &Listen::at("127.0.0.1:0"), false).await.is_ok());
        assert!(bind("listen.http", &Listen::Off, false).await.expect("off").is_none());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let first = bind("listen.http", &Listen::at("127.0.0.1:0"), false).await.expect("free").expect("on");
        let address = first.local_addr().expect("bound").to_string();
        let taken = bind("listen.http", &Listen::at(&address), false).await.expect_err("taken");
        assert!(taken.to_string().contains(&address), "{taken}");
    }
}
