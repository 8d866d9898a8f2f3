//! Logs that others wrote into, that an older version of us wrote, and that were cut short behind a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_store::lake::{Effort, Gather, LakeTable, Part, Partition, write_files};
use plimsoll_store::{DataFile, Home};
use serde_json::{Value, json};

use super::{adding, at, open, rows, some_rows, sorted, write};

fn entry(home: &Path, version: u64) -> PathBuf {
    home.join(format!("spans/_delta_log/{version:020}.json"))
}

fn actions(home: &Path, version: u64) -> Vec<Value> {
    let text = std::fs::read_to_string(entry(home, version)).expect("an entry");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn rewrite(home: &Path, version: u64, actions: &[Value]) {
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    std::fs::write(entry(home, version), lines.join("\n")).expect("writable");
}

/// A table with one commit of some rows.
async fn one_commit(home: &Path) -> Vec<super::Row> {
    let all = some_rows(10, 3, 5);
    let mut table = open(home).await;
    table.commit(adding(vec![write(table.home(), "_recent", &all)])).await.expect("commits");
    all
}

async fn refused(home: &Path) -> String {
    LakeTable::open(&at(home), Table::Spans).await.expect_err("refused").to_string()
}

#[tokio::test]
async fn rows_that_another_writer_deleted_are_not_shown_as_if_they_were_there() {
    let home = tempfile::tempdir().expect("a folder");
    one_commit(home.path()).await;
    let mut commit = actions(home.path(), 1);
    for add in commit.iter_mut().filter_map(|a| a.get_mut("add")) {
        add["deletionVector"] = json!({
            "storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 1, "sizeInBytes": 34, "cardinality": 1,
        });
    }
    rewrite(home.path(), 1, &commit);
    let problem = refused(home.path()).await;
    assert!(problem.contains("deletion vector") && problem.contains(".parquet"), "{problem}");
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    one_commit(home.path()).await;
    let protocol = json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["tomorrow"], "writerFeatures": ["tomorrow"]}});
    rewrite(home.path(), 2, &[protocol]);
    let problem = refused(home.path()).await;
    assert!(problem.contains("tomorrow"), "{problem}");
}

#[tokio::test]
async fn files_without_statistics_are_asked_themselves() {
    let home = tempfile::tempdir().expect("a folder");
    let all = one_commit(home.path()).await;
    let mut commit = actions(home.path(), 1);
    for add in commit.iter_mut().filter_map(|a| a.get_mut("add")) {
        add.as_object_mut().expect("an object").remove("stats");
    }
    rewrite(home.path(), 1, &commit);
    let table = open(home.path()).await;
    assert_eq!(rows(&table), sorted(&[&all]));
    let file = &table.files()[0];
    assert_eq!((file.rows, file.wal_seq_max), (30, 5));
    assert_eq!(file.time_range.0.0, all[0].start);
}

#[tokio::test]
async fn a_table_of_an_older_version_gains_the_columns_that_it_lacks() {
    let home = tempfile::tempdir().expect("a folder");
    let all = one_commit(home.path()).await;
    let mut creation = actions(home.path(), 0);
    for metadata in creation.iter_mut().filter_map(|a| a.get_mut("metaData")) {
        let mut schema: Value =
            serde_json::from_str(metadata["schemaString"].as_str().expect("text")).expect("JSON");
        schema["fields"].as_array_mut().expect("fields").retain(|f| f["name"] != "trace_state");
        metadata["schemaString"] = schema.to_string().into();
    }
    rewrite(home.path(), 0, &creation);
    let table = open(home.path()).await;
    assert_eq!(table.version(), 2, "one entry more");
    assert_eq!(rows(&table), sorted(&[&all]));
    assert!(actions(home.path(), 2).iter().any(|a| a.to_string().contains("trace_state")));
    assert_eq!(open(home.path()).await.version(), 2, "and no more than one");
}

#[tokio::test]
async fn a_column_of_another_type_is_named() {
    let home = tempfile::tempdir().expect("a folder");
    one_commit(home.path()).await;
    let creation = std::fs::read_to_string(entry(home.path(), 0)).expect("an entry");
    let other = creation.replace(
        r#"\"name\":\"duration_ns\",\"type\":\"long\""#,
        r#"\"name\":\"duration_ns\",\"type\":\"string\""#,
    );
    assert_ne!(other, creation);
    std::fs::write(entry(home.path(), 0), other).expect("writable");
    let problem = refused(home.path()).await;
    assert!(problem.contains("column duration_ns is string there and long here"), "{problem}");
}

