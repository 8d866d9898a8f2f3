//! What was committed is read: whole, by trace, and by a reader that is behind.

use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::Table;
use plimsoll_store::lake::{Commit, read_file, read_traces};
use plimsoll_store::{DataFile, FileList};
use proptest::prelude::*;

use super::{Row, adding, open, root, rows, some_rows, sorted, write};

#[tokio::test]
async fn what_is_committed_is_read_and_survives_reopening() {
    let home = tempfile::tempdir().expect("a folder");
    let (first, second) = (some_rows(50, 3, 1), some_rows(20, 2, 2));
    let mut table = open(home.path()).await;
    assert_eq!((table.version(), rows(&table).len()), (0, 0));
    let files = vec![write(table.home(), "_recent", &first), write(table.home(), "acme__m_", &second)];
    // Written is not committed.
    assert!(rows(&table).is_empty());
    let commit = Commit { transaction: Some(("log-1".into(), 2)), ..adding(files) };
    let (version, added) = table.commit(commit).await.expect("commits");
    assert_eq!((version, added.len()), (1, 2));
    for table in [&table, &open(home.path()).await] {
        assert_eq!(table.version(), 1);
        assert_eq!(rows(table), sorted(&[&first, &second]));
        assert_eq!(table.transaction_version("log-1").await.expect("readable"), Some(2));
        assert_eq!(table.transaction_version("log-2").await.expect("readable"), None);
        let files = table.files();
        assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), 190);
        assert_eq!(files.iter().map(|f| f.wal_seq_max).max(), Some(2));
        let starts = first.iter().chain(&second).map(|r| r.start);
        assert_eq!(files.iter().map(|f| f.time_range.0.0).min(), starts.clone().min());
        assert_eq!(files.iter().map(|f| f.time_range.1.0).max(), starts.max());
    }
}

#[tokio::test]
async fn a_reader_that_is_behind_keeps_its_files() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = open(home.path()).await;
    let all = some_rows(10, 3, 1);
    table.commit(adding(vec![write(table.home(), "_recent", &all)])).await.expect("commits");
    let seen = table.files();
    let merged = Commit {
        adds: vec![write(table.home(), "acme__m_", &all)],
        removes: seen.to_vec(),
        transaction: None,
        data_change: false,
    };
    table.commit(merged).await.expect("commits");
    assert_eq!(rows(&table), sorted(&[&all]), "moved, neither lost nor doubled");
    assert_eq!(rows(&open(home.path()).await), sorted(&[&all]));
    let read: usize =
        read_file(Table::Spans, &seen[0]).expect("still there").map(|b| b.expect("reads").num_rows()).sum();
    assert_eq!(read, all.len());
}

/// More rows than a page has, so that lookups have pages to skip.
#[tokio::test]
async fn a_trace_is_found_wherever_it_lies() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = open(home.path()).await;
    let (many, few) = (some_rows(4_000, 3, 1), some_rows(7, 5_000, 2));
    let files = vec![write(table.home(), "_recent", &many), write(table.home(), "acme__m_", &few)];
    table.commit(adding(files)).await.expect("commits");
    let id = |trace: u32| -> TraceId { Row { trace, start: 0, seq: 0 }.trace_id().parse().expect("an id") };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(30));
    let asked = prop::collection::btree_set(prop_oneof![0u32..10, 0u32..5_000], 1..4);
    let list = FileList::from(table.files().to_vec());
    runner
        .run(&asked, |traces| {
            let ids: Vec<TraceId> = traces.iter().map(|t| id(*t)).collect();
            for (file, all) in table.files().iter().zip([&many, &few]) {
                let expected = all.iter().filter(|r| traces.contains(&r.trace)).count();
                let read = read_traces(file, &ids, None).expect("reads");
                prop_assert_eq!(read.iter().map(|b| b.num_rows()).sum::<usize>(), expected);
                let may_hold = ids.iter().any(|id| file.may_hold(id));
                prop_assert!(may_hold || expected == 0, "the bloom denies what is there");
                let is_listed = list.that_may_hold(&ids).any(|listed| listed.path == file.path);
                prop_assert_eq!(is_listed, may_hold, "the list says what its files say");
            }
            Ok(())
        })
        .expect("the same as a scan");
    let stranger = id(1_000_000);
    assert!(table.files().iter().any(|f| !f.may_hold(&stranger)), "a bloom that says yes to all is none");
    let other = plimsoll_schemas::Tenant::new("other").expect("a tenant");
    let file = &table.files()[0];
    assert!(read_traces(file, &[id(1)], Some(&other)).expect("reads").is_empty());
}

/// Whatever bit of a sidecar is flipped, nothing that is there is said not to be.
#[tokio::test]
async fn a_damaged_sidecar_hides_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let all = some_rows(3, 2, 1);
    let mut table = open(home.path()).await;
    table.commit(adding(vec![write(table.home(), "acme__m_", &all)])).await.expect("commits");
    let id: TraceId = all[0].trace_id().parse().expect("an id");
    let holds = |file: &DataFile, column: &str, key: &str, value: &str| {
        file.may_meet(|sidecar| sidecar.may_hold_value(column, key, value))
    };
    let file = table.files()[0].clone();
    assert!(file.may_hold(&id) && holds(&file, "name", "", "x"));
    assert!(!holds(&file, "name", "", "y") && !holds(&file, "attributes", "k", "v"));
    let path = root(&table).join(&file.path);
    let name = format!("_{}.bloom", path.file_stem().expect("a name").to_string_lossy());
    let sidecar = path.with_file_name(name);
    let bytes = std::fs::read(&sidecar).expect("a sidecar");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&sidecar, &damaged).expect("writable");
        let file = open(home.path()).await.files()[0].clone();
        assert!(file.may_hold(&id) && holds(&file, "name", "", "x"), "byte {at}");
        assert!(holds(&file, "name", "", "y"), "byte {at}: not known any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_single_rows_are_found_though_pages_between_them_have_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = super::at(folder.path());
    let mut rows = some_rows(20_000, 1, 1);
    rows.sort_by_key(Row::trace_id);
    let file = write(&home, "s", &rows);
    // Every second one at the beginning and at the end.
    let asked = rows[..4_000].iter().chain(&rows[16_000..]).step_by(2);
    let ids: Vec<TraceId> = asked.map(|row| row.trace_id().parse().expect("an id")).collect();
    let found = tokio::task::spawn_blocking(move || {
        let read = read_traces(&file, &ids, None).expect("reads");
        (ids.len(), read.iter().map(|batch| batch.num_rows()).sum::<usize>())
    });
    let (asked, found) = found.await.expect("it ends");
    assert_eq!(found, asked);
}
