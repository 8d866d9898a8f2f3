//! Repeats of one decision over the traces of a session, worked out by hand.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::fleet::{Fleet, With, hour, span};

/// A turn of a session: its tool calls, each by its arguments, 10 ms one after the other.
fn turn(trace: u8, session: &str, from: u64, calls: &[&str]) -> Vec<Span> {
    let end = from + 10 * calls.len() as u64 + 1;
    let root = span(trace, 1, 0, "invoke_agent a", from, end)
        .with("gen_ai.operation.name", "invoke_agent")
        .with("gen_ai.conversation.id", session);
    let call = |(n, arguments): (usize, &&str)| {
        let at = from + 10 * n as u64;
        tool(trace, n as u8 + 2, 1, at, at + 5, arguments)
    };
    std::iter::once(root).chain(calls.iter().enumerate().map(call)).collect()
}

fn tool(trace: u8, id: u8, parent: u8, from: u64, to: u64, arguments: &str) -> Span {
    span(trace, id, parent, "execute_tool search", from, to)
        .with("gen_ai.operation.name", "execute_tool")
        .with("gen_ai.tool.name", "search")
        .with("gen_ai.tool.call.arguments", arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_asks_the_same_in_every_turn_loops() {
    let fleet = Fleet::empty("").await;
    let (a, a_again, b) = (r#"{"q":"x","n":1}"#, r#"{ "n": 1, "q": "x" }"#, r#"{"q":"y"}"#);
    // Session s: a a | a b | a — five calls, of which three repeat the first; three in a row.
    fleet.export("acme", "agent", turn(1, "s", 0, &[a, a_again])).await;
    fleet.export("acme", "agent", turn(2, "s", 100, &[a, b])).await;
    fleet.export("acme", "agent", turn(3, "s", 200, &[a])).await;
    // Another session and another tenant ask the same once.
    fleet.export("acme", "agent", turn(4, "t", 300, &[a])).await;
    fleet.export("other", "agent", turn(5, "s", 400, &[a])).await;
    // A wrapper around a client span is one call; the second try of the client none.
    let mut wrapped = turn(6, "u", 500, &[b]);
    let mcp =
        |id, from: u64, code: &str| tool(6, id, 2, from, from + 1, b).with("http.request.resend_count", code);
    wrapped.extend([mcp(10, 500, "0").failed(), mcp(11, 502, "1")]);
    fleet.export("acme", "agent", wrapped).await;
    fleet.settle().await;

    let answer = fleet.get(&format!("loops?by=tenant&{}", hour())).await;
    let row = |tenant: &str| -> Value {
        let rows = answer["rows"].as_array().expect("rows");
        rows.iter().find(|r| r["key"]["tenant"] == tenant).expect("its row").clone()
    };
    let counts = |row: Value| {
        ["tool", "sessions", "looping_sessions", "calls", "repeats", "longest_run"]
            .map(|key| row[key].clone())
    };
    assert_eq!(counts(row("acme")), [json!("search"), json!(3), json!(1), json!(7), json!(3), json!(3)]);
    assert_eq!(counts(row("other")), [json!("search"), json!(1), json!(0), json!(1), json!(0), json!(1)]);
    assert_eq!(row("acme")["loop_share"], json!(3.0 / 7.0));

    let (status, problem) =
        fleet.send(http::Method::GET, &format!("loops?by=stage&{}", hour()), String::new()).await;
    assert_eq!(status, 400, "{problem}");
}
