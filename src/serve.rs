//! `plimsoll serve`: opens the store, then the doors, says that it is ready, and closes in the reverse order.

mod doors;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{Location, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::Serving;
use crate::settings::{Listen, Settings};
use doors::Bound;

/// What is still at a door when it closes gets this long to finish.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Settling and writing what is in memory. After that the log has it, and the next start replays it.
const CLOSE_MAX: Duration = Duration::from_secs(60);
/// Delta's kernel calls it an error that a table which is about to be created is not there yet.
const LOG_FILTER: &str = "warn,plimsoll=info,buoyant_kernel::snapshot=off";

pub async fn run(serving: &Serving) -> crate::Outcome {
    log_to_stderr();
    let settings = serving.settings()?.settings;
    let server = Server::start(&settings).await?;
    let stop = stop_signal();
    println!("{}", server.ready_line());
    stop.await;
    server.stop().await
}

/// Where the doors are; `None` is off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    pub http: Option<SocketAddr>,
    pub otlp_grpc: Option<SocketAddr>,
    pub otlp_http: Option<SocketAddr>,
}

/// A server at work.
#[derive(Debug)]
pub struct Server {
    addresses: Addresses,
    store: Store,
    closing: watch::Sender<bool>,
    doors: JoinSet<std::io::Result<()>>,
}

impl Server {
    pub async fn start(settings: &Settings) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // Bound first: a port that is taken is found before any file is touched.
        let mut listen = settings.listen.clone();
        if settings.store.read_only {
            (listen.otlp_grpc, listen.otlp_http) = (Listen::Off, Listen::Off);
        }
        let bound = Bound::bind(&listen).await?;
        let addresses = bound.addresses()?;
        let decoder = Arc::new(plimsoll_collector::OtlpDecoder);
        let options = settings.store_options();
        let store = match settings.store.read_only {
            true => Store::open_to_read(options, decoder).await?,
            false => Store::open(options, decoder).await?,
        };
        let (closing, closed) = watch::channel(false);
        let doors = bound.open(settings, &store, closed).await?;
        Ok(Self { addresses, store, closing, doors })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// One line for people and for programs that wait for it: `key=value`, separated by blanks.
    pub fn ready_line(&self) -> String {
        let door = |name: &str, address: Option<SocketAddr>| match address {
            Some(address) => format!(" {name}=http://{address}"),
            None => format!(" {name}=off"),
        };
        let Addresses { http, otlp_grpc, otlp_http } = self.addresses;
        let doors = [door("http", http), door("otlp-grpc", otlp_grpc), door("otlp-http", otlp_http)];
        format!("plimsoll is ready:{}", doors.concat())
    }

    /// Closes the doors, lets requests finish, then settles and flushes. Nothing that was acknowledged depends on it.
    pub async fn stop(mut self) -> crate::Outcome {
        self.closing.send_replace(true);
        let drained = async {
            while let Some(door) = self.doors.join_next().await {
                if let Ok(Err(error)) = door {
                    tracing::warn!(%error, "a door did not close well");
                }
            }
        };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("clients were cut off after {} s", DRAIN_MAX.as_secs());
            self.doors.abort_all();
        }
        self.store.close(CLOSE_MAX).await?;
        Ok(())
    }
}

/// Serves a home to this process alone, on free ports of loopback, until `work` is done; then settles and closes it.
pub async fn alone(home: &Location, work: impl AsyncFnOnce(Addresses) -> crate::Outcome) -> crate::Outcome {
    let free = || "127.0.0.1:0".parse();
    let serving = Serving {
        home: Some(home.clone()),
        listen_http: Some(free()?),
        listen_otlp_grpc: Some("off".parse()?),
        listen_otlp_http: Some(free()?),
        ..Serving::default()
    };
    let server = Server::start(&serving.settings()?.settings).await?;
    let done = work(server.addresses()).await;
    server.stop().await?;
    done
}

/// Resolves at SIGTERM or ctrl-c. Listens from the call on, also before it is awaited.
pub fn stop_signal() -> impl Future<Output = ()> {
    let listen = |kind| {
        let listening = signal(kind);
        async move {
            match listening {
                Ok(mut listening) => listening.recv().await,
                // Where it cannot be listened for, it is not waited for.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let (terminate, interrupt) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    async move {
        tokio::select! {
            _ = terminate => {}
            _ = interrupt => {}
        }
    }
}

/// What happened goes to standard error; `PLIMSOLL_LOG` says how much of it, as in `debug` or `plimsoll_store=trace`.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PLIMSOLL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(LOG_FILTER));
    let colours = std::io::stderr().is_terminal();
    // Someone else's subscriber, as in a test, stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .try_init();
}

/// The OpenSLO documents of a folder, by name; none where there is no folder.
pub fn objective_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(format!("{}: {e}", folder.display())),
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_yaml).collect();
    files.sort();
    Ok(files)
}
