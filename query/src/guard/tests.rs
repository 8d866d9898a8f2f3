use super::*;

fn refusal(sql: &str) -> String {
    match check(sql) {
        Err(QueryError::Refused(why) | QueryError::Invalid(why)) => why,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn reading_statements_pass() {
    for sql in [
        "SELECT 1",
        "select count(*) from spans;",
        "WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2",
        "VALUES (1), (2)",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT 1",
        "SHOW TABLES",
        "SHOW COLUMNS FROM spans",
        "SHOW ALL",
        "DESCRIBE spans",
    ] {
        check(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

#[test]
fn everything_else_is_refused() {
    for sql in [
        "INSERT INTO spans VALUES (1)",
        "UPDATE spans SET name = 'x'",
        "DELETE FROM spans",
        "DROP TABLE spans",
        "TRUNCATE TABLE spans",
        "ALTER TABLE spans ADD COLUMN x INT",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TABLE x (a INT)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'",
        "COPY spans TO '/tmp/x.parquet'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN COPY spans TO '/tmp/x.parquet'",
        "EXPLAIN INSERT INTO spans VALUES (1)",
        "EXPLAIN ANALYZE DELETE FROM spans",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "GRANT ALL ON spans TO bob",
        "USE other",
        "KILL 1",
        "SELECT 1 INTO x",
        "SELECT * FROM (SELECT 1 INTO y)",
        "WITH a AS (INSERT INTO spans VALUES (1)) SELECT * FROM a",
        "SELECT 1; DROP TABLE spans",
        "SELECT 1; SELECT 2",
        "",
        "   ;",
        "nonsense",
    ] {
        assert!(!refusal(sql).is_empty(), "{sql}");
    }
}

#[test]
fn size_is_bounded_before_parsing() {
    let chain = format!("SELECT 1 WHERE {}1 = 1", "1 = 1 OR ".repeat(5_000));
    assert!(refusal(&chain).contains("operators"));
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(refusal(&deep).contains("parentheses"));
    let minus = format!("SELECT {}1", "- ".repeat(100_000));
    assert!(refusal(&minus).contains("operators"));
    let long = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
    assert!(refusal(&long).contains("bytes"));
    let list = format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 10_000].join(","));
    check(&list).expect("a long IN list is no chain");
}
