//! What the benches share: a seeded load that resembles agent traces, a server process, and a plain HTTP client.

pub mod attributes;
pub mod http;
pub mod load;
pub mod server;

/// The value below which the share `q` of the sorted numbers lies.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((sorted.len() as f64 * q) as usize).min(last)).copied().unwrap_or(f64::NAN)
}

/// A number from the command line: `--name N`, after cargo's own arguments.
pub fn argument(name: &str, default: u64) -> u64 {
    let wanted = format!("--{name}");
    let mut arguments = std::env::args().skip_while(|a| *a != wanted);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => {
            value.parse().unwrap_or_else(|_| panic!("--{name} takes a number, got {value}"))
        }
        _ => default,
    }
}

/// Files of `spans` that still wait for a merge.
pub fn recent_files(server: &server::Server) -> u64 {
    let sql = "SELECT count(*) FROM plimsoll.files WHERE table_name = 'spans' AND slice = '_recent'";
    rows(server, sql)[0][0].as_u64().expect("a count")
}

/// The rows that SQL answers.
pub fn rows(server: &server::Server, sql: &str) -> serde_json::Value {
    let body = serde_json::json!({ "sql": sql }).to_string();
    let answer = server.client().post("/api/v1/sql", "application/json", body.as_bytes()).expect("answers");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{text}");
    serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["rows"].clone()
}

/// Asks one after the other, and says how long that took.
pub fn timed(what: &str, server: &server::Server, asked: impl Iterator<Item = (String, Option<String>)>) {
    let mut client = server.client();
    let cpu = server.cpu();
    let mut waits: Vec<f64> = asked
        .map(|(path, body)| {
            let begun = std::time::Instant::now();
            let answer = match &body {
                Some(body) => client.post(&path, "application/json", body.as_bytes()),
                None => client.get(&path),
            };
            let answer = answer.expect("answers");
            assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e3 / waits.len().max(1) as f64;
    waits.sort_by(f64::total_cmp);
    let what = format!("{what} p50 / p99");
    println!(
        "{what:<34} {:.2} / {:.2} ms, {cpu:.2} ms of CPU",
        quantile(&waits, 0.5),
        quantile(&waits, 0.99)
    );
}
