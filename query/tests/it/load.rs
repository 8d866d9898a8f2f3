//! Safe load of a small fleet: a model server with one worker is asked ever more often, until its queue grows.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, MS, With, attribute, span};

const OBJECTIVES: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/latency: 5s
spec:
  objectives:
    - target: 0.9
";

/// A request of 100 ms of work that comes at `at` ms and is begun at `begun`.
fn request(n: u64, at: u64, begun: u64) -> [(&'static str, Vec<Span>); 2] {
    let named = |mut span: Span, id: u64, parent: u64| {
        span.trace_id = u128::from(n + 1).to_be_bytes().to_vec();
        span.span_id = (n * 10 + id).to_be_bytes().to_vec();
        span.parent_span_id = if parent == 0 { Vec::new() } else { (n * 10 + parent).to_be_bytes().to_vec() };
        span
    };
    let ended = begun + 100;
    let root = span(1, 1, 0, "invoke_agent a", at, ended).with("gen_ai.operation.name", "invoke_agent");
    let mut served = span(1, 2, 1, "chat m", at, ended)
        .with("gen_ai.operation.name", "chat")
        .with("gen_ai.request.model", "m");
    served.kind = 2;
    let seconds = |ms: u64| AnyValue { value: Some(Any::DoubleValue(ms as f64 / 1e3)) };
    served.attributes.push(attribute("gen_ai.latency.time_in_queue", seconds(begun - at)));
    served.attributes.push(attribute("gen_ai.latency.time_in_model_inference", seconds(100)));
    [("agent", vec![named(root, 1, 0)]), ("vllm", vec![named(served, 2, 1)])]
}

/// Evenly spaced arrivals, from 2 a second to `most`, in 30 windows of 10 s; one worker does 10 a second.
async fn fleet(most: f64) -> Fleet {
    let fleet = Fleet::empty(OBJECTIVES).await;
    let (mut at, mut free, mut n) = (0.0, 0_u64, 0_u64);
    let mut spans: [Vec<Span>; 2] = Default::default();
    while at < 300_000.0 {
        let rate = 2.0 + (most - 2.0) * at / 300_000.0;
        let begun = free.max(at as u64);
        free = begun + 100;
        for (spans, (_, new)) in spans.iter_mut().zip(request(n, at as u64, begun)) {
            spans.extend(new);
        }
        n += 1;
        at += 1_000.0 / rate;
    }
    let [agent, vllm] = spans;
    fleet.export("acme", "agent", agent).await;
    fleet.export("acme", "vllm", vllm).await;
    fleet.settle().await;
    fleet
}

fn range() -> String {
    format!("start={BEGAN}&end={}&step=10s", BEGAN + 300_000 * MS as u64)
}

fn of<'a>(answer: &'a Value, stage: &str) -> &'a Value {
    let rows = answer["rows"].as_array().expect("rows");
    rows.iter().find(|r| r["key"]["stage"] == stage).unwrap_or_else(|| panic!("{stage}: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_is_where_the_queue_begins_to_grow() {
    let fleet = fleet(14.0).await;
    let answer = fleet.get(&format!("load?{}", range())).await;
    let inference = of(&answer, "inference");
    assert_eq!(inference["sustainable"], "observed", "{inference}");
    let rate = inference["sustainable_per_s"].as_f64().expect("a rate");
    assert!((rate - 10.0).abs() < 0.6, "ten a second is all that one worker does: {rate}");
    let floor = inference["floor_ns"].as_f64().expect("a floor");
    assert!((floor / 1e8 - 1.0).abs() < 0.01, "100 ms of work: {floor}");
    assert_eq!(answer["saturates_first"]["key"]["stage"], "inference");
    assert_eq!(inference["envelope"]["model"], json!(["m"]));
    let (start, end) = (BEGAN, BEGAN + 300_000 * MS as u64);
    let rows = fleet
        .sql(&format!(
            "SELECT stage, sustainable FROM load_line('{start}', '{end}') WHERE stage = 'inference'"
        ))
        .await;
    assert_eq!(rows, Ok(vec![vec![json!("inference"), json!("observed")]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn far_from_saturation_nothing_is_made_up() {
    let fleet = fleet(5.0).await;
    let answer = fleet.get(&format!("load?{}", range())).await;
    let inference = of(&answer, "inference");
    assert_eq!(
        (&inference["sustainable"], &inference["sustainable_per_s"]),
        (&json!("not observed up to"), &Value::Null)
    );
    assert!(
        inference["observed_up_to_per_s"].as_f64().is_some_and(|rate| (4.5..5.2).contains(&rate)),
        "{inference}"
    );
    assert_eq!(answer["saturates_first"], Value::Null);
}
