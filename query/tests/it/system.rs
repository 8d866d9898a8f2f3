//! What the server says of itself in SQL.

use plimsoll_schemas::retention::Retention;
use plimsoll_schemas::{Rules, UnixNanos};
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, With, request, span};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_files_and_slices_are_tables() {
    let retention = Retention { keep_days: Some(1), ..Retention::default() };
    let fleet = Fleet::keeping(tempfile::tempdir().expect("a folder"), Rules::default(), retention).await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    fleet.settle().await;

    let rows = |sql: &'static str| async { fleet.sql(sql).await.expect("rows") };
    let spans = "SELECT kind, subject, state, done, total, unit, end_time IS NOT NULL, problem FROM plimsoll.jobs WHERE kind = 'merge'";
    assert_eq!(
        rows(spans).await,
        [[
            json!("merge"),
            json!("spans"),
            json!("done"),
            json!(2),
            json!(2),
            json!("rows"),
            json!(true),
            Value::Null
        ]]
    );
    assert_eq!(
        rows("SELECT slice, file_count, span_count, size_bytes > 0, last_time >= first_time FROM plimsoll.slices").await,
        [[json!("acme__m1_"), json!(1), json!(2), json!(true), json!(true)]]
    );
    let counted = "SELECT table_name, sum(row_count) FROM plimsoll.files WHERE table_name IN ('spans', 'traces') GROUP BY 1 ORDER BY 1";
    assert_eq!(rows(counted).await, [[json!("spans"), json!(2)], [json!("traces"), json!(1)]]);

    let long_after = UnixNanos(BEGAN as i64 + 3_000 * 86_400_000_000_000);
    fleet.store.retain(long_after).await.expect("retains");
    assert_eq!(rows("SELECT count(*) FROM plimsoll.files").await, [[json!(0)]]);
    let gone = "SELECT subject, state, done = total FROM plimsoll.jobs WHERE kind = 'retention' AND subject IN ('spans', 'traces') ORDER BY id";
    let done = |subject: &str| vec![json!(subject), json!("done"), json!(true)];
    assert_eq!(rows(gone).await, [done("spans"), done("traces")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_elsewhere_says_how_far_it_is() {
    let fleet = Fleet::empty("").await;
    let tell = |job: Value| fleet.send(http::Method::POST, "jobs", job.to_string());
    let job = |id: Value, done: u64, ended: bool, problem: Value| json!({"id": id, "subject": "old.json", "done_bytes": done, "total_bytes": 100, "ended": ended, "problem": problem});
    let (status, first) = tell(job(Value::Null, 10, false, Value::Null)).await;
    assert_eq!(status, 200);
    let (_, again) = tell(job(first["id"].clone(), 60, false, Value::Null)).await;
    assert_eq!(again, first);
    let shown = "SELECT kind, subject, state, done, total, problem FROM plimsoll.jobs";
    let row = |state: &str, done: u64, problem: Value| {
        Ok(vec![vec![json!("import"), json!("old.json"), json!(state), json!(done), json!(100), problem]])
    };
    assert_eq!(fleet.sql(shown).await, row("running", 60, Value::Null));
    tell(job(first["id"].clone(), 70, true, json!("line 3: no JSON"))).await;
    assert_eq!(fleet.sql(shown).await, row("failed", 70, json!("line 3: no JSON")));
    let (status, problem) = tell(json!({"subject": "a"})).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().expect("words").contains("done_bytes"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_does_not_see_the_whole_server() {
    let fleet = Fleet::empty("").await;
    for table in ["jobs", "files", "slices"] {
        let body = json!({ "sql": format!("SELECT count(*) FROM plimsoll.{table}") }).to_string();
        let (status, problem) = fleet.send(http::Method::POST, "sql?tenant=acme", body).await;
        assert_eq!(status, 400, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attributes_cost_is_a_table() {
    let fleet = Fleet::empty("").await;
    let spans = |trace: u8| {
        let many = (1..=200_u8).map(|id| {
            let words = ["alpha", "a longer word that comes again"];
            let at = 10 * u64::from(id);
            let mut span = span(trace, id, 0, "call", at, at + 5)
                .with("ours.word", words[usize::from(id % 2)])
                .with("session.id", "s-1");
            // Of each ten, two.
            if id % 5 == 0 {
                span = span.with("ours.id", &format!("{trace}/{id}"));
            }
            span
        });
        many.collect::<Vec<_>>()
    };
    // One in a file, one in memory.
    fleet.export("acme", "agent", spans(1)).await;
    fleet.settle().await;
    fleet.export("acme", "agent", spans(2)).await;

    let sql = "SELECT scope, key, types, column_name, row_count, value_bytes, distinct_count, sample_row_count \
               FROM plimsoll.attributes WHERE key LIKE 'ours.%' OR key = 'session.id' ORDER BY key";
    let id_bytes: usize =
        [1, 2].iter().flat_map(|t| (5..=200).step_by(5).map(move |id| format!("{t}/{id}").len())).sum();
    let row = |key: &str, column: Value, rows: u64, bytes: usize, distinct: u64| {
        vec![
            json!("span"),
            json!(key),
            json!("string"),
            column,
            json!(rows),
            json!(bytes),
            json!(distinct),
            json!(400),
        ]
    };
    assert_eq!(
        fleet.sql(sql).await.expect("rows"),
        [
            row("ours.id", Value::Null, 80, id_bytes, 80),
            row(
                "ours.word",
                Value::Null,
                400,
                200 * ("alpha".len() + "a longer word that comes again".len()),
                2
            ),
            row("session.id", json!("session_id"), 400, 400 * "s-1".len(), 1),
        ]
    );
    // A column that two words take turns in costs less than its part of the map; what has a column has none to gain.
    let saves = "SELECT key, promotion_saves_bytes > 0 FROM plimsoll.attributes WHERE key IN ('ours.word', 'session.id') ORDER BY key";
    assert_eq!(
        fleet.sql(saves).await.expect("rows"),
        [[json!("ours.word"), json!(true)], [json!("session.id"), Value::Null]]
    );
}
