//! Two tenants' traces small enough to be worked out by hand, and every number that follows from them.
//!
//! ```text
//! acme, trace 11…           0        100  200  300     500                900  1000 ms
//! agent   invoke_agent      ├────────────────────────────────────────────────────┤
//! agent   call tool                  ├──×503                                        nobody answered: unattributed
//! agent   call tool                            ├────────┤                           resend_count = 1
//! tool      serve                               310  490                            queued 310–350
//! agent   chat                                          ├───────────────┤
//! vllm      llm_request                                  510         890            queue 100, prefill 80, decode 200
//!
//! globex, the same trace id: one span of 100 ms.
//! ```
//!
//! By hand: the tool's run lasts from 100 to 500: 100 unattributed + 100 backoff + 20 transit + 40 queue + 140 compute = 400.
//! The model's run lasts from 500 to 900: 20 transit + 100 queue + 280 compute = 400. The agent's own part is what its
//! calls and the backoff between them leave of 1000: 0–100 and 900–1000, 200 compute.

use serde_json::Value;

use crate::harness::{QUICK, Server, eventually};
use crate::wire::{CLIENT, SERVER, With, double, int, span, text, traces, verdict};

const MS: i64 = 1_000_000;
const TRACE: u8 = 0x11;
/// On a window's edge, so that all of it counts in one.
const BEGAN: u64 = 1_760_000_000_000_000_000;

const OBJECTIVE: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: fixture
  annotations:
    plimsoll.dev/stage: request
    plimsoll.dev/latency: 2s
    plimsoll.dev/quality: task_success
spec:
  objectives:
    - target: 0.9
";

fn at(ms: u64) -> u64 {
    BEGAN + ms * MS as u64
}

fn root() -> Vec<u8> {
    let root = span(TRACE, 1, 0, SERVER, "invoke_agent helper", at(0), at(1_000))
        .with("gen_ai.operation.name", text("invoke_agent"))
        .with("gen_ai.request.model", text("m1"))
        .with("workload.class", text("chat"));
    traces(vec![("agent", vec![root])])
}

fn children() -> Vec<u8> {
    let call = |id, from, to| {
        span(TRACE, id, 1, CLIENT, "call tool", at(from), at(to))
            .with("gen_ai.operation.name", text("execute_tool"))
            .with("gen_ai.tool.name", text("lookup"))
            .with("peer.service", text("tool"))
    };
    let failed = call(2, 100, 200).with("http.response.status_code", int(503)).failed();
    let again = call(3, 300, 500)
        .with("http.response.status_code", int(200))
        .with("http.request.resend_count", int(1));
    let served = span(TRACE, 4, 3, SERVER, "serve", at(310), at(490))
        .event("enqueued", at(310))
        .event("dequeued", at(350));
    let chat = span(TRACE, 5, 1, CLIENT, "chat m1", at(500), at(900))
        .with("gen_ai.operation.name", text("chat"))
        .with("gen_ai.request.model", text("m1"));
    let model = span(TRACE, 6, 5, SERVER, "llm_request", at(510), at(890))
        .with("gen_ai.latency.time_in_queue", double(0.1))
        .with("gen_ai.latency.time_in_model_prefill", double(0.08))
        .with("gen_ai.latency.time_in_model_decode", double(0.2));
    traces(vec![("agent", vec![failed, again, chat]), ("tool", vec![served]), ("vllm", vec![model])])
}

fn neighbour() -> Vec<u8> {
    traces(vec![("other", vec![span(TRACE, 1, 0, SERVER, "ping", at(0), at(100))])])
}

fn window(tenant: &str) -> String {
    format!("start={}&end={}&tenant={tenant}", at(0) - 3_600_000_000_000, at(0) + 3_600_000_000_000)
}

fn ms(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number")) / MS as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_as_worked_out_by_hand() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("objectives")).expect("a folder");
    std::fs::write(home.path().join("objectives/fixture.yaml"), OBJECTIVE).expect("writable");
    let server = Server::start(home.path(), QUICK);

    // The children come first, and are settled and merged before anyone knows their root.
    server.export("acme", children()).await;
    server.export("globex", neighbour()).await;
    server.settled().await;
    let revisions = "SELECT max(revision) FROM traces WHERE tenant = 'acme'";
    let before = server.number(revisions).await;
    server.export("acme", root()).await;
    eventually("the trace is settled again", async || server.number(revisions).await > before).await;
    server.settled().await;

    slices(&server).await;
    settled_rows(&server).await;
    queueing(&server).await;
    retries(&server).await;
    goodput(&server).await;

    // And the same after a restart, out of files.
    assert!(server.terminate().success());
    let server = Server::start(home.path(), QUICK);
    settled_rows(&server).await;
    queueing(&server).await;
    retries(&server).await;
}

