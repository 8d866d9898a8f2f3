//! A small fleet of tools: one that is catalogued and drifts, one that nobody knows; and work that built on a wrong answer.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, MS, With, hour, span};

/// A request that calls one tool at `at` ms; the tool's server says its edition.
fn request(trace: u8, at: u64, tool: &str, digest: &str, fails: bool) -> [(&'static str, Vec<Span>); 2] {
    let mark = |span: Span| if fails { span.with("error.type", "-32602").failed() } else { span };
    let root =
        span(trace, 1, 0, "invoke_agent a", at, at + 100).with("gen_ai.operation.name", "invoke_agent");
    let call = span(trace, 2, 1, "execute_tool", at + 10, at + 50)
        .with("gen_ai.operation.name", "execute_tool")
        .with("gen_ai.tool.name", tool);
    let mut served = span(trace, 3, 2, "tools/call", at + 15, at + 45)
        .with("mcp.method.name", "tools/call")
        .with("gen_ai.tool.name", tool)
        .with("mcp.tool.schema_digest", digest)
        .with("mcp.auth.kind", "oauth2");
    served.kind = 2;
    [("agent", vec![mark(root), mark(call)]), ("mcp-search", vec![mark(served)])]
}

async fn fleet() -> Fleet {
    let fleet = Fleet::empty("").await;
    std::fs::write(
        fleet.home().join("catalogue.yaml"),
        "tools:\n  - { tool: search, owner: search-team }\n  - { tool: retired, owner: nobody }\n",
    )
    .expect("written");
    for n in 0..8_u8 {
        let drifted = n >= 4;
        let digest = if drifted { "d2" } else { "d1" };
        for (service, spans) in request(n + 1, u64::from(n) * 1_000, "search", digest, drifted) {
            fleet.export("acme", service, spans).await;
        }
    }
    for (service, spans) in request(20, 500, "scrape", "x", false) {
        fleet.export("acme", service, spans).await;
    }
    fleet.settle().await;
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_drift_and_what_broke() {
    let fleet = fleet().await;
    let answer = fleet.get(&format!("tools?{}", hour())).await;
    let tools = answer["tools"].as_array().expect("tools");
    let of =
        |name: &str| tools.iter().find(|t| t["tool"] == name).unwrap_or_else(|| panic!("{name}: {answer}"));
    let search = of("search");
    for (member, value) in [
        ("catalogued", json!("yes")),
        ("owner", json!("search-team")),
        ("server", json!("mcp-search")),
        ("callers", json!(["agent"])),
        ("schema_digests", json!(["d1", "d2"])),
        ("auth_kinds", json!(["oauth2"])),
        ("logical_calls", json!(8)),
        ("failed_attempts", json!(4)),
        ("requests_lost", json!(4)),
        ("trace_share", json!(8.0 / 9.0)),
    ] {
        assert_eq!(search[member], value, "{member}");
    }
    let [drift] = search["drift"].as_array().expect("drift").as_slice() else { panic!("{search}") };
    assert_eq!(
        (&drift["from"]["schema_digest"], &drift["to"]["schema_digest"]),
        (&json!("d1"), &json!("d2"))
    );
    assert_eq!(drift["at_unix_nano"], json!((BEGAN + 4_015 * MS as u64).to_string()));
    assert_eq!((&drift["failed"]["before"], &drift["failed"]["after"]), (&json!(0.0), &json!(1.0)));
    assert!(drift["failed"]["difference_low"].as_f64().is_some_and(|low| low > 0.2), "{drift}");
    assert_eq!(
        (&of("scrape")["catalogued"], &of("retired")["catalogued"]),
        (&json!("shadow"), &json!("unseen"))
    );
    // 8 of 9 calls are catalogued, which is not enough.
    assert_eq!(answer["maturity"]["level"], "ad hoc");
    assert_eq!(answer["maturity"]["criteria"][0]["share"], json!(8.0 / 9.0));
    assert_eq!(answer["context_tax"], Value::Null, "nobody recorded definitions");
    let rows =
        fleet.sql("SELECT tool FROM tools('2025-10-09', '2025-10-10') WHERE catalogued = 'shadow'").await;
    assert_eq!(rows, Ok(vec![vec![json!("scrape")]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_built_on_a_wrong_answer_is_tainted() {
    let fleet = Fleet::empty("").await;
    let root = span(9, 1, 0, "invoke_agent a", 0, 100).with("gen_ai.operation.name", "invoke_agent");
    let chat = |id, from, to| span(9, id, 1, "chat m", from, to).with("gen_ai.operation.name", "chat");
    let tool = span(9, 4, 1, "execute_tool t", 40, 60).with("gen_ai.operation.name", "execute_tool");
    fleet.export("acme", "agent", vec![root, chat(2, 5, 15), chat(3, 20, 35), tool]).await;
    fleet.settle().await;
    let trace = "09".repeat(16);
    fleet
        .judge(
            "acme",
            json!({"trace_id": trace, "span_id": "03".repeat(8), "metric": "grounded", "pass": false}),
        )
        .await;
    let answer = fleet.get(&format!("taint?{}", hour())).await;
    let rows: Vec<Vec<&Value>> = answer["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|r| vec![&r["key"]["stage"], &r["tainted_runs"], &r["runs"], &r["tainted_ns"]])
        .collect();
    assert_eq!(
        json!(rows),
        json!([["execute", 1, 1, 20 * MS], ["inference", 0, 2, 0], ["agent", 0, 1, 0]]),
        "{answer}"
    );
}
