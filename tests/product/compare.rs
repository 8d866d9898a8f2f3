//! `plimsoll compare` as a pipeline runs it: what it ends with; and what it finds in sessions that nobody here made.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::plimsoll;

const DAY: [&str; 4] = ["--start", "2025-08-01", "--end", "2025-08-02"];

fn import(home: &Path, files: &[PathBuf]) {
    let done = plimsoll().arg("import").args(files).arg("--home").arg(home).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The exit code, and the answer.
fn compare(home: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let done = plimsoll()
        .args(["compare", "--format", "json"])
        .args(DAY)
        .args(more)
        .arg("--home")
        .arg(home)
        .output()
        .expect("it runs");
    let answer = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), answer)
}

fn figure<'a>(answer: &'a Value, metric: &str) -> &'a Value {
    let figures = answer["figures"].as_array().expect("figures");
    figures.iter().find(|f| f["stage"] == "request" && f["metric"] == metric).expect("a figure")
}

/// Requests of about 100 ms by one model, and of about 100, 200 and 109 ms by three others; each with its task. The last
/// takes its time with other tasks.
fn export(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for (m, (model, ms, step)) in
        [("a", 100, 1), ("same", 100, 1), ("slow", 200, 1), ("near", 109, 7)].iter().enumerate()
    {
        for task in 0..40 {
            let start = 1_754_040_000_000_000_000_u64 + (m as u64 * 100 + task) * 1_000_000_000;
            let end = start + (ms + task * step % 20) * 1_000_000;
            let id = m as u64 * 1_000 + task + 1;
            let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
            let span = json!({"traceId": format!("{id:032x}"), "spanId": format!("{id:016x}"), "name": "invoke_agent",
                "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
                "attributes": [attribute("gen_ai.request.model", model), attribute("task.id", &task.to_string())]});
            let line = json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", "agent")]},
                "scopeSpans": [{"spans": [span]}]}]});
            let _ = writeln!(lines, "{line}");
        }
    }
    let path = folder.join("export.jsonl");
    std::fs::write(&path, lines).expect("written");
    path
}

#[test]
fn the_exit_code_is_the_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    import(&home, &[export(folder.path())]);
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, "rules: [{metric: duration_p50, tolerance: 10%}]").expect("written");
    let rules = rules.to_str().expect("UTF-8");
    for (candidate, verdict, code) in [("same", "promote", 0), ("near", "hold", 10), ("slow", "rollback", 20)]
    {
        let candidate = format!("model={candidate}");
        let (exit, answer) =
            compare(&home, &["--baseline", "model=a", "--candidate", &candidate, "--rules", rules]);
        assert_eq!((exit, &answer["verdict"]), (Some(code), &json!(verdict)), "{}", answer["reasons"]);
        assert_eq!(answer["pairing"]["pairs"], 40);
    }
    // Another code for what is no verdict, and the mistake by line.
    std::fs::write(rules, "rules:\n  - metric: speed\n    tolerance: 1").expect("written");
    let mut wrong = plimsoll();
    wrong.args(["compare", "--baseline", "model=a", "--candidate", "model=slow", "--rules", rules, "--home"]);
    let wrong = wrong.arg(&home).output().expect("it runs");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(1) && said.contains("line 2 column 13"), "{said}");
}

#[test]
fn sessions_of_tau2_bench_give_their_numbers() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tau2-bench");
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let files: Vec<PathBuf> =
        ["gpt-4.1_airline", "gpt-4.1_retail", "ft-gpt-4.1-tau2-sft_airline", "ft-gpt-4.1-tau2-sft_retail"]
            .map(|name| data.join(format!("{name}_default_gpt-4.1_1trials.json.gz")))
            .to_vec();
    import(&home, &files);
    let objectives = home.join("objectives");
    std::fs::create_dir_all(&objectives).expect("a folder");
    let objective = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: solved-in-a-minute
  annotations: {plimsoll.dev/stage: request, plimsoll.dev/latency: 60s, plimsoll.dev/quality: task_success}
spec:
  objectives: [{target: 0.9}]
";
    std::fs::write(objectives.join("minute.yaml"), objective).expect("written");
    // Passed before and after, gained and lost; p50 and p95 in tenths of a second; passed within a minute.
    let retail = ([34, 34, 6, 6], [252, 354, 392, 671], [34, 31], 40);
    let airline = ([10, 13, 6, 3], [217, 291, 343, 939], [10, 12], 20);
    for (class, (passed, latency, in_time, n)) in [("retail", retail), ("airline", airline)] {
        let filter = format!("workload_class={class}");
        let slices = ["--baseline", "model=gpt-4.1", "--candidate", "model~^ft:gpt-4.1"];
        let (_, answer) = compare(&home, &[&slices[..], &["--filter", &filter]].concat());
        assert_eq!(answer["pairing"]["pairs"], n);
        let tasks = |share: &Value| (share.as_f64().expect("known") * f64::from(n)).round() as i64;
        let quality = figure(&answer, "quality");
        let count = |name: &str| quality[name].as_i64().expect("a count");
        assert_eq!(
            [tasks(&quality["baseline"]), tasks(&quality["candidate"]), count("gained"), count("lost")],
            passed,
            "{class}: {quality}"
        );
        let tenths = |metric: &str, side: &str| {
            (figure(&answer, metric)[side].as_f64().expect("known") / 1e8).round() as i64
        };
        let times = ["duration_p50", "duration_p95"]
            .map(|metric| [tenths(metric, "baseline"), tenths(metric, "candidate")])
            .concat();
        assert_eq!(times, latency, "{class}");
        let attainment = figure(&answer, "attainment");
        assert_eq!(
            [tasks(&attainment["baseline"]), tasks(&attainment["candidate"])],
            in_time,
            "{class}: {attainment}"
        );
        // Slower for certain and no better for certain.
        assert!(
            figure(&answer, "duration_p50")["is_worse"] == true && quality["is_better"] == false,
            "{answer}"
        );
        assert!(
            figure(&answer, "cost")["candidate"].is_number()
                && figure(&answer, "loop_index")["candidate"].is_number()
        );
    }
}
