//! Single faults: a failing fsync, a short write, a full disk.

use plimsoll_store::StoreError;
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Restart};

use super::{append, open, requests};

#[test]
fn after_a_failed_fsync_nothing_more_is_written() {
    for fault in [Fault::SyncFails, Fault::ShortWrite] {
        // A write and an fsync; each of them may be the one that fails.
        for operation in 0..2 {
            let files = FaultyFiles::new(3);
            let (mut wal, _) = open(&files).expect("new");
            append(&mut wal, [1]).expect("no fault");
            files.fail_at(files.operations() + operation, fault);
            let Err(error) = append(&mut wal, [2]) else { continue };
            assert!(matches!(error, StoreError::Poisoned(_)), "{error}");
            let operations = files.operations();
            assert!(matches!(append(&mut wal, [3]), Err(StoreError::Poisoned(_))));
            assert!(matches!(wal.delete_through(2), Err(StoreError::Poisoned(_))));
            assert!(matches!(wal.remove_all(), Err(StoreError::Poisoned(_))));
            assert_eq!(files.operations(), operations, "the disk is left alone");
            files.restart(Restart::PowerLost);
            let (_, records) = open(&files).expect("readable");
            assert!([&[1][..], &[1, 2]].contains(&requests(&records).as_slice()));
        }
    }
}

#[test]
fn a_new_segment_that_cannot_be_made_durable_poisons() {
    let mut poisoned = 0;
    for operation in 0..8 {
        let files = FaultyFiles::new(3);
        let (mut wal, _) = open(&files).expect("new");
        files.fail_at(files.operations() + operation, Fault::SyncFails);
        match append(&mut wal, [1]) {
            Ok(_) => {}
            Err(StoreError::Poisoned(_)) => poisoned += 1,
            Err(other) => panic!("{other}"),
        }
        files.restart(Restart::PowerLost);
        open(&files).expect("readable");
    }
    assert_eq!(poisoned, 3, "header, name and group");
}

/// After a failed fsync the system's cache shows what the disk does not have, and says that all is well.
#[test]
fn what_a_failed_fsync_left_in_the_cache_is_durable_once_it_was_replayed() {
    for seed in 0..32 {
        let files = FaultyFiles::new(seed);
        let (mut wal, _) = open(&files).expect("new");
        append(&mut wal, [1]).expect("no fault");
        files.fail_at(files.operations() + 1, Fault::SyncFails);
        assert!(append(&mut wal, [2, 3]).is_err());
        files.restart(Restart::Killed);
        let (_, records) = open(&files).expect("readable");
        assert_eq!(requests(&records), [1, 2, 3], "visible in the cache");
        files.restart(Restart::PowerLost);
        let (_, records) = open(&files).expect("readable");
        assert_eq!(requests(&records), [1, 2, 3], "seed {seed}");
    }
}

#[test]
fn a_process_that_is_killed_before_its_fsync_loses_nothing_that_was_replayed() {
    // The last operation of the append is its fsync.
    for seed in 0..32 {
        let files = FaultyFiles::new(seed);
        let (mut wal, _) = open(&files).expect("new");
        append(&mut wal, [1]).expect("no fault");
        files.fail_at(files.operations() + 1, Fault::Crash);
        assert!(append(&mut wal, [2]).is_err());
        files.restart(Restart::Killed);
        let (_, records) = open(&files).expect("readable");
        let replayed = requests(&records);
        files.restart(Restart::PowerLost);
        let (_, records) = open(&files).expect("readable");
        assert_eq!(requests(&records), replayed, "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_a_segment_and_recovers() {
    // Making the file, and reserving its space; then come writes, which have theirs.
    for operation in 0..2 {
        let files = FaultyFiles::new(3);
        let (mut wal, _) = open(&files).expect("new");
        append(&mut wal, [1]).expect("no fault");
        for _ in 0..2 {
            files.fail_at(files.operations() + operation, Fault::Full);
            let error = append(&mut wal, 2..=7).expect_err("full");
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
            assert_eq!(super::segments(&files).len(), 1, "nothing is left of the second segment");
        }
        assert_eq!(wal.poisoned(), None);
        append(&mut wal, 2..=7).expect("there is space again");
        files.restart(Restart::PowerLost);
        assert_eq!(requests(&open(&files).expect("readable").1), [1, 2, 3, 4, 5, 6, 7]);
    }
}

/// With its space reserved a write should not meet a full disk; where space cannot be reserved, it does.
#[test]
fn a_disk_that_is_full_in_a_write_poisons() {
    let files = FaultyFiles::new(3);
    let (mut wal, _) = open(&files).expect("new");
    append(&mut wal, [1]).expect("no fault");
    files.fail_at(files.operations(), Fault::Full);
    assert!(matches!(append(&mut wal, [2]), Err(StoreError::Poisoned(_))));
    files.restart(Restart::PowerLost);
    assert_eq!(requests(&open(&files).expect("readable").1), [1]);
}
