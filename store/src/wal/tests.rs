use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};
use proptest::prelude::*;

use super::*;
use crate::decode::{RecordKind, RecordMeta};
use crate::files::faulty::{Fault, FaultyFiles};

fn meta() -> RecordMeta {
    RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest: UnixNanos(7) }
}

fn folder() -> PathBuf {
    PathBuf::from("/home/wal")
}

fn open(files: &FaultyFiles) -> Result<(Wal, Vec<Record>), StoreError> {
    let (wal, replay) = Wal::open(Arc::new(files.clone()), &folder(), 0)?;
    let records = replay.collect::<Result<Vec<_>, _>>()?;
    Ok((wal, records))
}

/// Appends one record of this number; the number is its payload.
fn append(wal: &mut Wal, number: u64) -> Result<u64, StoreError> {
    let payload = number.to_le_bytes();
    wal.append([(&meta(), payload.as_slice())])
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|r| u64::from_le_bytes(r.payload[..].try_into().expect("eight bytes"))).collect()
}

fn only_segment(files: &FaultyFiles) -> PathBuf {
    let paths = files.list(&folder()).expect("listed");
    assert_eq!(paths.len(), 1);
    paths[0].clone()
}

#[test]
fn what_was_appended_is_replayed_in_order() {
    let files = FaultyFiles::default();
    let (mut wal, none) = open(&files).expect("new");
    assert!(none.is_empty());
    for number in 1..=5 {
        assert_eq!(append(&mut wal, number).expect("durable"), number);
    }
    let id = wal.id();
    drop(wal);
    files.crash(0);
    let (mut wal, records) = open(&files).expect("opens");
    assert_eq!(numbers(&records), [1, 2, 3, 4, 5]);
    assert_eq!((wal.id(), records[0].meta.ingest), (id, UnixNanos(7)));
    assert_eq!(append(&mut wal, 6).expect("durable"), 6);
}