#[tokio::test]
async fn behind_a_checkpoint_the_entries_are_not_needed() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = open(home.path()).await;
    let mut all = Vec::new();
    for seq in 0..20 {
        let some = some_rows(3, 2, seq);
        table.commit(adding(vec![write(table.home(), "_recent", &some)])).await.expect("commits");
        table.maintain().await.expect("maintained");
        all.extend(some);
    }
    let log = home.path().join("spans/_delta_log");
    assert!(log.join("_last_checkpoint").exists(), "none after 20 versions");
    for version in 0..20 {
        std::fs::remove_file(entry(home.path(), version)).expect("was there");
    }
    let mut table = open(home.path()).await;
    assert_eq!((table.version(), rows(&table)), (20, sorted(&[&all])));
    assert!(table.files().iter().all(|file| file.object.is_checked()), "a checkpoint keeps checksums");
    let more = some_rows(1, 1, 21);
    table.commit(adding(vec![write(table.home(), "_recent", &more)])).await.expect("commits");
    assert_eq!(rows(&open(home.path()).await), sorted(&[&all, &more]));
}

#[tokio::test]
async fn a_commit_that_another_process_won_comes_after_it() {
    let home = tempfile::tempdir().expect("a folder");
    let (mut one, mut other) = (open(home.path()).await, open(home.path()).await);
    let (ours, theirs) = (some_rows(2, 2, 1), some_rows(3, 2, 2));
    other.commit(adding(vec![write(other.home(), "_recent", &theirs)])).await.expect("commits");
    let (version, _) = one.commit(adding(vec![write(one.home(), "_recent", &ours)])).await.expect("commits");
    assert_eq!(version, 2);
    assert_eq!(rows(&one), sorted(&[&ours, &theirs]));
    // What one removed the other cannot replace.
    let files = one.files();
    let replace =
        |removes: Vec<_>| plimsoll_store::lake::Commit { removes, data_change: false, ..adding(Vec::new()) };
    one.commit(replace(files.to_vec())).await.expect("commits");
    let problem = other.commit(replace(vec![files[0].clone()])).await.expect_err("gone").to_string();
    assert!(problem.contains("another writer removed"), "{problem}");
}

/// Readers of a view ask which rows supersede others, of all of time: files without any must be known, whoever replays the log.
#[tokio::test]
async fn whether_rows_supersede_others_is_known_without_opening_their_file() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = LakeTable::open(&at(home.path()), Table::Traces).await.expect("opens");
    for resettled in [false, true] {
        let file = write_traces(table.home(), resettled);
        assert_eq!(file.supersedes, resettled);
        table.commit(adding(vec![file])).await.expect("commits");
    }
    let supersedes = |table: &LakeTable| {
        let mut all: Vec<bool> = table.files().iter().map(|f| f.supersedes).collect();
        all.sort_unstable();
        all
    };
    let open = async || LakeTable::open(&at(home.path()), Table::Traces).await.expect("opens");
    assert_eq!(supersedes(&open().await), [false, true]);

    // A checkpoint says so too.
    for _ in 0..20 {
        table.commit(adding(Vec::new())).await.expect("commits");
    }
    table.maintain().await.expect("writes a checkpoint");
    let log = home.path().join("traces/_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    std::fs::remove_file(log.join(format!("{:020}.json", 1))).expect("one entry the less");
    assert_eq!(supersedes(&open().await), [false, true]);
}

#[tokio::test]
async fn files_that_do_not_say_may_supersede() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = LakeTable::open(&at(home.path()), Table::Traces).await.expect("opens");
    table.commit(adding(vec![write_traces(table.home(), false)])).await.expect("commits");
    let path = home.path().join(format!("traces/_delta_log/{:020}.json", 1));
    let text = std::fs::read_to_string(&path).expect("an entry");
    let older = text.replace(r#",\"resettled\":false"#, "").replace(r#"\"resettled\":false,"#, "");
    assert_ne!(text, older);
    std::fs::write(&path, older).expect("writable");
    let table = LakeTable::open(&at(home.path()), Table::Traces).await.expect("opens");
    assert!(table.files()[0].supersedes);
}

fn write_traces(home: &Home, resettled: bool) -> DataFile {
    let batch = super::batch(Table::Traces, &some_rows(1, 4, 1));
    let index = batch.schema().index_of("resettled").expect("a column");
    let mut columns = batch.columns().to_vec();
    columns[index] = Arc::new(BooleanArray::from(vec![resettled; batch.num_rows()]));
    let batches = [RecordBatch::try_new(batch.schema(), columns).expect("the table's schema")];
    let part = Part { partition: Partition { day: super::DAY, slice: None }, rows: (0..4).collect() };
    let all = Gather::of(Table::Traces.file_schema(), &batches);
    write_files(home, Table::Traces, &all, &[part], Effort::Quick).expect("written").pop().expect("a file")
}
