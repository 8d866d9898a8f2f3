//! The writer: groups, bounds, duplicates, and a client that tries until it is answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures::future::join_all;
use futures::poll;
use plimsoll_store::files::Files;
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Restart};
use plimsoll_store::wal::{Durable, Entry, Submitted, Wal, WalError, WalWriter, digest};

use super::{SEGMENT_BYTES, folder, meta, payload, requests, segments};

const FRESH: Result<Submitted, WalError> = Ok(Submitted { duplicate: false });
const REPEATED: Result<Submitted, WalError> = Ok(Submitted { duplicate: true });

/// The `n`th request; the attachment is `n`.
fn entry(n: u64) -> Entry<u64> {
    entry_of(n, payload(n))
}

fn entry_of(n: u64, payload: Bytes) -> Entry<u64> {
    let meta = meta(n as i64);
    // The first bytes tell them apart, and large ones need not be hashed.
    let digest = digest(&meta, &payload[..payload.len().min(64)]) ^ u128::from(n);
    Entry { meta, payload, digest, attachment: n }
}

/// A writer over a log that is replayed into `tail`.
fn start(
    files: &FaultyFiles,
    floor: u64,
    publish: impl FnMut(Vec<Durable<u64>>) + Send + 'static,
) -> Result<(WalWriter<u64>, BTreeMap<u64, u64>), WalError> {
    let (wal, replay) = Wal::open(Arc::new(files.clone()), folder(), floor)?;
    let records = replay.collect::<Result<Vec<_>, _>>()?;
    let numbers = requests(&records);
    let digests = numbers.iter().map(|n| (entry(*n).digest, entry(*n).meta.ingest)).collect();
    let tail = records.iter().map(|r| r.seq).zip(numbers).filter(|(seq, _)| *seq > floor).collect();
    let writer =
        WalWriter::spawn(wal.with_segment_bytes_max(SEGMENT_BYTES), Path::new("home"), digests, publish)?;
    Ok((writer, tail))
}

/// A writer that stops in `publish` until it is let on, and says which groups it published.
fn gated(files: &FaultyFiles) -> (WalWriter<u64>, Receiver<Vec<u64>>, Sender<()>) {
    let (published, groups) = channel();
    let (on, gate) = channel();
    let publish = move |group: Vec<Durable<u64>>| {
        published.send(group.iter().map(|d| d.attachment).collect()).expect("the test listens");
        // An error says that the test lets everything on.
        let _ = gate.recv();
    };
    (start(files, 0, publish).expect("new").0, groups, on)
}

#[tokio::test]
async fn what_is_queued_shares_one_fsync_and_all_are_answered() {
    let files = FaultyFiles::new(0);
    let (writer, groups, on) = gated(&files);
    let mut first = Box::pin(writer.submit(entry(1)));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(groups.recv(), Ok(vec![1]));
    assert!(poll!(&mut first).is_pending(), "published before it is answered");
    let mut others = (2..=50).map(|n| Box::pin(writer.submit(entry(n)))).collect::<Vec<_>>();
    for other in &mut others {
        assert!(poll!(other).is_pending());
    }
    let operations = files.operations();
    drop(on);
    assert_eq!(first.await, FRESH);
    assert!(join_all(others).await.into_iter().all(|answer| answer == FRESH));
    assert_eq!(groups.recv(), Ok((2..=50).collect()));
    // A new segment (make, reserve, header, fsync, fsync of the folder), then one write and one fsync.
    assert_eq!(files.operations() - operations, 7);
}