#[test]
fn a_log_cut_anywhere_gives_what_was_whole() {
    let files = FaultyFiles::default();
    let (mut wal, _) = open(&files).expect("new");
    (1..=3).for_each(|n| drop(append(&mut wal, n)));
    let path = only_segment(&files);
    let bytes = files.read(&path).expect("read");
    let record = (bytes.len() - record::HEADER_LEN) / 3;
    for len in 0..=bytes.len() {
        let cut = FaultyFiles::default();
        let mut file = cut.create(&path).expect("created");
        file.append(&bytes[..len]).and_then(|()| file.sync()).expect("written");
        let (mut wal, records) = open(&cut).unwrap_or_else(|e| panic!("cut at {len}: {e}"));
        let whole = len.saturating_sub(record::HEADER_LEN) / record;
        assert_eq!(records.len(), whole, "cut at {len}");
        append(&mut wal, 9).unwrap_or_else(|e| panic!("cut at {len}: {e}"));
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_a_record() {
    let files = FaultyFiles::default();
    let (mut wal, _) = open(&files).expect("new");
    (1..=3).for_each(|n| drop(append(&mut wal, n)));
    let path = only_segment(&files);
    let len = files.read(&path).expect("read").len();
    let record = (len - record::HEADER_LEN) / 3;
    for byte in record::HEADER_LEN..len {
        files.flip(&path, byte, (byte % 8) as u8);
        let is_last = byte >= record::HEADER_LEN + 2 * record;
        let copy = FaultyFiles::default();
        let mut file = copy.create(&path).expect("created");
        file.append(&files.read(&path).expect("read")).and_then(|()| file.sync()).expect("written");
        match open(&copy) {
            Ok((_, records)) => assert!(is_last && numbers(&records) == [1, 2], "byte {byte}: {records:?}"),
            Err(StoreError::DamagedWal { path: named, offset, .. }) => {
                assert!(!is_last && named == path && offset <= byte as u64, "byte {byte}");
            }
            Err(other) => panic!("byte {byte}: {other}"),
        }
        files.flip(&path, byte, (byte % 8) as u8);
    }
}

#[test]
fn a_failed_fsync_poisons_for_good() {
    let files = FaultyFiles::default();
    let (mut wal, _) = open(&files).expect("new");
    append(&mut wal, 1).expect("durable");
    files.fail_at(files.operations() + 1, Fault::SyncFails);
    assert!(matches!(append(&mut wal, 2), Err(StoreError::Poisoned(_))));
    assert!(matches!(append(&mut wal, 3), Err(StoreError::Poisoned(_))), "never tried again");
    drop(wal);
    files.crash(0);
    assert_eq!(numbers(&open(&files).expect("opens").1), [1]);
}

#[test]
fn segments_go_once_all_of_them_is_in_files() {
    let files = FaultyFiles::default();
    let (mut wal, _) = open(&files).expect("new");
    let id = wal.id();
    append(&mut wal, 1).expect("durable");
    wal.delete_through(1).expect("deleted");
    append(&mut wal, 2).expect("durable");
    wal.delete_through(1).expect("deleted");
    drop(wal);
    files.crash(0);
    let (mut wal, records) = open(&files).expect("opens");
    assert_eq!((wal.id(), numbers(&records)), (id, vec![2]), "the log keeps its name");
    wal.remove_all().expect("removed");
    drop(wal);
    files.crash(0);
    let (wal, records) = open(&files).expect("opens");
    assert!(records.is_empty());
    assert_ne!(wal.id(), id, "a log that was removed is another one");
}

/// Runs a fixed history until a fault ends it, and answers what was acknowledged and what was let go of.
fn history(files: &FaultyFiles) -> (Vec<u64>, u64) {
    let (mut acknowledged, mut let_go) = (Vec::new(), 0);
    let Ok((mut wal, _)) = open(files) else { return (acknowledged, let_go) };
    for number in 1..=6 {
        match append(&mut wal, number) {
            Ok(seq) => acknowledged.push(seq),
            Err(_) => return (acknowledged, let_go),
        }
        if number % 2 == 0 {
            // Asked for is as good as done: what it names is in files already.
            let_go = number - 1;
            if wal.delete_through(let_go).is_err() {
                return (acknowledged, let_go);
            }
        }
    }
    (acknowledged, let_go)
}

#[test]
fn a_crash_between_any_two_operations_loses_nothing_acknowledged() {
    let count = {
        let files = FaultyFiles::default();
        history(&files);
        files.operations()
    };
    for at in 0..count {
        for fault in [Fault::Crash, Fault::TornWrite(100), Fault::SyncFails, Fault::Full] {
            for keep in [0, 128, 255] {
                let files = FaultyFiles::default();
                files.fail_at(at, fault);
                let (acknowledged, let_go) = history(&files);
                files.crash(keep);
                let (_, records) = open(&files).unwrap_or_else(|e| panic!("{fault:?} at {at}: {e}"));
                let found = numbers(&records);
                for number in acknowledged.iter().filter(|n| **n > let_go) {
                    let times = found.iter().filter(|n| *n == number).count();
                    assert_eq!(times, 1, "{fault:?} at {at}, keep {keep}: {number} of {found:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn damage_is_named_or_cut_off_but_never_invented(cut in 0usize..400, flips in prop::collection::vec((0usize..400, 0u8..8), 0..4)) {
        let files = FaultyFiles::default();
        let (mut wal, _) = open(&files).expect("new");
        (1..=8).for_each(|n| drop(append(&mut wal, n)));
        let path = only_segment(&files);
        let mut bytes = files.read(&path).expect("read");
        bytes.truncate(bytes.len().saturating_sub(cut));
        for (at, bit) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        let damaged = FaultyFiles::default();
        let mut file = damaged.create(&path).expect("created");
        file.append(&bytes).and_then(|()| file.sync()).expect("written");
        if let Ok((_, records)) = open(&damaged) {
            let found = numbers(&records);
            let expected: Vec<u64> = (1..=found.len() as u64).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

fn entry(payload: &'static [u8]) -> Entry<u8> {
    let digest = digest(&meta(), payload);
    Entry { meta: meta(), payload: Bytes::from_static(payload), digest, attachment: 1 }
}

fn writer(files: &FaultyFiles, published: &Arc<AtomicUsize>) -> WalWriter<u8> {
    let (wal, replay) = Wal::open(Arc::new(files.clone()), Path::new("/home/wal"), 0).expect("opens");
    let digests =
        replay.map(|r| r.expect("valid")).map(|r| (digest(&r.meta, &r.payload), r.meta.ingest)).collect();
    let published = published.clone();
    let publish = move |group: Vec<Durable<u8>>| drop(published.fetch_add(group.len(), Ordering::SeqCst));
    WalWriter::spawn(wal, digests, publish).expect("starts")
}

#[tokio::test]
async fn a_request_sent_again_is_recognised_also_after_restarts() {
    let files = FaultyFiles::default();
    let published = Arc::new(AtomicUsize::new(0));
    let first = writer(&files, &published);
    let (a, b) = tokio::join!(first.submit(entry(b"one")), first.submit(entry(b"one")));
    let duplicates = [a, b].into_iter().filter(|r| r.as_ref().is_ok_and(|s| s.duplicate)).count();
    assert_eq!((duplicates, published.load(Ordering::SeqCst)), (1, 1));
    first.delete_through(1).await.expect("deleted");
    drop(first);
    files.crash(0);
    let second = writer(&files, &published);
    assert!(second.submit(entry(b"one")).await.expect("durable").duplicate, "after a crash");
    second.close(true).await.expect("closed");
    let third = writer(&files, &published);
    assert!(third.submit(entry(b"one")).await.expect("durable").duplicate, "after a clean stop");
    assert!(!third.submit(entry(b"two")).await.expect("durable").duplicate);
    assert_eq!(published.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_fsync() {
    let files = FaultyFiles::default();
    let published = Arc::new(AtomicUsize::new(0));
    let wal = writer(&files, &published);
    wal.submit(entry(b"one")).await.expect("durable");
    files.fail_at(files.operations() + 1, Fault::SyncFails);
    assert!(matches!(wal.submit(entry(b"two")).await, Err(WalError::Poisoned(_))));
    assert!(matches!(wal.submit(entry(b"three")).await, Err(WalError::Poisoned(_))));
    assert!(wal.poisoned().is_some());
    assert_eq!(published.load(Ordering::SeqCst), 1);
}
