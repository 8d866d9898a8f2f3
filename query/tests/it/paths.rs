//! Critical paths by calling context add up to the requests; violations are told with their traces.

use serde_json::{Value, json};

use crate::fleet::{Fleet, MS, With, hour, request, span};

#[tokio::test(flavor = "multi_thread")]
async fn contexts_add_up_to_the_requests() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    fleet.export("acme", "agent", request(2, 200, "s")).await;
    fleet.settle().await;
    let answer = fleet.get(&format!("paths?{}", hour())).await;
    assert_eq!(answer["path_ns"], json!(300 * MS), "{answer}");
    let rows: Vec<Vec<&Value>> = answer["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|r| vec![&r["context"], &r["path_ns"], &r["runs"], &r["path_unattributed_ns"]])
        .collect();
    // The calls' far side is not instrumented; the agent's own are 5 ms before and after each.
    let expected =
        [json!(["agent > inference", 280 * MS, 2, 280 * MS]), json!(["agent", 20 * MS, 2, 20 * MS])];
    assert_eq!(json!(rows), json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn violations_lead_to_their_traces() {
    let fleet = Fleet::empty("").await;
    let root = span(7, 1, 0, "invoke_agent a", 0, 100).with("gen_ai.operation.name", "invoke_agent");
    let pay = |id, from, to| {
        span(7, id, 1, "pay", from, to)
            .with("gen_ai.operation.name", "execute_tool")
            .with("gen_ai.tool.name", "pay")
            .with("idempotency.key", "k")
    };
    fleet.export("acme", "agent", vec![root, pay(2, 10, 20), pay(3, 30, 40)]).await;
    fleet.settle().await;
    let answer = fleet.get(&format!("violations?{}", hour())).await;
    assert_eq!(answer["kinds"]["duplicate_side_effect"], json!(1), "{answer}");
    let found = &answer["violations"][0];
    assert_eq!((&found["callee"], &found["traces"]), (&json!("pay"), &json!(1)));
    let trace = found["sample_trace_ids"][0].as_str().expect("a trace");
    let analysis = fleet.get(&format!("traces/{trace}?view=analysis")).await;
    assert_eq!(analysis["violations"][0]["kind"], "duplicate_side_effect");
    assert_eq!(analysis["violations"][0]["span_id"], "03".repeat(8));
    let (status, problem) = fleet.send(http::Method::GET, "violations?kind=theft", String::new()).await;
    assert!(status == 400 && problem["detail"].as_str().is_some_and(|d| d.contains("duplicate_side_effect")));
}
