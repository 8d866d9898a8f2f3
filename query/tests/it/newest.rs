//! The newest rows are in the newest files: what is older is not opened, however much of it there is.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use crate::fleet::{BEGAN, Fleet, request};

const DAY_NS: u64 = 86_400_000_000_000;

/// Noon of the last day that is over: what is long past is not filed under its own day.
fn newest() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64 / DAY_NS * DAY_NS - DAY_NS / 2
}

/// A request as many days before that.
fn before(trace: u8, days: u64) -> Vec<Span> {
    let mut spans = request(trace, 100, &format!("session-{trace}"));
    for span in &mut spans {
        span.start_time_unix_nano = newest() - days * DAY_NS + (span.start_time_unix_nano - BEGAN);
        span.end_time_unix_nano = newest() - days * DAY_NS + (span.end_time_unix_nano - BEGAN);
    }
    spans
}

/// A trace a day; days are files of their own.
async fn days(count: u8) -> Fleet {
    let fleet = Fleet::empty("").await;
    for day in 0..count {
        fleet.export("acme", "agent", before(day + 1, day.into())).await;
    }
    fleet.settle().await;
    fleet
}

/// How many files a statement reads, which has rows; and how.
async fn opened(fleet: &Fleet, parameters: &str, sql: &str) -> (usize, String) {
    let ask = async |sql: String| {
        let body = serde_json::json!({ "sql": sql }).to_string();
        let (status, answer) = fleet.send(http::Method::POST, &format!("sql?{parameters}"), body).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value::<Vec<Vec<Value>>>(answer["rows"].clone()).expect("rows")
    };
    assert!(!ask(sql.to_owned()).await.is_empty(), "{sql}");
    let explained = ask(format!("EXPLAIN ANALYZE {sql}")).await;
    let text = explained.iter().filter_map(|row| row[1].as_str()).collect::<String>();
    let scans: Vec<&str> = text.split("files_opened=").skip(1).collect();
    assert!(text.contains("files_passed_over="), "{text}");
    let opened = scans.iter().map(|scan| {
        let digits: String = scan.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap_or_else(|_| panic!("{scan} in {text}"))
    });
    (opened.sum(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_rows_are_read_from_the_newest_files() {
    let (few, many) = (days(6).await, days(30).await);
    for fleet in [&few, &many] {
        // Newer still, and in no file yet.
        let mut spans = before(200, 0);
        for span in &mut spans {
            span.start_time_unix_nano += 1_000_000_000;
            span.end_time_unix_nano += 1_000_000_000;
        }
        fleet.export("acme", "agent", spans).await;
    }
    let found = many
        .get(&format!("search?start={}&end={}&limit=1", newest() - 3_600_000_000_000, newest() + DAY_NS))
        .await;
    let search = found["sql"].as_str().expect("its statement");
    for (parameters, sql) in [
        ("", "SELECT trace_id, name FROM spans ORDER BY start_time DESC LIMIT 1"),
        ("", "SELECT * FROM spans ORDER BY start_unix_nano DESC, span_id LIMIT 1"),
        ("", "SELECT * FROM traces ORDER BY start_unix_nano DESC LIMIT 1"),
        ("", "SELECT trace_id, stage, duration_ns FROM stage_runs ORDER BY start_time DESC LIMIT 1"),
        ("tenant=acme", search),
    ] {
        for fleet in [&few, &many] {
            let (files, how) = opened(fleet, parameters, sql).await;
            // Two partitions may each take up a file, and another, before the first row is known; none where it is in the tail.
            assert!(files <= 5, "{files} files: {sql}\n{how}");
        }
    }
    // A filter collects a batch before it passes rows on, so that of files as small as these many are read: what is known of the
    // newest rows must reach the scan, and the newest files come first.
    for (parameters, sql) in [
        ("tenant=acme", "SELECT trace_id, name FROM spans ORDER BY start_time DESC LIMIT 1"),
        ("tenant=acme", "SELECT * FROM traces ORDER BY start_time DESC LIMIT 1"),
        ("", "SELECT stage, outcome FROM spans WHERE kind = 'client' ORDER BY start_time DESC LIMIT 1"),
        (
            "tenant=acme",
            "SELECT * FROM stage_runs WHERE stage = 'inference' ORDER BY start_time DESC LIMIT 1",
        ),
    ] {
        let (_, how) = opened(&many, parameters, sql).await;
        let scan = how.split("file_type=parquet").nth(1).unwrap_or_default();
        assert!(scan.contains("DynamicFilter [ start_time@"), "{sql}\n{how}");
        let days: Vec<&str> = how.split("day=").skip(1).filter_map(|path| path.get(..10)).collect();
        assert!(days.len() > 2 && days.is_sorted_by(|a, b| a >= b), "{days:?}: {sql}");
    }
}

/// Whatever the order and the filter, what is passed over holds no row of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_are_those_of_a_sort_of_all_rows() {
    let fleet = days(10).await;
    // At the same times as others, in files of their own, and some in none.
    for twin in 0..4 {
        fleet.export("acme", "agent", before(100 + twin, 2 * u64::from(twin))).await;
        if twin == 2 {
            fleet.settle().await;
        }
    }
    let tables =
        ["spans", "traces", "stage_runs", "(SELECT trace_id, start_time AS start_unix_nano FROM spans)"];
    let conditions =
        ["true", "trace_id > '05'", "start_unix_nano IS NOT NULL", "trace_id <> 'a' AND trace_id < '0a'"];
    for order in ["DESC", "ASC", "DESC NULLS LAST", "ASC NULLS FIRST"] {
        for table in tables {
            for condition in conditions {
                let all = format!("SELECT start_unix_nano FROM {table} WHERE {condition}");
                let mut all = fleet.sql(&all).await.expect("rows");
                // Without what follows a whole second, `12:00:00Z` sorts before `12:00:00.005Z`.
                all.sort_by_key(|row| row[0].to_string().replace(['Z', '"'], ""));
                if order.starts_with("DESC") {
                    all.reverse();
                }
                for (limit, offset) in [(1, 0), (3, 0), (7, 2), (100, 0)] {
                    let first: Vec<_> = all.iter().skip(offset).take(limit).cloned().collect();
                    let sql = format!(
                        "SELECT start_unix_nano FROM {table} WHERE {condition}
                         ORDER BY start_unix_nano {order} LIMIT {limit} OFFSET {offset}"
                    );
                    assert_eq!(fleet.sql(&sql).await.expect("rows"), first, "{sql}");
                }
            }
        }
    }
    for limit in [0, 1, 5, 11] {
        let some = fleet.sql(&format!("SELECT * FROM traces LIMIT {limit}")).await.expect("rows");
        assert_eq!(some.len(), limit);
    }
    // Of the columns that no index knows: nothing is passed over, also not what is null.
    let sorted = fleet.sql("SELECT queue_ns FROM spans ORDER BY queue_ns DESC NULLS LAST LIMIT 3").await;
    assert_eq!(sorted.expect("rows").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_some_rows_may_be_in_old_files() {
    let fleet = days(12).await;
    for (sql, expected) in [
        (
            "SELECT trace_id FROM spans WHERE gen_ai_conversation_id = 'session-9' ORDER BY start_time DESC LIMIT 1",
            9,
        ),
        ("SELECT trace_id FROM traces WHERE session_id = 'session-9' ORDER BY start_time DESC LIMIT 1", 9),
        ("SELECT trace_id FROM traces ORDER BY start_time LIMIT 1", 12),
        ("SELECT trace_id FROM traces ORDER BY start_time DESC LIMIT 1 OFFSET 4", 5),
        ("SELECT trace_id FROM traces ORDER BY day, start_unix_nano LIMIT 1", 12),
        ("SELECT trace_id FROM traces WHERE start_unix_nano = (SELECT min(start_unix_nano) FROM traces)", 12),
    ] {
        let rows = fleet.sql(sql).await.expect("rows");
        assert_eq!(rows, [[Value::from(format!("{expected:02x}").repeat(16))]], "{sql}");
    }
    let counted = fleet
        .sql("SELECT count(*), count(DISTINCT day), min(start_unix_nano) FROM traces")
        .await
        .expect("rows");
    assert_eq!(counted[0][..2], [12, 12], "each file's rows, and its day");
}

/// A late span settles its trace again: the older row lies in an old file, and must not be shown beside the newer.
#[tokio::test(flavor = "multi_thread")]
async fn what_superseded_a_row_is_found_whatever_the_query_is_after() {
    let fleet = days(8).await;
    let mut late = before(6, 5);
    late.truncate(1);
    late[0].span_id = vec![9; 8];
    late[0].parent_span_id = vec![1; 8];
    fleet.export("acme", "agent", late).await;
    fleet.settle().await;
    let newest = fleet
        .sql("SELECT trace_id, span_count FROM traces ORDER BY start_unix_nano DESC LIMIT 8")
        .await
        .expect("rows");
    assert_eq!(newest.len(), 8);
    assert_eq!(newest[5][1], 3, "{newest:?}");
    let again = fleet.copy(&[]).await;
    let reopened =
        again.sql("SELECT trace_id, span_count FROM traces ORDER BY start_unix_nano DESC LIMIT 8").await;
    assert_eq!(reopened.expect("rows"), newest, "the log says which files supersede");
}

/// What is known of files' contents may not all be in memory: then it is read, before a file is opened for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn filters_that_are_not_in_memory_are_read_before_files_are() {
    let fleet = days(8).await;
    let scarce = fleet.copy_without_filters().await;
    let third = "03".repeat(16);
    for (sql, most) in [
        (format!("SELECT name FROM spans WHERE trace_id = '{third}' ORDER BY name"), 1),
        (
            format!(
                "SELECT name FROM spans WHERE trace_id IN ('{third}', '{}') ORDER BY name",
                "05".repeat(16)
            ),
            2,
        ),
        ("SELECT trace_id FROM spans WHERE gen_ai_response_id = 'response-4'".to_owned(), 1),
        ("SELECT count(*) FROM spans WHERE name = 'nowhere'".to_owned(), 0),
    ] {
        let (files, how) = opened(&scarce, "", &sql).await;
        assert!(files <= most, "{files} files: {sql}\n{how}");
        assert_eq!(scarce.sql(&sql).await, fleet.sql(&sql).await, "{sql}");
    }
    let path = format!("traces/{third}");
    assert_eq!(scarce.get(&path).await["resourceSpans"], fleet.get(&path).await["resourceSpans"]);
    // A late span finds the others.
    for fleet in [&fleet, &scarce] {
        let mut late = before(6, 5);
        late.truncate(1);
        late[0].span_id = vec![9; 8];
        fleet.export("acme", "agent", late).await;
        fleet.settle().await;
        let sql = format!("SELECT span_count FROM traces WHERE trace_id = '{}'", "06".repeat(16));
        assert_eq!(fleet.sql(&sql).await, Ok(vec![vec![Value::from(3)]]));
    }
}
