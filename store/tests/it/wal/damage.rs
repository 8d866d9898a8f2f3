//! Bytes that are missing or wrong at the start.

use plimsoll_store::StoreError;
use plimsoll_store::files::Files;
use plimsoll_store::files::faulty::FaultyFiles;
use proptest::prelude::*;

use super::{append, open, requests, segments};

const GROUPS: [&[u64]; 3] = [&[1], &[2, 3], &[4, 5]];
pub const HEADER: usize = 40;
/// Length, checksum, sequence, ingest time, place, kind, tenant's length and "default".
const RECORD: usize = 8 + 22 + 7;

/// A log of one segment, and where each record ends.
pub fn small_log() -> (FaultyFiles, Vec<usize>) {
    small_log_of(0)
}

/// The same on a disk that loses other things.
pub fn small_log_of(seed: u64) -> (FaultyFiles, Vec<usize>) {
    let files = FaultyFiles::new(seed);
    let (wal, _) = open(&files).expect("new");
    let mut wal = wal.with_segment_bytes_max(1 << 20);
    for group in GROUPS {
        append(&mut wal, group.iter().copied()).expect("no fault");
    }
    let mut ends = vec![HEADER];
    for n in 1..=5 {
        ends.push(ends[n as usize - 1] + RECORD + super::payload(n).len());
    }
    let path = &segments(&files)[0];
    assert_eq!(files.read(path).expect("there").len(), ends[5], "the test's idea of the format");
    (files, ends)
}

pub fn corrupt(files: &FaultyFiles, segment: usize, change: impl FnOnce(&mut Vec<u8>)) {
    files.corrupt(&segments(files)[segment], change).expect("it is there");
}

/// Opens a log that has `kept` requests left, and shows that it goes on.
fn goes_on(files: &FaultyFiles, kept: &[u64], case: &str) {
    let (mut wal, records) = open(files).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(requests(&records), kept, "{case}");
    append(&mut wal, [9]).unwrap_or_else(|e| panic!("{case}: {e}"));
    let (_, records) = open(files).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(requests(&records), [kept, &[9]].concat(), "{case}");
}

fn refuses(files: &FaultyFiles, segment: usize, at: usize, case: &str) {
    let path = segments(files)[segment].clone();
    let before = files.read(&path).expect("there");
    match open(files) {
        Err(StoreError::DamagedWal { path: named, offset, .. }) => {
            assert_eq!((named, offset), (path.clone(), at as u64), "{case}");
        }
        other => panic!("{case}: {other:?}"),
    }
    assert_eq!(files.read(&path).expect("there"), before, "{case}: nothing is thrown away");
}

#[test]
fn cut_at_every_byte_it_keeps_what_was_whole() {
    let len = *small_log().1.last().expect("ends");
    for cut in 0..=len {
        let (files, ends) = small_log();
        corrupt(&files, 0, |bytes| bytes.truncate(cut));
        let whole = ends[1..].iter().filter(|end| **end <= cut).count() as u64;
        goes_on(&files, &(1..=whole).collect::<Vec<_>>(), &format!("cut at {cut}"));
    }
}

#[test]
fn zeros_behind_the_records_are_an_end() {
    let (files, _) = small_log();
    corrupt(&files, 0, |bytes| bytes.extend([0; 4096]));
    goes_on(&files, &[1, 2, 3, 4, 5], "zeros");
}

#[test]
fn nothing_but_zeros_is_a_segment_that_was_being_begun() {
    let (files, _) = small_log();
    corrupt(&files, 0, |bytes| bytes.fill(0));
    goes_on(&files, &[], "zeros");
}

