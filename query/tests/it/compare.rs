//! Compare over a real store: pairs and samples, too few, a rollback by quality, before and after, and the answer's account of itself.

use http::Method;
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, With, hour, span};

const RULES: &str = "rules: [{metric: quality, tolerance: 0.05}, {metric: duration_p50, tolerance: 10%}]";

/// A request of one model call: its task, how long it took in milliseconds, and whether it was judged right.
struct Session {
    trace: u8,
    model: &'static str,
    task: Option<u8>,
    from: u64,
    ms: u64,
    passed: Option<bool>,
}

async fn load(fleet: &Fleet, sessions: &[Session]) {
    for s in sessions {
        let to = s.from + s.ms;
        let mut root = span(s.trace, 1, 0, "invoke_agent a", s.from, to)
            .with("gen_ai.operation.name", "invoke_agent")
            .with("gen_ai.request.model", s.model)
            .with("plimsoll.driver", if s.model == "m1" { "550.54" } else { "560.28" });
        if let Some(task) = s.task {
            root = root.with("task.id", &task.to_string()).with("batch", &format!("b{task}"));
        }
        let call = span(s.trace, 2, 1, "chat", s.from + 1, to - 1).with("gen_ai.operation.name", "chat");
        fleet.export("acme", "agent", vec![root, call]).await;
        if let Some(pass) = s.passed {
            let id = format!("{:02x}", s.trace).repeat(16);
            fleet.judge("acme", json!({"trace_id": id, "metric": "solved", "pass": pass})).await;
        }
    }
    fleet.settle().await;
}

