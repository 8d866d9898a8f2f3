//! `plimsoll demo`: a server, and a simulated fleet of agents that exports to it through OpenTelemetry's SDK.
//!
//! The fleet is a simulation of queues, workers and chance, driven by a seed; its incidents come in turn, every hour
//! anew. Nothing of it takes a short cut: its spans come in by the OTLP door, like anyone's.

mod clock;
mod driver;
mod fleet;
mod incident;
mod objectives;
mod request;
mod station;
mod stations;
mod story;
mod telemetry;
#[cfg(test)]
mod tests;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::Demo;
use crate::serve::{Server, stop_signal};
use crate::settings::{Listen, Settings};
use clock::Nanos;
use driver::Driver;
use fleet::Fleet;
use telemetry::Telemetry;

/// Beside real data, never among it.
const HOME: &str = "./plimsoll-data/demo";

pub async fn run(mut demo: Demo) -> crate::Outcome {
    demo.serving.home.get_or_insert_with(|| Path::new(HOME).into());
    if demo.once {
        // Nobody else is meant to connect, and a server may be running on the usual ports.
        let free = || Listen::at("127.0.0.1:0");
        demo.serving.listen_otlp_grpc.get_or_insert_with(free);
        demo.serving.listen_otlp_http.get_or_insert(Listen::Off);
        demo.serving.listen_http.get_or_insert(Listen::Off);
    }
    let settings = demo.serving.settings()?.settings;
    crate::serve::log_to_stderr();
    if let Some(folder) = settings.objectives_folder() {
        objectives::write(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let server = Server::start(&settings).await?;
    let door = server.addresses().otlp_grpc.ok_or("the demo needs the OTLP/gRPC door; do not turn it off")?;
    let end = clock::now();
    let began = end - Nanos::try_from(demo.history.0.as_nanos()).unwrap_or(0);
    let telemetry = Telemetry::new(format!("http://{door}"), demo.seed, began);
    let (store, full) = (server.store().clone(), settings.store.tail_bytes_max.0 as u64 / 2);
    let has_room = move || {
        let status = store.status();
        status.tail_bytes < full || status.poisoned.is_some()
    };
    let driver = Driver::new(Fleet::new(demo.seed, began), telemetry, Box::new(has_room));
    if demo.once { once(server, driver, end, &settings).await } else { live(server, driver, end).await }
}

async fn once(server: Server, mut driver: Driver, end: Nanos, settings: &Settings) -> crate::Outcome {
    let load = move || {
        driver.load_until(end)?;
        driver.complete(end)
    };
    let (spans, verdicts) = tokio::task::spawn_blocking(load).await??;
    let kept = server.store().status().spans;
    if kept != spans {
        return Err(format!("{spans} spans were sent, and {kept} were kept; the log above says why").into());
    }
    server.store().settle_all().await?;
    let traces = server.store().status().settled_traces;
    server.stop().await?;
    let home = &settings.store.home;
    println!("loaded {traces} traces ({spans} spans, {verdicts} verdicts) into {home}");
    println!("open them with: plimsoll serve --home {home}");
    Ok(())
}

async fn live(server: Server, mut driver: Driver, end: Nanos) -> crate::Outcome {
    println!("{}", server.ready_line());
    if let Some(http) = server.addresses().http {
        println!(
            "open http://{http} in a browser; the fleet's past is loading, then it goes on live; ctrl-c ends it"
        );
    }
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let fleet = tokio::task::spawn_blocking(move || {
        driver.load_until(end)?;
        driver.live(&told)
    });
    stop_signal().await;
    stop.store(true, Ordering::Relaxed);
    // First the doors: the fleet's exporters give up sooner on a closed door than on a slow one.
    let stopped = server.stop().await;
    fleet.await??;
    stopped
}
