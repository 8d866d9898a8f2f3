//! A storm that is worked out by hand: from minute 2 to 3 the database refuses everything, and the gateway asks three times.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, MS, With, attribute, bounds, hour};

const REQUESTS_PER_WINDOW: u64 = 25;

/// One request in 10 s window `window`: an agent asks the gateway, which asks the database, again where it is refused.
fn request(window: u64, n: u64, is_down: bool) -> [(&'static str, Vec<Span>); 2] {
    let id = window * 1_000 + n + 1;
    let at = window * 10_000 + n * 100;
    let span = |span: u64, parent: u64, name: &str, from: u64, to: u64| Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: (id * 100 + span).to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { (id * 100 + parent).to_be_bytes().to_vec() },
        kind: 3,
        name: name.into(),
        start_time_unix_nano: BEGAN + (at + from) * MS as u64,
        end_time_unix_nano: BEGAN + (at + to) * MS as u64,
        ..Span::default()
    };
    let fails =
        |span: Span| if is_down { span.with("error.type", "ConnectionRefused").failed() } else { span };
    let root = fails(span(1, 0, "invoke_agent a", 0, 90).with("gen_ai.operation.name", "invoke_agent"));
    let ask = fails(span(2, 1, "call gateway", 1, 80).with("peer.service", "gateway"));
    let mut gateway = Vec::new();
    for attempt in 0..if is_down { 3 } else { 1 } {
        let mut call =
            span(10 + attempt, 2, "SELECT", 5 + attempt * 20, 10 + attempt * 20).with("peer.service", "db");
        call.attributes.push(attribute(
            "http.request.resend_count",
            opentelemetry_proto::tonic::common::v1::AnyValue {
                value: Some(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(
                    attempt as i64,
                )),
            },
        ));
        gateway.push(fails(call));
    }
    [("agent", vec![root, ask]), ("gateway", gateway)]
}

async fn export(fleet: &Fleet, windows: std::ops::Range<u64>) {
    for window in windows {
        let (mut agent, mut gateway) = (Vec::new(), Vec::new());
        for n in 0..REQUESTS_PER_WINDOW {
            let [(_, a), (_, g)] = request(window, n, (12..18).contains(&window));
            agent.extend(a);
            gateway.extend(g);
        }
        fleet.export("acme", "agent", agent).await;
        fleet.export("acme", "gateway", gateway).await;
    }
}

fn time(window: u64) -> Value {
    (BEGAN + window * 10_000 * MS as u64).to_string().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_by_hand_settled_and_live() {
    let fleet = Fleet::empty("").await;
    export(&fleet, 0..30).await;
    let live = fleet.get(&format!("storms?{}", hour())).await;
    fleet.settle().await;
    let settled = fleet.get(&format!("storms?{}", hour())).await;
    for (answer, is_live) in [(&live, true), (&settled, false)] {
        let [storm] = answer["storms"].as_array().expect("storms").as_slice() else { panic!("{answer}") };
        for (member, value) in [
            ("start_unix_nano", time(12)),
            ("end_unix_nano", time(18)),
            ("open", json!(false)),
            ("kind", json!("dependency")),
            ("trigger_callee", json!("db")),
            ("peak_amplification", json!(3.0)),
            ("layered_amplification", json!(3.0)),
            ("attempts", json!(6 * 75)),
            ("retries", json!(6 * 50)),
            ("attempts_above_baseline", json!(6 * 50)),
            ("traces", json!(6 * 25)),
            // Two attempts of 5 ms that were superseded, and twice 15 ms between: for each request.
            ("wasted_ns", json!(6 * 25 * 40 * MS)),
            ("provisional", json!(is_live)),
        ] {
            assert_eq!(storm[member], value, "{member}, live: {is_live}");
        }
    }
    let storm = &settled["storms"][0];
    assert_eq!(storm["goodput_lost"], json!(150.0), "every request of these windows failed");
    assert_eq!(storm["metastable"], json!(false));
    assert_eq!(
        storm["series"][20],
        json!({"time_unix_nano": time(2), "offered": 25, "good": 25, "leaf_attempts": 25, "retries": 0})
    );
    let (start, end) = bounds();
    let rows = fleet
        .sql(&format!("SELECT trigger_callee, traces, kind FROM storms('{start}', '{end}') WHERE NOT open"))
        .await;
    assert_eq!(rows, Ok(vec![vec![json!("db"), json!(150), json!("dependency")]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn calm_windows_are_no_storm_and_windows_may_be_wider() {
    let fleet = Fleet::empty("").await;
    export(&fleet, 0..30).await;
    fleet.settle().await;
    let calm = fleet.get(&format!("storms?start={}&end={}", BEGAN, BEGAN + 110_000 * MS as u64)).await;
    assert_eq!(calm["storms"], json!([]));
    let (start, end) = (BEGAN, BEGAN + 300_000 * MS as u64);
    let wide = fleet.get(&format!("storms?window=1m&start={start}&end={end}")).await;
    assert_eq!(wide["storms"].as_array().map(Vec::len), Some(1), "{wide}");
    for (parameters, part) in [("window=7s", "multiple of 10s"), ("budget=2", "share from 0 to 1")] {
        let (status, problem) =
            fleet.send(http::Method::GET, &format!("storms?{parameters}"), String::new()).await;
        assert!(status == 400 && problem["detail"].as_str().is_some_and(|d| d.contains(part)), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_settles_in_part_counts_once() {
    let fleet = Fleet::empty("").await;
    export(&fleet, 0..15).await;
    fleet.settle().await;
    export(&fleet, 15..30).await;
    let half = fleet.get(&format!("storms?{}", hour())).await;
    assert_eq!(
        (&half["storms"][0]["attempts"], &half["storms"][0]["provisional"]),
        (&json!(6 * 75), &json!(true)),
        "{half}"
    );
}
