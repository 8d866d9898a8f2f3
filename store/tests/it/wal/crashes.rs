//! A crash between any two operations, also while recovering from another one: what was acknowledged is there, nothing is
//! there twice, and what a replay has shown once stays.

use std::collections::BTreeMap;

use plimsoll_store::StoreError;
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Restart};
use plimsoll_store::wal::Record;
use proptest::prelude::*;

use super::{append, open_above, requests};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// One group of so many requests.
    Append(u64),
    /// The rows up to this share (in quarters) of what was acknowledged went to the lake.
    LetGo(u64),
    /// A sequence is burned.
    Skip,
    /// A clean stop; what follows in this life is left out.
    RemoveAll,
}

use Step::{Append, LetGo, RemoveAll, Skip};

/// What the world knows of the log.
#[derive(Debug, Default)]
struct Ledger {
    /// Requests that were acknowledged or shown by a replay, by sequence.
    promised: BTreeMap<u64, u64>,
    sent: u64,
    /// The log may forget what is at or below it.
    let_go: u64,
}

impl Ledger {
    fn check(&mut self, records: &[Record]) {
        let found: BTreeMap<_, _> = records.iter().map(|r| r.seq).zip(requests(records)).collect();
        for (seq, request) in self.promised.range(self.let_go + 1..) {
            assert_eq!(found.get(seq), Some(request), "request {request} was promised as {seq}: {found:?}");
        }
        for (seq, request) in found {
            assert!(request <= self.sent);
            let promised = self.promised.insert(seq, request);
            assert!(promised.is_none_or(|p| p == request), "sequence {seq} was given out twice");
        }
        let mut once = self.promised.values().collect::<Vec<_>>();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), self.promised.len(), "a request is there twice: {:?}", self.promised);
    }

    fn live(&mut self, files: &FaultyFiles, steps: &[Step]) -> Result<(), StoreError> {
        let (mut wal, records) = open_above(files, self.let_go)?;
        self.check(&records);
        let last = self.promised.keys().last().copied().unwrap_or(0);
        assert!(wal.last_seq() >= last, "sequences go on above those that were given out");
        for step in steps {
            let last = self.promised.keys().last().copied().unwrap_or(0);
            match step {
                Append(n) => {
                    let group = self.sent + 1..self.sent + 1 + n;
                    self.sent += n;
                    let seq = append(&mut wal, group.clone())?;
                    self.promised.extend((seq + 1 - n..).zip(group));
                }
                LetGo(quarters) => {
                    self.let_go = self.let_go.max(last * quarters / 4);
                    wal.delete_through(self.let_go)?;
                }
                Skip => {
                    let before = wal.last_seq();
                    assert_eq!((wal.skip()?, wal.last_seq()), (before + 1, before + 1));
                }
                RemoveAll => {
                    self.let_go = last;
                    return wal.remove_all();
                }
            }
        }
        Ok(())
    }
}

const SCRIPT: [Step; 9] =
    [Append(2), Append(1), Skip, Append(2), LetGo(2), Append(3), LetGo(4), Append(1), RemoveAll];
const NEXT: [Step; 4] = [Append(1), LetGo(3), Append(4), Append(1)];

#[test]
fn it_survives_a_crash_between_any_two_operations_twice() {
    let quiet = FaultyFiles::new(0);
    Ledger::default().live(&quiet, &SCRIPT).expect("no fault");
    let mut crashes = 0;
    for how in [Restart::Killed, Restart::PowerLost] {
        for seed in 0..6 {
            for first in 0..=quiet.operations() {
                for second in 0.. {
                    let files = FaultyFiles::new(seed);
                    let mut ledger = Ledger::default();
                    files.fail_at(first, Fault::Crash);
                    let ended = ledger.live(&files, &SCRIPT);
                    assert_eq!(ended.is_ok(), first == quiet.operations(), "{ended:?}");
                    files.restart(how);
                    files.fail_at(files.operations() + second, Fault::Crash);
                    let ended = ledger.live(&files, &NEXT);
                    files.restart(Restart::PowerLost);
                    ledger.live(&files, &NEXT).expect("no fault any more");
                    crashes += 1;
                    if ended.is_ok() {
                        break;
                    }
                }
            }
        }
    }
    assert!(crashes > 5_000, "{crashes} cases are fewer than the script has");
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6_u64).prop_map(Append),
        3 => (0..=4_u64).prop_map(LetGo),
        1 => Just(Skip),
        1 => Just(RemoveAll),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Crash), Just(Fault::ShortWrite), Just(Fault::SyncFails), Just(Fault::Full)]
}

proptest! {
    #[test]
    fn any_sequence_of_lives_keeps_its_promises(
        seed: u64,
        lives in prop::collection::vec(
            (prop::collection::vec(step(), 0..12), 0..60_u64, fault(), any::<bool>()), 1..6),
    ) {
        let files = FaultyFiles::new(seed);
        let mut ledger = Ledger::default();
        for (steps, operation, fault, power_lost) in lives {
            files.fail_at(files.operations() + operation, fault);
            // What fails, fails; what it left behind is what counts.
            let _ = ledger.live(&files, &steps);
            files.restart(if power_lost { Restart::PowerLost } else { Restart::Killed });
        }
        ledger.live(&files, &NEXT).expect("no fault any more");
        files.restart(Restart::PowerLost);
        ledger.live(&files, &[]).expect("no fault any more");
    }
}