#[tokio::test]
async fn at_its_bounds_the_queue_refuses_at_once() {
    let files = FaultyFiles::new(0);
    let (writer, groups, on) = gated(&files);
    let large = Bytes::from(vec![7; 16 << 20]);
    let mut waiting = Vec::new();
    for n in 1..=4 {
        let mut submit = Box::pin(writer.submit(entry_of(n, large.clone())));
        assert!(poll!(&mut submit).is_pending());
        waiting.push(submit);
    }
    assert_eq!(writer.submit(entry_of(5, large.clone())).await, Err(WalError::Full));
    assert_eq!(groups.recv().map(|g| g[0]), Ok(1));
    drop(on);
    assert!(join_all(waiting).await.into_iter().all(|answer| answer == FRESH));
    assert_eq!(writer.submit(entry_of(5, large)).await, FRESH, "there is room again");

    let (writer, groups, on) = gated(&FaultyFiles::new(0));
    let mut first = Box::pin(writer.submit(entry(1)));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(groups.recv(), Ok(vec![1]));
    let mut waiting = Vec::new();
    let full = loop {
        let mut submit = Box::pin(writer.submit(entry(2 + waiting.len() as u64)));
        match poll!(&mut submit) {
            Poll::Pending => waiting.push(submit),
            Poll::Ready(answer) => break answer,
        }
    };
    assert_eq!((waiting.len(), full), (4_096, Err(WalError::Full)));
    drop(on);
    assert!(join_all(waiting).await.into_iter().all(|answer| answer == FRESH));
}

#[tokio::test]
async fn the_same_request_is_kept_once() {
    let files = FaultyFiles::new(0);
    let (writer, groups, on) = gated(&files);
    let mut first = Box::pin(writer.submit(entry(1)));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(groups.recv(), Ok(vec![1]));
    let mut same = [1, 2, 2].map(|n| Box::pin(writer.submit(entry(n))));
    for submit in &mut same {
        assert!(poll!(submit).is_pending());
    }
    drop(on);
    assert_eq!(join_all(same).await, [REPEATED, FRESH, REPEATED]);
    assert_eq!(groups.recv(), Ok(vec![2]));
}

