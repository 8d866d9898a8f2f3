//! The log on the operating system's own file system.

use std::path::Path;
use std::sync::Arc;

use plimsoll_store::files::{Files, OsFiles};
use plimsoll_store::wal::Wal;

use super::{SEGMENT_BYTES, append, requests};

fn open(folder: &Path, floor: u64) -> (Wal, Vec<u64>) {
    let (wal, replay) = Wal::open(Arc::new(OsFiles), folder, floor).expect("readable");
    let records = replay.collect::<Result<Vec<_>, _>>().expect("readable");
    (wal.with_segment_bytes_max(SEGMENT_BYTES), requests(&records))
}

fn names(folder: &Path) -> Vec<String> {
    let name = |p: std::path::PathBuf| p.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    OsFiles.list(folder).expect("readable").into_iter().filter_map(name).collect()
}

fn log(first_seq: u64) -> String {
    format!("{first_seq:020}.log")
}

fn spare(first_seq: u64) -> String {
    format!("{first_seq:020}.spare")
}

#[test]
fn what_was_let_go_of_is_written_over() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = &home.path().join("wal");
    let (mut wal, _) = open(folder, 0);
    (1..=9).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("space"), n));
    wal.delete_through(8).expect("there");
    assert_eq!(names(folder), [spare(1), spare(5), log(8)]);
    let len = |name: String| folder.join(name).metadata().expect("there").len();
    let before = len(spare(5));
    (10..=12).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("space"), n));
    assert_eq!(names(folder), [spare(1), log(8), log(11)]);
    assert_eq!(len(log(11)), before, "it still ends as the one did that it is written over");
    drop(wal);

    let (mut wal, replayed) = open(folder, 0);
    assert_eq!(replayed, (8..=12).collect::<Vec<_>>(), "and nothing that was there before");
    assert_eq!(names(folder), [log(8), log(11)]);
    assert_eq!(append(&mut wal, [13]).expect("space"), 13);
    drop(wal);
    assert_eq!(open(folder, 0).1, (8..=13).collect::<Vec<_>>());
}

#[test]
fn it_rotates_lets_go_and_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = &home.path().join("deep/wal");
    let (mut wal, replayed) = open(folder, 0);
    assert!(replayed.is_empty());
    let id = wal.id();
    (1..=7).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("space"), n));
    assert_eq!(names(folder), [log(1), log(5)]);
    let sizes =
        OsFiles.list(folder).expect("readable").into_iter().map(|p| p.metadata().expect("there").len());
    assert!(sizes.into_iter().all(|len| len <= SEGMENT_BYTES), "reserved space is not length");
    drop(wal);

    let (mut wal, replayed) = open(folder, 0);
    assert_eq!(replayed, (1..=7).collect::<Vec<_>>());
    assert_eq!((wal.id(), wal.last_seq()), (id, 7));
    assert_eq!(wal.skip().expect("there"), 8);
    assert_eq!(append(&mut wal, [8]).expect("space"), 9);
    wal.delete_through(4).expect("there");
    assert_eq!(names(folder), [spare(1), log(5), log(9)]);
    wal.delete_through(9).expect("there");
    assert_eq!(names(folder), [spare(1), spare(5), log(9)], "the last keeps the log's id");
    drop(wal);

    let (mut wal, replayed) = open(folder, 0);
    assert_eq!((replayed, wal.id(), wal.last_seq()), (vec![8], id, 9));
    append(&mut wal, [9]).expect("space");
    wal.delete_through(9).expect("there");
    assert_eq!(names(folder), [log(10)], "what is not half full is not kept");
    wal.remove_all().expect("there");
    assert!(names(folder).is_empty());
    drop(wal);

    let (mut wal, replayed) = open(folder, 10);
    assert!(replayed.is_empty());
    assert_ne!(wal.id(), id, "another log");
    assert_eq!(append(&mut wal, [11]).expect("space"), 11, "sequences go on above the floor");
}

#[test]
fn a_torn_end_is_cut_off() {
    let home = tempfile::tempdir().expect("a folder");
    let (mut wal, _) = open(home.path(), 0);
    append(&mut wal, [1]).expect("space");
    append(&mut wal, [2]).expect("space");
    drop(wal);
    let path = &OsFiles.list(home.path()).expect("readable")[0];
    let len = path.metadata().expect("there").len();
    std::fs::OpenOptions::new().write(true).open(path).expect("there").set_len(len - 1).expect("cut");
    let (mut wal, replayed) = open(home.path(), 0);
    assert_eq!(replayed, [1]);
    append(&mut wal, [3]).expect("space");
    assert_eq!(open(home.path(), 0).1, [1, 3]);
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let home = tempfile::tempdir().expect("a folder");
    let path = &home.path().join("small");
    for text in [&b"one"[..], b"another"] {
        OsFiles.replace(path, text).expect("space");
        assert_eq!(OsFiles.read(path).expect("there"), text);
    }
    assert_eq!(names(home.path()), ["small"]);
    assert!(OsFiles.list(&home.path().join("none")).expect("none is empty").is_empty());
}