#[test]
fn every_flipped_bit_is_found() {
    let len = *small_log().1.last().expect("ends");
    for bit in 0..len * 8 {
        let (files, ends) = small_log();
        corrupt(&files, 0, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let case = format!("bit {} of byte {}", bit % 8, bit / 8);
        match ends.iter().position(|end| bit / 8 < *end).expect("within") {
            0 => refuses(&files, 0, 0, &case),
            // The last group is the only one that may be torn; the records before it are whole.
            record @ (4 | 5) => goes_on(&files, &(1..record as u64).collect::<Vec<_>>(), &case),
            record => refuses(&files, 0, ends[record - 1], &case),
        }
    }
}

#[test]
fn zeroed_in_the_middle_it_refuses() {
    let (files, ends) = small_log();
    corrupt(&files, 0, |bytes| bytes[ends[1]..ends[3]].fill(0));
    refuses(&files, 0, ends[1], "a group of zeros");
}

#[test]
fn damage_before_another_segment_is_no_torn_end() {
    let two_segments = || {
        let files = FaultyFiles::new(0);
        let (mut wal, _) = open(&files).expect("new");
        (1..=5).for_each(|n| assert_eq!(append(&mut wal, [n]).expect("no fault"), n));
        assert_eq!(segments(&files).len(), 2);
        files
    };
    let first = &segments(&two_segments())[0];
    let len = two_segments().read(first).expect("there").len();
    for byte in 0..len {
        let files = two_segments();
        corrupt(&files, 0, |bytes| bytes[byte] ^= 0x10);
        match open(&files) {
            Err(StoreError::DamagedWal { path, offset, .. }) => {
                assert_eq!(&path, first);
                assert_eq!(offset > 0, byte >= HEADER, "byte {byte}: {offset}");
            }
            other => panic!("byte {byte}: {other:?}"),
        }
    }
    let files = two_segments();
    corrupt(&files, 0, |bytes| bytes.truncate(len - 1));
    assert!(matches!(open(&files), Err(StoreError::DamagedWal { .. })), "cut");
}

#[test]
fn a_payload_that_looks_like_the_log_does_not_stop_a_start() {
    let (victim, ends) = small_log();
    let record = victim.read(&segments(&victim)[0]).expect("there")[ends[0]..ends[3]].to_vec();
    let files = FaultyFiles::new(1);
    let (wal, _) = open(&files).expect("new");
    let mut wal = wal.with_segment_bytes_max(1 << 20);
    append(&mut wal, [1]).expect("no fault");
    wal.append([(&super::meta(2), record.as_slice())]).expect("no fault");
    corrupt(&files, 0, |bytes| *bytes.last_mut().expect("not empty") ^= 1);
    goes_on(&files, &[1], "records within a torn record");
}

#[test]
fn a_large_torn_end_is_searched_quickly_enough_to_start() {
    let files = FaultyFiles::new(1);
    let (wal, _) = open(&files).expect("new");
    let mut wal = wal.with_segment_bytes_max(1 << 30);
    append(&mut wal, [1]).expect("no fault");
    // Nearly every offset holds a length that fits, so that a search that trusted it would never end.
    let payload = [0, 0, 8, 0].repeat(1 << 20);
    wal.append([(&super::meta(2), payload.as_slice())]).expect("no fault");
    corrupt(&files, 0, |bytes| *bytes.last_mut().expect("not empty") ^= 1);
    goes_on(&files, &[1], "4 MiB torn");
}

#[test]
fn segments_that_do_not_belong_together_are_refused() {
    let (files, _) = small_log();
    let other = FaultyFiles::new(0);
    let (mut wal, _) = super::open_above(&other, 100).expect("new");
    append(&mut wal, [7]).expect("no fault");
    let foreign = other.read(&segments(&other)[0]).expect("there");
    let bring = |name: &str| {
        let path = super::folder().join(name);
        files.create(&path).expect("new").append(&foreign).expect("no fault");
        let opened = open(&files);
        files.remove(&path).expect("there");
        match opened {
            Err(StoreError::BadFormat { path: named, problem }) if named == path => problem,
            other => panic!("{other:?}"),
        }
    };
    assert!(bring("00000000000000000101.log").contains("belongs to log"));
    assert!(bring("00000000000000000102.log").contains("name does not say"));
}

proptest! {
    #[test]
    fn whatever_happens_to_the_bytes_no_record_is_invented(
        kept in 0..500_usize,
        changes in prop::collection::vec((0..500_usize, 0..64_usize, any::<u8>()), 0..5),
    ) {
        let (files, _) = small_log();
        corrupt(&files, 0, |bytes| {
            bytes.truncate(kept);
            for (at, len, byte) in changes {
                bytes.iter_mut().skip(at).take(len).for_each(|b| *b = byte);
            }
        });
        if let Ok((_, records)) = open(&files) {
            let found = requests(&records);
            prop_assert!((1..=5).collect::<Vec<_>>().starts_with(&found), "{found:?}");
        }
    }
}
