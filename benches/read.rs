//! How fast is a trace found by its id, one aggregate over every span, and each analysis over all of them?
//!
//! `cargo bench --bench read -- --spans 2000000 --hours 24`

#[allow(dead_code)] // Each bench uses its part of what they share.
mod common;

use std::time::{Duration, Instant};

use common::load::Load;
use common::server::Server;
use common::{argument, quantile, rows};

const LOOKUPS: usize = 500;
const AGGREGATES: [(&str, &str); 3] = [
    ("count and mean by service", "SELECT service_name, count(*), avg(duration_ns) FROM spans GROUP BY 1"),
    ("p99 by stage", "SELECT stage, hdr_quantile(duration_ns, 0.99) FROM stage_runs GROUP BY 1"),
    ("tokens by model", "SELECT gen_ai_request_model, sum(gen_ai_usage_input_tokens) FROM spans GROUP BY 1"),
];

fn main() {
    let spans = argument("spans", 2_000_000) as usize;
    let range_ns = argument("hours", 24) * 3_600_000_000_000;
    let home = tempfile::tempdir().expect("a temporary folder");
    let settings = [
        ("PLIMSOLL__STORE__SETTLE_AFTER", "2s"),
        ("PLIMSOLL__STORE__FLUSH_AFTER", "5s"),
        ("PLIMSOLL__STORE__MERGE_EVERY", "5s"),
    ];
    let server = Server::start(home.path(), &settings);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos()
            as u64;
    let mut load = Load::new(11, now - range_ns, range_ns / (spans as u64 / 18));
    let mut client = common::http::Client::connect(&server.otlp).expect("the server listens");
    let (mut sent, mut ids) = (0, Vec::new());
    while sent < spans {
        let request = load.request();
        while client.post("/v1/traces", "application/x-protobuf", &request.bytes).expect("answers").status
            != 200
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        sent += request.spans;
        ids.extend(request.trace_ids.into_iter().step_by(7));
    }
    server.wait_until_flushed();
    let deadline = Instant::now() + Duration::from_secs(900);
    while common::recent_files(&server) > 0 {
        assert!(Instant::now() < deadline, "not merged after fifteen minutes");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("spans                        {sent}");
    let files = rows(&server, "SELECT count(DISTINCT slice) FROM spans");
    println!("slices                       {}", files[0][0]);
    let mut client = server.client();
    let mut look_up = |ids: &mut dyn Iterator<Item = &String>| -> Vec<f64> {
        let mut waits: Vec<f64> = ids
            .map(|id| {
                let begun = Instant::now();
                let answer = client.get(&format!("/api/v1/traces/{id}")).expect("answers");
                assert_eq!(answer.status, 200, "trace {id}");
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        waits
    };
    let step = (ids.len() / LOOKUPS).max(1);
    look_up(&mut ids.iter().skip(1).step_by(step));
    let waits = look_up(&mut ids.iter().step_by(step));
    println!("trace by id p50 / p99        {:.2} / {:.2} ms", quantile(&waits, 0.5), quantile(&waits, 0.99));
    for (what, sql) in AGGREGATES {
        let mut waits: Vec<f64> = (0..7)
            .map(|_| {
                let begun = Instant::now();
                rows(&server, sql);
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        println!("{what:<28} {:.0} ms", quantile(&waits, 0.5));
    }
    // The server closes connections that nobody used for a while.
    by_slice(&server, &mut server.client(), now - range_ns);
    let mut client = server.client();
    for path in analyses(&mut client, now - range_ns) {
        let mut waits: Vec<f64> = (0..3)
            .map(|_| {
                let begun = Instant::now();
                let answer = client.get(&path).expect("answers");
                assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        let name = path.rsplit('/').next().and_then(|p| p.split('?').next()).unwrap_or_default();
        println!("{name:<28} {:.0} ms", quantile(&waits, 0.5));
    }
}

/// Goodput of every stage and slice over all that was sent, once it is rolled up.
fn by_slice(server: &Server, client: &mut common::http::Client, start_unix_nano: u64) {
    let (begun, cpu) = (Instant::now(), server.cpu());
    // The last hour is not complete.
    let hour = 3_600_000_000_000_u64;
    let hours = format!("SELECT count(DISTINCT start_unix_nano / {hour}) - 1 FROM stage_runs");
    let hours = rows(server, &hours)[0][0].as_i64();
    while rows(server, "SELECT count(DISTINCT start_unix_nano) FROM stage_hours")[0][0].as_i64() < hours {
        assert!(begun.elapsed() < Duration::from_secs(900), "not rolled up after fifteen minutes");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!(
        "rolled up after              {:.1} s, {:.1} s of CPU",
        begun.elapsed().as_secs_f64(),
        (server.cpu() - cpu).as_secs_f64()
    );
    for view in ["stage_minutes", "stage_hours"] {
        println!("{view:<28} {} cells", rows(server, &format!("SELECT count(*) FROM {view}"))[0][0]);
    }
    for by in ["stage", "stage,tenant,workload_class,model,hardware"] {
        let path = format!("/api/v1/goodput?start={start_unix_nano}&end=now&by={by}");
        let mut waits: Vec<f64> = (0..21)
            .map(|_| {
                let begun = Instant::now();
                let answer = client.get(&path).expect("answers");
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        println!(
            "goodput by {by}: p50 / p95   {:.0} / {:.0} ms",
            quantile(&waits, 0.5),
            quantile(&waits, 0.95)
        );
    }
}

/// Each analysis that the server knows, over all that was sent; grouped where it can be.
fn analyses(client: &mut common::http::Client, start_unix_nano: u64) -> Vec<String> {
    let answer = client.get("/api/v1/analyses").expect("answers");
    let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let list = list["analyses"].as_array().expect("a list");
    // What compares two slices has to be told which.
    let alone = list.iter().filter(|a| a["name"] != "compare");
    alone
        .map(|a| {
            let by = match a["name"].as_str() {
                _ if a["by"].is_null() => "",
                // A loop goes through the stages of a whole trace.
                Some("loops") => "&by=model",
                _ => "&by=stage,model",
            };
            format!("/api/v1/{}?start={start_unix_nano}&end=now{by}", a["name"].as_str().expect("a name"))
        })
        .collect()
}
