//! What the server says of itself in SQL.

use plimsoll_schemas::retention::Retention;
use plimsoll_schemas::{Rules, UnixNanos};
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, request};

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
