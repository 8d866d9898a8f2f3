//! tau2-bench, of which `../shared/data/README.md` says what a correct product finds: through import and plain SQL.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::plimsoll;

fn rows(home: &Path, statement: &str) -> Vec<Vec<Value>> {
    let asked = plimsoll().args(["sql", statement, "--format", "json", "--home"]).arg(home).output();
    let asked = asked.expect("it runs");
    let answer: Value = serde_json::from_slice(&asked.stdout).unwrap_or_else(|e| panic!("{e}: {asked:?}"));
    serde_json::from_value(answer["rows"].clone()).expect("rows")
}

fn numbers(row: &[Value]) -> Vec<i64> {
    row.iter().filter_map(Value::as_i64).collect()
}

/// Sessions in which the model's answers were refused, from the file itself: how many answers, and how many turns.
fn refused(data: &Path, name: &str) -> [i64; 2] {
    let file = std::fs::File::open(data.join(name)).expect("it is there");
    let json: Value = serde_json::from_reader(flate2::read::GzDecoder::new(file)).expect("JSON");
    let sessions = json["simulations"].as_array().expect("sessions");
    let turns = sessions.iter().flat_map(|s| s["messages"].as_array().expect("messages"));
    let refused = turns.filter_map(|m| m["errors"].as_array()).filter(|errors| !errors.is_empty());
    refused.fold([0, 0], |[answers, turns], errors| [answers + errors.len() as i64, turns + 1])
}

#[test]
fn the_numbers_of_the_sessions_and_of_their_judges() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tau2-bench");
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home: PathBuf = folder.path().join("home");
    for time in ["at first", "again"] {
        let done = plimsoll().arg("import").arg(&data).arg("--home").arg(&home).output().expect("it runs");
        assert!(done.status.success(), "{time}: {}", String::from_utf8_lossy(&done.stderr));
        let counts =
            "SELECT count(*), count(DISTINCT trace_id || span_id), count(DISTINCT trace_id) FROM spans";
        assert_eq!(numbers(&rows(&home, counts)[0]), [6_396, 6_396, 220], "{time}");
    }
    let sessions = "
WITH session AS (
  SELECT t.workload_class, t.model LIKE 'ft:%' AS tuned, t.task_id, t.duration_ns, v.pass,
    row_number() OVER (PARTITION BY t.workload_class, t.model ORDER BY t.duration_ns) - 1 AS i,
    count(*) OVER (PARTITION BY t.workload_class, t.model) AS n
  FROM traces t JOIN latest_verdicts v ON v.trace_id = t.trace_id AND v.evaluator = 'tau2'
  WHERE t.model = 'gpt-4.1' OR t.model LIKE 'ft:gpt-4.1%'
)";
    // Passed; passed within a minute; p50 and p95 in tenths of a second.
    let of_each = format!(
        "{sessions}
SELECT workload_class, count(*) FILTER (WHERE pass), count(*) FILTER (WHERE pass AND duration_ns <= 60000000000),
  CAST(round(max(duration_ns) FILTER (WHERE i = CAST(floor(0.50 * n) AS BIGINT)) / 1e8) AS BIGINT),
  CAST(round(max(duration_ns) FILTER (WHERE i = CAST(floor(0.95 * n) AS BIGINT)) / 1e8) AS BIGINT)
FROM session GROUP BY workload_class, tuned ORDER BY workload_class, tuned"
    );
    let of_each: Vec<_> = rows(&home, &of_each).iter().map(|row| numbers(row)).collect();
    assert_eq!(of_each, [[10, 10, 217, 343], [13, 12, 291, 939], [34, 34, 252, 392], [34, 31, 354, 671]]);
    // Gained and lost, by task.
    let pairs = format!(
        "{sessions}
SELECT count(*), count(*) FILTER (WHERE NOT a.pass AND b.pass), count(*) FILTER (WHERE a.pass AND NOT b.pass)
FROM session a JOIN session b ON a.workload_class = b.workload_class AND a.task_id = b.task_id AND NOT a.tuned AND b.tuned
GROUP BY a.workload_class ORDER BY a.workload_class"
    );
    let pairs: Vec<_> = rows(&home, &pairs).iter().map(|row| numbers(row)).collect();
    assert_eq!(pairs, [[20, 6, 3], [40, 6, 6]]);
    // Four judges and the truth, on the same sessions; one of them answers in words of its own.
    let judges = rows(
        &home,
        "SELECT evaluator, count(*), count(*) FILTER (WHERE pass), count(DISTINCT label) FROM latest_verdicts
WHERE trace_id IN (SELECT trace_id FROM latest_verdicts WHERE evaluator = 'quick_triage_v1') GROUP BY 1 ORDER BY 1",
    );
    let of = |name: &str| numbers(judges.iter().find(|row| row[0] == name).expect("a judge"));
    assert_eq!(of("quick_triage_v1"), [50, 46, 2]);
    assert_eq!(of("policy_conversation_v1"), [50, 29, 2]);
    assert_eq!(of("customer_outcome_v1"), [50, 35, 2]);
    assert_eq!(of("tau2")[..2], [50, 23]);
    let free = of("policy_chain_of_thought_v1");
    assert!(free[0] == 50 && free[2] > 2, "{free:?}");
    // A refused answer is an attempt, and with the one that was taken a group.
    let [answers, turns] = refused(&data, "qwen2.5-7b-retries_airline_default_gpt-4.1_1trials.json.gz");
    let attempts = rows(
        &home,
        "SELECT count(*), count(DISTINCT group_id), count(*) FILTER (WHERE superseded) FROM attempts
WHERE model LIKE '%qwen2.5:7b' AND operation = 'chat'",
    );
    assert_eq!(numbers(&attempts[0]), [answers + turns, turns, answers]);
}