#[tokio::test]
async fn digests_survive_a_restart_a_clean_stop_and_the_loss_of_their_segments() {
    let files = FaultyFiles::new(0);
    let (writer, _) = start(&files, 0, drop).expect("new");
    for n in 1..=9 {
        assert_eq!(writer.submit(entry(n)).await, FRESH);
    }
    writer.delete_through(8).await.expect("no fault");
    assert!(segments(&files).len() <= 2);
    drop(writer);
    files.restart(Restart::PowerLost);
    let (writer, _) = start(&files, 8, drop).expect("readable");
    for n in 1..=9 {
        assert_eq!(writer.submit(entry(n)).await, REPEATED, "{n}");
    }
    assert_eq!(writer.submit(entry(10)).await, FRESH);
    writer.close(true).await.expect("no fault");
    assert_eq!(writer.submit(entry(11)).await, Err(WalError::Closed));
    assert!(segments(&files).is_empty(), "a clean stop leaves no log");
    files.restart(Restart::PowerLost);
    let (writer, tail) = start(&files, 10, drop).expect("readable");
    assert!(tail.is_empty());
    assert_eq!(writer.submit(entry(10)).await, REPEATED);
    drop(writer);
    let is_window = |path: &PathBuf| path.file_stem().is_some_and(|name| name == "digests");
    for window in files.all().into_iter().filter(is_window) {
        files.corrupt(&window, |bytes| bytes.truncate(9)).expect("it is there");
    }
    let (writer, _) = start(&files, 10, drop).expect("damaged digests are no reason to stop");
    assert_eq!(writer.submit(entry(1)).await, FRESH);
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged() {
    let files = FaultyFiles::new(0);
    let (writer, _) = start(&files, 0, |_| {}).expect("new");
    assert_eq!(writer.submit(entry(1)).await, FRESH);
    files.fail_at(files.operations() + 1, Fault::SyncFails);
    for n in [2, 2, 3, 1] {
        assert!(matches!(writer.submit(entry(n)).await, Err(WalError::Poisoned(_))), "{n}");
    }
    assert!(writer.poisoned().is_some_and(|why| why.contains("00000000000000000001.log")));
    assert!(matches!(writer.delete_through(1).await, Err(WalError::Poisoned(_))));
    assert!(matches!(writer.close(true).await, Err(WalError::Poisoned(_))));
    assert_eq!(segments(&files).len(), 1, "a poisoned log is not deleted");
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_no_trace_in_the_window() {
    let files = FaultyFiles::new(0);
    let (writer, _) = start(&files, 0, |_| {}).expect("new");
    files.fail_at(files.operations(), Fault::Full);
    assert!(matches!(writer.submit(entry(1)).await, Err(WalError::Failed(_))));
    assert_eq!(writer.poisoned(), None);
    assert_eq!(writer.submit(entry(1)).await, FRESH);
}

#[tokio::test]
async fn a_defect_in_publishing_poisons() {
    let (writer, _) = start(&FaultyFiles::new(0), 0, |_| panic!("on purpose")).expect("new");
    assert!(writer.submit(entry(1)).await.is_err());
    while writer.poisoned().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(writer.submit(entry(2)).await, Err(WalError::Poisoned(_))));
}

/// A lake that never fails, and a client that sends each request until it is acknowledged, and after every restart
/// all of them again.
#[derive(Default)]
struct World {
    lake: BTreeMap<u64, u64>,
    acknowledged: u64,
}

/// More than a segment between two flushes, so that one is deleted whose digests were in no file before.
const REQUESTS: u64 = 11;

impl World {
    fn flushed(&self) -> u64 {
        self.lake.keys().last().copied().unwrap_or(0)
    }

    fn flush(&mut self, tail: &Mutex<BTreeMap<u64, u64>>) {
        self.lake.append(&mut tail.lock().expect("not poisoned"));
    }

    async fn live(&mut self, files: &FaultyFiles) -> Result<(), WalError> {
        let tail = Arc::new(Mutex::new(BTreeMap::new()));
        let published = tail.clone();
        let (writer, replayed) = start(files, self.flushed(), move |group| {
            let mut tail = published.lock().expect("not poisoned");
            tail.extend(group.into_iter().map(|d| (d.seq, d.attachment)));
        })?;
        tail.lock().expect("not poisoned").extend(replayed);
        for n in 1..=REQUESTS {
            let answer = writer.submit(entry(n)).await?;
            assert!(answer.duplicate || n > self.acknowledged, "{n} was acknowledged and is taken for new");
            self.acknowledged = self.acknowledged.max(n);
            let visible =
                tail.lock().expect("not poisoned").values().chain(self.lake.values()).any(|r| *r == n);
            assert!(visible, "{n} is not visible though acknowledged");
            if n % 5 == 0 {
                self.flush(&tail);
                writer.delete_through(self.flushed()).await?;
            }
        }
        self.flush(&tail);
        writer.close(true).await
    }
}

#[tokio::test]
async fn every_request_is_there_once_whenever_the_process_dies() {
    let quiet = FaultyFiles::new(0);
    World::default().live(&quiet).await.expect("no fault");
    for fault in [Fault::Crash, Fault::SyncFails, Fault::ShortWrite, Fault::Full] {
        for how in [Restart::Killed, Restart::PowerLost] {
            for seed in 0..5 {
                for operation in 0..quiet.operations() {
                    let files = FaultyFiles::new(seed);
                    let mut world = World::default();
                    files.fail_at(operation, fault);
                    let ended = world.live(&files).await;
                    files.restart(how);
                    world.live(&files).await.expect("no fault any more");
                    let mut kept = world.lake.values().copied().collect::<Vec<_>>();
                    kept.sort();
                    let case = format!("{fault:?} at {operation}, {how:?}, seed {seed}: {ended:?}");
                    assert_eq!(kept, (1..=REQUESTS).collect::<Vec<_>>(), "{case}");
                    assert!(files.list(folder()).expect("no fault").is_empty(), "{case}");
                }
            }
        }
    }
}
