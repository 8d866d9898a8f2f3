//! What an operator may configure about words: meanings of labels, and attributes of one's own.

use serde_json::json;

use crate::fleet::{BEGAN, Fleet, MS, With, request, span};

fn rules(yaml: &str) -> plimsoll_schemas::Rules {
    serde_norway::from_str(yaml).expect("rules")
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_mean_what_is_configured() {
    let fleet =
        Fleet::ruled("", rules("verdict_labels: { Needs Review: fail, fine by me: pass, ok: unknown }"))
            .await;
    for (trace, verdict) in [
        (1, json!({"label": "needs review "})),
        (2, json!({"label": "Fine by me"})),
        (3, json!({"label": "ok"})),
        (4, json!({"label": "passed"})),
        // Said outright.
        (5, json!({"label": "needs review", "pass": true})),
        (6, json!({"score": 1.0, "evaluator": "judge", "evaluator_version": "7"})),
    ] {
        fleet.export("acme", "agent", request(trace, 100, "s")).await;
        let mut verdict = verdict;
        verdict["trace_id"] = format!("{trace:02x}").repeat(16).into();
        verdict["metric"] = "task_success".into();
        fleet.judge("acme", verdict).await;
    }
    fleet.settle().await;
    let rows = fleet.sql("SELECT pass, evaluator_version FROM latest_verdicts ORDER BY trace_id").await;
    let expected = [json!(false), json!(true), json!(null), json!(true), json!(true), json!(true)];
    let versions = [json!(null), json!(null), json!(null), json!(null), json!(null), json!("7")];
    let expected: Vec<_> =
        expected.into_iter().zip(versions).map(|(pass, version)| vec![pass, version]).collect();
    assert_eq!(rows, Ok(expected));
    // What was made of them when they came in is not rewritten.
    let raw = fleet.sql("SELECT pass FROM verdicts WHERE label = 'ok'").await;
    assert_eq!(raw, Ok(vec![vec![json!(true)]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_of_ones_own_is_a_deadline() {
    let rules = rules("attributes: [{ name: acme.until, as: plimsoll.deadline_unix_nano }]");
    for (rules, violations) in [(rules, 1), (Default::default(), 0)] {
        let fleet = Fleet::ruled("", rules).await;
        let until = (BEGAN + 50 * MS as u64).to_string();
        let spans = vec![
            span(1, 1, 0, "invoke_agent a", 0, 200).with("acme.until", &until),
            span(1, 2, 1, "late", 60, 90).with("peer.service", "crm"),
        ];
        fleet.export("acme", "agent", spans).await;
        fleet.settle().await;
        let rows = fleet.sql("SELECT count(*) FROM violations WHERE kind = 'attempt_after_deadline'").await;
        assert_eq!(rows, Ok(vec![vec![json!(violations)]]));
    }
}