async fn slices(server: &Server) {
    let rows = server.sql("SELECT tenant, count(*) FROM spans GROUP BY tenant ORDER BY tenant").await;
    assert_eq!(rows, [[Value::from("acme"), 6.into()], [Value::from("globex"), 1.into()]]);
    let rows = server.sql("SELECT DISTINCT workload_class, model FROM traces WHERE tenant = 'acme'").await;
    assert_eq!(rows, [[Value::from("chat"), Value::from("m1")]]);
    let (status, problem) = server.get(&format!("/api/v1/traces/{}", "11".repeat(16))).await;
    assert_eq!(status, 409, "{problem}");
    let one = server.get_ok(&format!("/api/v1/traces/{}?view=analysis&tenant=globex", "11".repeat(16))).await;
    assert_eq!(one["spans"].as_array().map(Vec::len), Some(1));
}

/// One trace each, of its latest revision; the path's parts sum to the duration.
async fn settled_rows(server: &Server) {
    let rows = server
        .sql(
            "SELECT tenant, span_count, error_count, duration_ns, logical_calls, attempts, retries, wasted_ns, \
             path_queue_ns, path_compute_ns, path_transit_ns, path_backoff_ns, path_unattributed_ns \
             FROM traces ORDER BY tenant",
        )
        .await;
    let numbers: Vec<Vec<i64>> =
        rows.iter().map(|row| row[1..].iter().map(|v| v.as_i64().unwrap_or(0)).collect()).collect();
    let acme = [6, 1, 1_000 * MS, 2, 3, 1, 200 * MS, 140 * MS, 620 * MS, 40 * MS, 100 * MS, 100 * MS];
    assert_eq!(numbers[0], acme);
    assert_eq!(numbers[1][..4], [1, 0, 100 * MS, 0]);
    assert_eq!(rows.len(), 2);
}

async fn queueing(server: &Server) {
    let answer = server.get_ok(&format!("/api/v1/queueing?by=stage&{}", window("acme"))).await;
    let group = |stage: &str| -> Value {
        let groups = answer["groups"].as_array().expect("groups");
        groups
            .iter()
            .find(|g| g["key"]["stage"] == stage)
            .unwrap_or_else(|| panic!("no {stage} in {answer}"))
            .clone()
    };
    let classes = |stage: &str| {
        let g = group(stage);
        ["duration_ns", "queue_ns", "compute_ns", "transit_ns", "backoff_ns", "unattributed_ns"]
            .map(|key| if g[key].is_null() { 0.0 } else { ms(&g[key]) })
    };
    assert_eq!(classes("execute"), [400.0, 40.0, 140.0, 20.0, 100.0, 100.0]);
    assert_eq!(classes("inference"), [400.0, 100.0, 280.0, 20.0, 0.0, 0.0]);
    assert_eq!(classes("agent")[2], 200.0);
    assert_eq!(group("inference")["queue_share"], 0.25);
    assert_eq!(group("inference")["queue_coverage"], 1.0);
    assert_eq!(group("inference")["runs"], 1);
}

async fn retries(server: &Server) {
    let answer = server.get_ok(&format!("/api/v1/retries?{}", window("acme"))).await;
    let edges = answer["edges"].as_array().expect("edges");
    let edge =
        edges.iter().find(|e| e["callee"] == "lookup").unwrap_or_else(|| panic!("no lookup in {answer}"));
    assert_eq!(edge["caller"], "agent");
    for (key, expected) in [
        ("logical_calls", 1.0),
        ("attempts", 2.0),
        ("retries", 1.0),
        ("amplification", 2.0),
        ("retry_share", 0.5),
    ] {
        assert_eq!(edge[key].as_f64(), Some(expected), "{key} of {edge}");
    }
    assert_eq!(ms(&edge["wasted_ns"]), 200.0);
    assert_eq!(ms(&edge["backoff_ns"]), 100.0);
    assert_eq!(answer["totals"]["attempts"], 3);
}

/// Unjudged is an interval; the verdict comes late and closes it.
async fn goodput(server: &Server) {
    let row = async || -> Value {
        let answer =
            server.get_ok(&format!("/api/v1/goodput?objective=fixture&by=tenant&{}", window("acme"))).await;
        answer["rows"]
            .as_array()
            .and_then(|rows| rows.first())
            .unwrap_or_else(|| panic!("no row in {answer}"))
            .clone()
    };
    let numbers = |row: &Value| {
        ["offered", "good_low", "good_high", "judged", "unjudged", "green_but_wrong"].map(|k| row[k].as_i64())
    };
    assert_eq!(numbers(&row().await), [1, 0, 1, 0, 1, 0].map(Some));
    server.export_logs("acme", verdict(TRACE, 1, "task_success", "fail", at(60_000))).await;
    // The neighbour's trace has the same id; its verdict is its own.
    server.export_logs("globex", verdict(TRACE, 1, "task_success", "pass", at(60_000))).await;
    assert_eq!(numbers(&row().await), [1, 0, 0, 1, 0, 1].map(Some));
}
