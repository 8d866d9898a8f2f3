//! Goodput, number by number: each way in which a verdict finds its run, and the interval that is left without one.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::fleet::{Fleet, With, hour, request};

const OBJECTIVES: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/latency: 500ms
    plimsoll.dev/quality: faithful, safe
spec:
  objectives:
    - target: 0.9
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat-by-humans
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/quality: faithful
    plimsoll.dev/evaluator: human
spec:
  objectives:
    - target: 0.5
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: requests
  annotations:
    plimsoll.dev/stage: request
    plimsoll.dev/quality: solved
spec:
  objectives:
    - target: 0.5
";

const COUNTED: [&str; 8] =
    ["offered", "good_low", "good_high", "judged", "unjudged", "late", "failed", "green_but_wrong"];

async fn numbers(fleet: &Fleet, objective: &str) -> [i64; COUNTED.len()] {
    let answer = fleet.get(&format!("goodput?tenant=acme&{}", hour())).await;
    let rows = answer["rows"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|r| r["objective"] == objective)
        .unwrap_or_else(|| panic!("no {objective} in {answer}"));
    COUNTED.map(|c| row[c].as_i64().unwrap_or_else(|| panic!("{c} of {row}")))
}

/// Five requests: of 100, 200, 300 and 800 ms, and one that failed.
async fn fleet() -> Fleet {
    let fleet = Fleet::empty(OBJECTIVES).await;
    for (trace, total) in [(1, 100), (2, 200), (3, 300), (4, 800)] {
        fleet.export("acme", "agent", request(trace, total, &format!("session-{trace}"))).await;
    }
    let failed: Vec<_> = request(5, 100, "session-5").into_iter().map(With::failed).collect();
    fleet.export("acme", "agent", failed).await;
    // The same trace and response ids, another tenant's.
    fleet.export("globex", "agent", request(1, 100, "session-1")).await;
    fleet.settle().await;
    fleet
}

