//! What does it cost to take a span in, all told: doors, decode, log with fsync, settle, flush? And how many bytes does it lie on?
//!
//! `cargo bench --bench ingest -- --spans 1000000 --connections 4`; with `--rate 50000`, how long an acknowledgement takes
//! at so many spans a second. With `--merge-every 5`, files are merged meanwhile, and that is counted too. With `--prompt-bytes 8000`
//! model calls have prompts of 8,000 bytes on average, and with `--request-spans 16` requests are of 16 spans or a few more.

#[allow(dead_code)] // Each bench uses its part of what they share.
mod common;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use common::http::Client;
use common::load::{Load, Request, SPANS_PER_REQUEST};
use common::server::Server;
use common::{argument, quantile};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

fn main() {
    let spans = argument("spans", 1_000_000) as usize;
    let connections = argument("connections", 4) as usize;
    // Spans a second; 0: as fast as they are acknowledged.
    let rate = argument("rate", 0);
    // Seconds; 0: merging is measured apart, and begins when all is long flushed.
    let merge_every = argument("merge-every", 0);
    let mut load = Load::new(7, now() - 3_600_000_000_000, 60_000_000);
    load.spans_per_request = argument("request-spans", SPANS_PER_REQUEST as u64) as usize;
    load.prompt_bytes = argument("prompt-bytes", 0) as usize;
    let home = tempfile::tempdir().expect("a temporary folder");
    let rate_at_least = if rate > 0 { rate } else { 60_000 };
    let merge_after = if merge_every > 0 { merge_every } else { spans as u64 / rate_at_least + 30 };
    let merge_after = format!("{merge_after}s");
    let settings =
        [("PLIMSOLL__STORE__MERGE_EVERY", merge_after.as_str()), ("PLIMSOLL__STORE__FLUSH_AFTER", "10s")];
    let server = Server::start(home.path(), &settings);
    let (idle, begun) = (server.cpu(), Instant::now());
    let (mut waits, mut sent, mut wire) = (Vec::new(), 0, 0);
    let (made, requests) = std::sync::mpsc::sync_channel(REQUESTS_AHEAD);
    let requests = Mutex::new(requests);
    let next = || requests.lock().expect("not poisoned").recv();
    std::thread::scope(|scope| {
        scope.spawn(move || make(load, spans, rate, begun, made));
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(&server.otlp).expect("the server listens");
                    let (mut waits, mut sent, mut wire) = (Vec::new(), 0, 0);
                    while let Ok((due, request)) = next() {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        // From when it was due, so that what waits for a slow answer before it counts too.
                        let begun = if rate > 0 { due } else { Instant::now() };
                        while client
                            .post("/v1/traces", "application/x-protobuf", &request.bytes)
                            .expect("answers")
                            .status
                            != 200
                        {
                            std::thread::sleep(Duration::from_millis(50));
                        }
                        waits.push(begun.elapsed().as_secs_f64() * 1e3);
                        sent += request.spans;
                        wire += request.bytes.len();
                    }
                    (waits, sent, wire)
                })
            })
            .collect();
        for sender in senders {
            let (w, s, b) = sender.join().expect("a sender ends");
            waits.extend(w);
            sent += s;
            wire += b;
        }
    });
    let took = begun.elapsed();
    server.wait_until_flushed();
    let cpu = server.cpu() - idle;
    waits.sort_by(f64::total_cmp);
    let per_span = |d: Duration| d.as_secs_f64() * 1e6 / sent as f64;
    println!("spans                        {sent}");
    println!("wire bytes a span            {:.0}", wire as f64 / sent as f64);
    println!("spans a second, {connections} senders   {:.0}", sent as f64 / took.as_secs_f64());
    println!("CPU µs a span, all-in        {:.2}", per_span(cpu));
    let by_prost = decoding_by_prost();
    println!(
        "decoding by prost alone      {by_prost:.2} µs a span: all-in is {:.2} times that",
        per_span(cpu) / by_prost
    );
    println!("acknowledgement p50 / p99    {:.2} / {:.2} ms", quantile(&waits, 0.5), quantile(&waits, 0.99));
    println!("peak memory                  {} MiB", server.peak_memory() >> 20);
    bytes("bytes a span, flushed", &server, sent);
    if merge_every > 0 {
        println!("merges                       {}", server.system()["merges"]);
        return;
    }
    assert_eq!(server.system()["merges"], 0, "it merged while it took spans in");
    // What goes on until then, rollups most of all, is not its cost.
    let merges = "SELECT count(*) FROM plimsoll.jobs WHERE kind = 'merge'";
    let deadline = Instant::now() + Duration::from_secs(600);
    let mut idle = server.cpu();
    while common::rows(&server, merges)[0][0] == 0 {
        assert!(Instant::now() < deadline, "no merge within ten minutes");
        std::thread::sleep(Duration::from_millis(100));
        idle = server.cpu();
    }
    while common::recent_files(&server) > 0 {
        assert!(Instant::now() < deadline, "not merged after ten minutes");
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("CPU µs a span, merge         {:.2}", per_span(server.cpu() - idle));
    bytes("bytes a span, merged", &server, sent);
}

/// What it takes to do no more than to read such requests by generated code, in µs a span: a measure of the machine at that time.
fn decoding_by_prost() -> f64 {
    let mut load = Load::new(8, now(), 60_000_000);
    let requests: Vec<Request> = (0..200).map(|_| load.request()).collect();
    let begun = Instant::now();
    for request in &requests {
        black_box(ExportTraceServiceRequest::decode(request.bytes.as_slice()).expect("a request"));
    }
    begun.elapsed().as_secs_f64() * 1e6 / requests.iter().map(|request| request.spans).sum::<usize>() as f64
}

/// Requests that are made before they are sent: making them must not slow their senders.
const REQUESTS_AHEAD: usize = 64;

/// Makes requests, each with the moment at which it is due.
fn make(mut load: Load, spans: usize, rate: u64, begun: Instant, made: SyncSender<(Instant, Request)>) {
    let mut sent = 0;
    while sent < spans {
        let request = load.request();
        let due = if rate == 0 { Duration::ZERO } else { Duration::from_secs_f64(sent as f64 / rate as f64) };
        sent += request.spans;
        if made.send((begun + due, request)).is_err() {
            return;
        }
    }
}

fn bytes(what: &str, server: &Server, spans: usize) {
    for table in server.system()["tables"].as_array().into_iter().flatten() {
        let bytes = table["bytes"].as_f64().unwrap_or(f64::NAN);
        if bytes > 0.0 {
            println!("{what:<24} {:<12} {:.1}", table["table"].as_str().unwrap_or("?"), bytes / spans as f64);
        }
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64
}
