//! What grows with the lake, and what does not? A lake of so many spans is sent to the server, in the order of their times, while it flushes and
//! merges; then what a span cost, how often it was written, and how long questions take.
//!
//! `cargo bench --bench lake -- --spans 10000000 --days 7`

#[allow(dead_code)] // Each bench uses its part of what they share.
mod common;

use std::time::{Duration, Instant};

use common::load::Load;
use common::server::Server;
use common::{argument, rows, timed};

const DAY_NS: u64 = 86_400_000_000_000;
const LOOKUPS: usize = 500;
const QUESTIONS: usize = 15;

fn main() {
    let spans = argument("spans", 1_000_000) as usize;
    let range_ns = argument("days", 7) * DAY_NS;
    let home = tempfile::tempdir().expect("a temporary folder");
    let settings = [
        ("PLIMSOLL__STORE__SETTLE_AFTER", "2s"),
        ("PLIMSOLL__STORE__FLUSH_AFTER", "2s"),
        ("PLIMSOLL__STORE__MERGE_EVERY", "5s"),
    ];
    let server = Server::start(home.path(), &settings);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let first = now.as_nanos() as u64 - range_ns;
    let (begun, idle) = (Instant::now(), server.cpu());
    let load = Load::new(11, first, range_ns / (spans as u64 / 18 + 1));
    let (sent, ids) = load.send(&server, spans);
    let took = begun.elapsed();
    server.wait_until_flushed();
    let deadline = Instant::now() + Duration::from_secs(1_800);
    while common::recent_files(&server) > 0 {
        assert!(Instant::now() < deadline, "not merged after half an hour");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("spans                        {sent}");
    println!("spans a second               {:.0}", sent as f64 / took.as_secs_f64());
    println!("CPU µs a span, with merges   {:.2}", (server.cpu() - idle).as_secs_f64() * 1e6 / sent as f64);
    lake(&server, sent);
    println!("peak memory                  {} MiB", server.peak_memory() >> 20);

    let step = (ids.len() / LOOKUPS).max(1);
    let by_id = |id: &String| (format!("/api/v1/traces/{id}"), None);
    timed("trace by id, first", &server, ids.iter().step_by(step).map(by_id));
    timed("trace by id, warm", &server, ids.iter().step_by(step).map(by_id));
    let sql = |sql: &str| ("/api/v1/sql".to_owned(), Some(serde_json::json!({ "sql": sql }).to_string()));
    let ask = |what: &str, path: String| timed(what, &server, (0..QUESTIONS).map(|_| (path.clone(), None)));
    let newest = now.as_nanos() as u64 + DAY_NS;
    let hour = format!("start={}&end={newest}&limit=20", newest - DAY_NS - 3_600_000_000_000);
    let all = format!("start={first}&end={newest}&limit=20");
    ask("search: a service, last hour", format!("/api/v1/search?q=service=policy-engine&{hour}"));
    ask("search: a service, all", format!("/api/v1/search?q=service=policy-engine&{all}"));
    let ring = "attributes.deployment.ring=r1";
    ask("search: an attribute, last hour", format!("/api/v1/search?q={ring}&{hour}"));
    ask("search: an attribute, all", format!("/api/v1/search?q={ring}&{all}"));
    let none = "attributes.deployment.ring=r9";
    ask("search: a value that is nowhere", format!("/api/v1/search?q={none}&{all}"));
    for (what, by) in [("stage", "stage"), ("slice", "stage,tenant,workload_class,model,hardware")] {
        ask(&format!("goodput by {what}, all"), format!("/api/v1/goodput?start={first}&end=now&by={by}"));
    }
    for (what, statement) in [
        (
            "newest 20 spans",
            "SELECT trace_id, start_time, name, duration_ns FROM spans ORDER BY start_time DESC LIMIT 20",
        ),
        ("newest 20 spans, *", "SELECT * FROM spans ORDER BY start_time DESC LIMIT 20"),
        (
            "newest 20 of a service",
            "SELECT trace_id, name FROM spans WHERE service_name = 'policy-engine' ORDER BY start_time DESC LIMIT 20",
        ),
        (
            "p99 by stage, all runs",
            "SELECT stage, hdr_quantile(duration_ns, 0.99) FROM stage_runs GROUP BY 1",
        ),
        (
            "count by slice, all runs",
            "SELECT workload_class, model, count(*), avg(duration_ns) FROM stage_runs GROUP BY 1, 2",
        ),
        (
            "count by service, all spans",
            "SELECT service_name, count(*), avg(duration_ns) FROM spans GROUP BY 1",
        ),
    ] {
        timed(what, &server, (0..QUESTIONS).map(|_| sql(statement)));
    }
    println!("peak memory at the end       {} MiB", server.peak_memory() >> 20);
}

/// How large the lake is, and how often its rows were written.
fn lake(server: &Server, sent: usize) {
    let system = server.system();
    let tables = system["tables"].as_array().cloned().unwrap_or_default();
    let of = |name: &str, key: &str| -> f64 {
        tables.iter().filter(|t| name.is_empty() || t["table"] == name).filter_map(|t| t[key].as_f64()).sum()
    };
    println!("flushes / merges             {} / {}", system["flushes"], system["merges"]);
    println!("files of spans / of all      {} / {}", of("spans", "files"), of("", "files"));
    println!(
        "bytes a span, spans / all    {:.1} / {:.1}",
        of("spans", "bytes") / sent as f64,
        of("", "bytes") / sent as f64
    );
    for name in ["spans", "stage_runs", ""] {
        let what = if name.is_empty() { "all tables" } else { name };
        println!(
            "written, {what:<19} {:.2} times by rows, {:.2} by bytes",
            of(name, "rows_written") / of(name, "rows"),
            of(name, "bytes_written") / of(name, "bytes")
        );
    }
    let days = rows(
        server,
        "SELECT day, count(*) FROM plimsoll.files WHERE table_name = 'spans' GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
    );
    println!("files of spans in a day      {} at most", days[0][1]);
}