fn id(byte: u8, bytes: usize) -> String {
    format!("{byte:02x}").repeat(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_close_the_interval_one_by_one() {
    let fleet = fleet().await;
    assert_eq!(numbers(&fleet, "chat").await, [5, 0, 3, 0, 5, 1, 1, 0]);
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 4, 0, 5, 0, 1, 0]);
    assert_eq!(numbers(&fleet, "requests").await, [5, 0, 4, 0, 5, 0, 1, 0]);

    let on_span = |trace: u8, metric: &str, pass: bool, evaluator: &str| json!({"trace_id": id(trace, 16), "span_id": id(2, 8), "metric": metric, "pass": pass, "evaluator": evaluator});
    // One metric of two: still unjudged, and good as far as is known.
    fleet.judge("acme", on_span(1, "faithful", true, "judge")).await;
    assert_eq!(numbers(&fleet, "chat").await, [5, 0, 3, 0, 5, 1, 1, 0]);
    fleet.judge("acme", on_span(1, "safe", true, "judge")).await;
    assert_eq!(numbers(&fleet, "chat").await, [5, 1, 3, 1, 4, 1, 1, 0]);
    // A failed metric decides against it, but only both judge it.
    fleet.judge("acme", on_span(2, "safe", false, "judge")).await;
    assert_eq!(numbers(&fleet, "chat").await, [5, 1, 2, 1, 4, 1, 1, 1]);
    // The objective that asks for people's verdicts has none of these.
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 4, 0, 5, 0, 1, 0]);
    fleet.judge("acme", on_span(1, "faithful", false, "human")).await;
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 3, 1, 4, 0, 1, 1]);
    // A neighbour's verdict on the same ids is the neighbour's.
    fleet.judge("globex", on_span(3, "faithful", false, "human")).await;
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 3, 1, 4, 0, 1, 1]);
    // Judges change their minds: the latest counts.
    let later = json!({"trace_id": id(1, 16), "span_id": id(2, 8), "metric": "faithful", "pass": true,
        "evaluator": "human", "judged_at": "2200-01-01T00:00:00Z"});
    fleet.judge("acme", later).await;
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 1, 4, 1, 4, 0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_sessions_and_traces_are_judged_too() {
    let fleet = fleet().await;
    fleet
        .judge(
            "acme",
            json!({"response_id": "response-3", "metric": "faithful", "pass": false, "evaluator": "human"}),
        )
        .await;
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 3, 1, 4, 0, 1, 1]);
    // The request is not the model call.
    assert_eq!(numbers(&fleet, "requests").await, [5, 0, 4, 0, 5, 0, 1, 0]);
    fleet.judge("acme", json!({"session_id": "session-2", "metric": "solved", "pass": true})).await;
    assert_eq!(numbers(&fleet, "requests").await, [5, 1, 4, 1, 4, 0, 1, 0]);
    fleet.judge("acme", json!({"trace_id": id(4, 16), "metric": "solved", "label": "fail"})).await;
    assert_eq!(numbers(&fleet, "requests").await, [5, 1, 3, 2, 3, 0, 1, 1]);
    assert_eq!(numbers(&fleet, "chat-by-humans").await, [5, 0, 3, 1, 4, 0, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_objective_would_have_said() {
    let fleet = fleet().await;
    let slow = "apiVersion: openslo/v1\nkind: SLO\nmetadata:\n  name: slow\n  annotations:\n    plimsoll.dev/stage: inference\n    plimsoll.dev/latency: 1h\nspec:\n  objectives:\n    - target: 0.5\n";
    let encoded: String = slow.bytes().map(|b| format!("%{b:02x}")).collect();
    let answer = fleet.get(&format!("goodput?document={encoded}&{}", hour())).await;
    assert_eq!(
        (&answer["objectives_source"], &answer["rows"][0]["objective"]),
        (&json!("document"), &json!("slow"))
    );
    assert_eq!(
        (&answer["rows"][0]["late"], &answer["rows"][0]["offered"]),
        (&json!(0), &json!(6)),
        "{answer}"
    );
    let broken: String = slow.replace("1h", "soon").bytes().map(|b| format!("%{b:02x}")).collect();
    let (status, problem) =
        fleet.send(http::Method::GET, &format!("goodput?document={broken}&{}", hour()), String::new()).await;
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(status == 400 && detail.starts_with("document: line 7 column 5"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_as_good_as_its_worst_stage() {
    let fleet = fleet().await;
    let answer = fleet.get(&format!("goodput?{}", hour())).await;
    let requests = &answer["requests"];
    let (low, high, offered) = (&requests["good_low"], &requests["good_high"], &requests["offered"]);
    assert!(low.as_i64() <= high.as_i64() && high.as_i64() < offered.as_i64(), "{requests}");
    let failing = requests["first_failing_stage"].as_array().expect("stages");
    let failed: i64 = failing.iter().filter_map(|f| f["requests"].as_i64()).sum();
    let bad = fleet.sql("SELECT count(*) FROM traces WHERE outcome <> 'ok'").await;
    assert_eq!(bad, Ok(vec![vec![json!(failed)]]));
    let alerts = answer["rows"][0]["alerts"].as_array().expect("alerts");
    assert_eq!(alerts.len(), 2, "three days are not read for an hour: {alerts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_explains_itself() {
    let fleet = fleet().await;
    let answer = fleet.get(&format!("goodput?objective=chat&by=model&{}", hour())).await;
    assert_eq!(answer["objectives_source"], "folder");
    let rows = answer["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{answer}");
    assert_eq!(rows[0]["key"], json!({"model": "m1"}));
    assert_eq!(rows[0]["stage"], "inference");
    assert_eq!(rows[0]["sample_trace_ids"]["late"], json!([id(4, 16)]));
    let offered: i64 =
        rows[0]["series"].as_array().expect("series").iter().filter_map(|p| p["offered"].as_i64()).sum();
    assert_eq!(offered, 6);
    let explain = &answer["explain"];
    assert_eq!(explain["sql"][0], answer["sql"]);
    let samples = explain["sample_trace_ids"].as_array().expect("traces to look at");
    assert!(samples.contains(&json!(id(4, 16))), "{explain}");
    // The statement that it shows gives the number that it shows.
    let sql = answer["sql"].as_str().expect("SQL");
    let shown = fleet.sql(&format!("SELECT offered, late, failed FROM ({sql})")).await;
    assert_eq!(shown, Ok(vec![vec![Value::from(6), Value::from(1), Value::from(1)]]));
    let (status, problem) = fleet.send(http::Method::GET, "goodput?objective=none", String::new()).await;
    assert_eq!(status, 404, "{problem}");
}

const SAMPLED: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/quality: faithful
    plimsoll.dev/judging: sampled(0.4)
spec:
  objectives:
    - target: 0.9
";

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_verdicts_stands_for_the_others() {
    let fleet = Fleet::empty(SAMPLED).await;
    for trace in 1..=9 {
        fleet.export("acme", "agent", request(trace, 100, "s")).await;
    }
    let failed: Vec<_> = request(10, 100, "s").into_iter().map(With::failed).collect();
    fleet.export("acme", "agent", failed).await;
    for (trace, pass) in [(1, true), (2, true), (3, true), (4, false)] {
        let verdict =
            json!({"trace_id": id(trace, 16), "span_id": id(2, 8), "metric": "faithful", "pass": pass});
        fleet.judge("acme", verdict).await;
    }
    fleet.settle().await;
    let answer = fleet.get(&format!("goodput?{}", hour())).await;
    assert_eq!(answer["objectives"][0]["judging"], "sampled(0.4)");
    let row = &answer["rows"][0];
    // Nine of ten ended well; three of the four that were judged were right.
    let close = |key: &str, expected: f64| {
        let got = row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
        assert!((got - expected).abs() < 1e-6, "{key}: {got}");
    };
    close("attainment_estimate", 0.9 * 0.75);
    // Wilson's interval of 3 in 4: 0.300642 to 0.954413.
    close("attainment_estimate_low", 0.9 * 0.300_641_8);
    close("attainment_estimate_high", 0.9 * 0.954_412_7);
    assert_eq!((&row["good_low"], &row["good_high"]), (&json!(3), &json!(8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_misses_its_deadline_is_late() {
    let fleet = Fleet::empty("").await;
    let until = |trace: u8, ms: u64| {
        let mut spans = request(trace, 100, "s");
        let at = i64::try_from(crate::fleet::BEGAN + ms * 1_000_000).expect("a time");
        let value = opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(at);
        let value = opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) };
        spans[0].attributes.push(crate::fleet::attribute("plimsoll.deadline_unix_nano", value));
        spans
    };
    // The request ends at 100 ms, its model call at 95 ms.
    for (trace, ms) in [(1, 100), (2, 97), (3, 50)] {
        fleet.export("acme", "agent", until(trace, ms)).await;
    }
    fleet.export("acme", "agent", request(4, 100, "s")).await;
    fleet.settle().await;
    assert_eq!(numbers(&fleet, "request").await, [4, 2, 2, 0, 0, 2, 0, 0]);
    assert_eq!(numbers(&fleet, "inference").await, [4, 3, 3, 0, 0, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_run_counts_for_all_that_it_stands_for() {
    let fleet = Fleet::empty("").await;
    let sampled = |trace: u8, state: &str, failed: bool| -> Vec<Span> {
        let with = |mut span: Span| {
            span.trace_state = state.to_owned();
            if failed { span.failed() } else { span }
        };
        request(trace, 100, "s").into_iter().map(with).collect()
    };
    // One in four of what ended well was kept, and everything that failed.
    for (trace, state, failed) in
        [(1, "ot=th:c", false), (2, "ot=th:c", false), (3, "ot=th:0", true), (4, "vendor=1", false)]
    {
        fleet.export("acme", "agent", sampled(trace, state, failed)).await;
    }
    fleet.settle().await;
    let answer = fleet.get(&format!("goodput?by=stage&{}", hour())).await;
    for stage in ["request", "inference"] {
        let rows = answer["rows"].as_array().expect("rows");
        let row =
            rows.iter().find(|row| row["stage"] == stage || stage == "request" && row["stage"].is_null());
        let row = row.expect("a row");
        assert_eq!(
            [&row["runs"], &row["offered"], &row["good_low"], &row["failed"]],
            [4, 10, 9, 1],
            "{stage}: {row}"
        );
        assert_eq!(row["attainment_low"], 0.9, "{stage}");
        // Nobody says how the last was sampled.
        assert_eq!(row["sampling_known_share"], 0.75, "{stage}");
        assert_eq!(row["outcomes"]["ok"], 9, "{stage}");
        assert_eq!(row["burn"]["1h"].as_f64().map(|b| (b * 1e6).round() / 1e6), Some(10.0), "{stage}: {row}");
    }
    assert_eq!(answer["requests"]["offered"], 10);
    assert_eq!(answer["requests"]["good_low"], 9);
    assert_eq!(answer["requests"]["first_failing_stage"][0]["requests"], 1);
}