/// `n` tasks by each of two models, the second's traces after the first's.
fn tasks(n: u8, second: impl Fn(u8) -> (u64, bool)) -> Vec<Session> {
    let first = (0..n).map(|i| Session {
        trace: i + 1,
        model: "m1",
        task: Some(i),
        from: u64::from(i),
        ms: 1_000 + 10 * u64::from(i),
        passed: Some(!i.is_multiple_of(4)),
    });
    let second = (0..n).map(|i| {
        let (ms, passed) = second(i);
        Session {
            trace: 101 + i,
            model: "m2",
            task: Some(i),
            from: 600_000 + u64::from(i),
            ms,
            passed: Some(passed),
        }
    });
    first.chain(second).collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn compared(fleet: &Fleet, more: &str) -> Value {
    fleet.get(&format!("compare?baseline=model%3Dm1&candidate=model%3Dm2&{}{more}", hour())).await
}

fn figure<'a>(answer: &'a Value, stage: &str, metric: &str) -> &'a Value {
    let figures = answer["figures"].as_array().expect("figures");
    figures
        .iter()
        .find(|f| f["stage"] == stage && f["metric"] == metric)
        .unwrap_or_else(|| panic!("no {metric} of {stage} in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quicker_candidate_that_is_wrong_more_often_is_rolled_back() {
    let fleet = Fleet::empty("").await;
    // 30 of 40 were right; now 12, and no task is won.
    load(&fleet, &tasks(40, |i| (500 + 5 * u64::from(i), !i.is_multiple_of(4) && i < 16))).await;
    let answer = compared(&fleet, &format!("&rules={}", encoded(RULES))).await;
    assert_eq!((&answer["verdict"], &answer["exit_code"]), (&json!("rollback"), &json!(20)), "{answer}");
    assert_eq!(
        answer["pairing"],
        json!({"by": "task", "pairs": 40, "unpaired_baseline": 0, "unpaired_candidate": 0})
    );
    let quality = figure(&answer, "request", "quality");
    assert_eq!((&quality["baseline"], &quality["candidate"]), (&json!(0.75), &json!(0.3)), "{quality}");
    assert_eq!(
        (&quality["gained"], &quality["lost"], &quality["verdict"]),
        (&json!(0), &json!(18), &json!("broken"))
    );
    assert!(
        quality["mcnemar_p"].as_f64().is_some_and(|p| (p - 2.0_f64.powi(-17)).abs() < 1e-12),
        "{quality}"
    );
    let median = figure(&answer, "request", "duration_p50");
    assert_eq!((&median["baseline"], &median["candidate"]), (&json!(1.2e9), &json!(0.6e9)), "{median}");
    assert_eq!((&median["is_better"], &median["verdict"]), (&json!(true), &json!("kept")));
    // Latency and outcomes of the stage below, too.
    assert!(figure(&answer, "inference", "duration_p95")["difference"].as_f64().is_some_and(|d| d < 0.0));
    assert_eq!(figure(&answer, "inference", "failures")["candidate"], json!(0.0));
    let reasons = answer["reasons"].to_string();
    assert!(reasons.contains("quality of request: 75.0 % → 30.0 %"), "{reasons}");
    assert!(
        reasons.contains("the median of request improved, but at the cost of quality, green_but_wrong"),
        "{reasons}"
    );
    // The envelope stands with the figures, and what differs besides the slice is said.
    assert_eq!(quality["baseline_envelope"], "model=m1 driver=550.54");
    assert_eq!(answer["candidate"]["envelope"]["driver"], json!([{"value": "560.28", "traces": 40}]));
    assert_eq!(
        answer["warnings"],
        json!(["driver differs between the sides: the difference may be its own"])
    );
    let digest = answer["rules"]["digest"].as_str().expect("a digest");
    assert_eq!(digest, "sha256:cbd1b070d3addef065e22da363796f200a6622bb5951a0e8a6f3ab2ecec4e147");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_candidate_is_promoted_and_too_few_runs_hold() {
    let fleet = Fleet::empty("").await;
    load(&fleet, &tasks(60, |i| (990 + 10 * u64::from(i), !i.is_multiple_of(4)))).await;
    let rules =
        encoded("rules: [{metric: quality, tolerance: 0.15}, {metric: duration_p50, tolerance: 10%}]");
    let answer = compared(&fleet, &format!("&rules={rules}")).await;
    assert_eq!((&answer["verdict"], &answer["exit_code"]), (&json!("promote"), &json!(0)), "{answer}");
    // As independent samples the same data tell less.
    let unpaired = compared(&fleet, &format!("&pair_by=none&rules={rules}")).await;
    assert_eq!((&unpaired["verdict"], &unpaired["pairing"]), (&json!("hold"), &Value::Null), "{unpaired}");
    assert!(unpaired["runs_missing"].as_u64().is_some_and(|n| n > 0), "{unpaired}");
    // By an attribute of the root; and by one that nothing has.
    let by = compared(&fleet, &format!("&pair_by=attributes.batch&rules={rules}")).await;
    assert_eq!(by["pairing"]["pairs"], 60, "{by}");
    let path = format!("compare?baseline=model%3Dm1&candidate=model%3Dm2&pair_by=attributes.none&{}", hour());
    let (status, problem) = fleet.send(Method::GET, &path, String::new()).await;
    assert_eq!(status, 404, "{problem}");
    // The built-in rules want 200 runs for a p95.
    let built_in = compared(&fleet, "").await;
    assert_eq!((&built_in["verdict"], &built_in["rules"]["source"]), (&json!("hold"), &json!("built in")));
    let p95 = figure(&built_in, "request", "duration_p95");
    assert_eq!((&p95["verdict"], &p95["rule"]), (&json!("open"), &json!("20%")), "{p95}");
    let missing =
        built_in["rulings"].as_array().expect("rulings").iter().find(|r| r["metric"] == "duration_p95");
    assert_eq!(missing.expect("a ruling")["runs_missing"], 140);
    // Of a candidate that is judged less, that is said.
    let unjudged = Fleet::empty("").await;
    let mut sessions = tasks(30, |i| (1_000 + u64::from(i), true));
    sessions.iter_mut().skip(45).for_each(|s| s.passed = None);
    load(&unjudged, &sessions).await;
    let answer = compared(&unjudged, "").await;
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("100 % of the baseline is judged and 50 % of the candidate"), "{warnings}");
    // The table function has the same rows.
    let (start, end) = crate::fleet::bounds();
    let sql = format!(
        "SELECT candidate, difference, verdict FROM compare_slices('{start}', '{end}', baseline => 'model=m1', candidate => 'model=m2')
         WHERE stage = 'request' AND metric = 'duration_p95'"
    );
    let row = vec![p95["candidate"].clone(), p95["difference"].clone(), p95["verdict"].clone()];
    assert_eq!(fleet.sql(&sql).await, Ok(vec![row]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slice_is_compared_before_and_after() {
    let fleet = Fleet::empty("").await;
    let session =
        |trace: u8, from: u64, ms: u64| Session { trace, model: "m1", task: None, from, ms, passed: None };
    let before = (0..50).map(|i| session(i + 1, u64::from(i), 1_000 + u64::from(i)));
    let after = (0..50).map(|i| session(i + 101, 600_000 + u64::from(i), 2_000 + u64::from(i)));
    load(&fleet, &before.chain(after).collect::<Vec<_>>()).await;
    let (deploy, end) = (BEGAN + 300_000_000_000, BEGAN + 900_000_000_000);
    let path = format!(
        "compare?candidate=model%3Dm1&start={deploy}&end={end}&baseline_start={BEGAN}&rules={}",
        encoded(
            "rules: [{metric: duration_p50, tolerance: 10%}, {metric: quality, tolerance: 0, optional: true}]"
        )
    );
    let answer = fleet.get(&path).await;
    assert_eq!(answer["verdict"], "rollback", "{answer}");
    assert_eq!((&answer["baseline"]["traces"], &answer["candidate"]["traces"]), (&json!(50), &json!(50)));
    assert_eq!(answer["baseline"]["end_unix_nano"], deploy.to_string());
    assert_eq!(answer["pairing"], Value::Null);
    let status: Vec<&Value> =
        answer["rulings"].as_array().expect("rulings").iter().map(|r| &r["status"]).collect();
    assert_eq!(status, ["broken", "passed_over"]);
    // The statements that it shows run as they are.
    for sql in answer["explain"]["sql"].as_array().expect("statements") {
        let sql = sql.as_str().expect("text");
        let rows = fleet.sql(&format!("SELECT count(*) FROM ({sql}) WHERE is_request")).await;
        assert_eq!(rows, Ok(vec![vec![json!(50)]]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let fleet = Fleet::empty("").await;
    for (more, status, part) in [
        ("&baseline_start=-1h&baseline_end=-2h", 400, "baseline_end: "),
        ("&baseline=model%3Dm1&candidate=color%3Dred", 400, "cannot be filtered"),
        ("&baseline=model%3Dm1&candidate=model", 400, "candidate: "),
        ("&baseline=model%3Dm1&candidate=model%3Dm2&pair_by=moon", 400, "pair_by: "),
        ("&baseline=model%3Dm1&candidate=model%3Dm2&baseline_start=noon", 400, "baseline_start: "),
        (
            "&baseline=model%3Dm1&candidate=model%3Dm2&rules=rules%3A%20%5B%7Bmetric%3A%20speed%7D%5D",
            400,
            "line 1 column 18",
        ),
    ] {
        let path = format!("compare?{}{more}", hour());
        let (got, problem) = fleet.send(Method::GET, &path, String::new()).await;
        assert_eq!(got, status, "{more}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains(part)), "{more}: {problem}");
    }
    // Nobody ran yet: that is no mistake.
    let answer = compared(&fleet, "").await;
    assert_eq!((&answer["verdict"], &answer["figures"]), (&json!("hold"), &json!([])), "{answer}");
    assert!(
        answer["warnings"][0].as_str().is_some_and(|w| w.starts_with("baseline: no settled trace")),
        "{answer}"
    );
}
