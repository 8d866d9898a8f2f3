//! What the store knows at one instant: the tail, and the files of each table. One lock guards both,
//! so that rows move from one to the other in one step.

use std::sync::{Arc, Weak};

use plimsoll_schemas::table::Table;

use crate::file_list::FileList;
use crate::snapshot::{DataFile, FileChange, Snapshot, TableSnapshot};
use crate::tail::{Chunk, Tail};

/// The files of one table at one Delta version.
#[derive(Debug, Clone)]
pub struct TableFiles {
    pub version: u64,
    pub files: Arc<FileList>,
}

/// See the module's description.
#[derive(Debug)]
pub struct State {
    pub tail: Tail,
    pub tables: [TableFiles; Table::ALL.len()],
    /// Passes of settling since opening.
    pub settled: u64,
    /// For as long as somebody looks at it: of what is flushed since, it holds the rows in memory.
    cached: (u64, Weak<Snapshot>),
}

impl State {
    pub fn new(tables: [TableFiles; Table::ALL.len()]) -> Self {
        Self { tail: Tail::default(), tables, settled: 0, cached: Default::default() }
    }

    /// The snapshot of this instant; one for all who look at the same.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let (generation, cached) = &self.cached;
        if let Some(snapshot) = cached.upgrade().filter(|_| *generation == self.tail.generation) {
            return snapshot;
        }
        let snapshot = Arc::new(Snapshot::new(
            std::array::from_fn(|i| {
                let table = Table::ALL[i];
                let TableFiles { version, files } = self.tables[i].clone();
                let tail = Arc::new(self.tail.chunks(table).iter().map(|c| c.batch.clone()).collect());
                TableSnapshot { table, version, files, tail }
            }),
            self.tail.seq,
            self.settled,
        ));
        self.cached = (self.tail.generation, Arc::downgrade(&snapshot));
        snapshot
    }

    /// Moves flushed rows from the tail to the files that now hold them.
    pub fn flushed(&mut self, changes: Vec<FileChange>, flushed: &[Vec<Arc<Chunk>>; Table::ALL.len()]) {
        self.change_files(changes);
        self.tail.remove_flushed(flushed);
    }

    /// Replaces files by others.
    pub fn change_files(&mut self, changes: Vec<FileChange>) {
        for change in changes {
            let table = &mut self.tables[change.table as usize];
            let gone = |f: &Arc<DataFile>| change.removed.iter().any(|r| r.path == f.path);
            let kept = table.files.iter().filter(|f| !gone(f)).cloned();
            table.files = Arc::new(kept.chain(change.added).collect());
            table.version = change.version;
        }
        self.tail.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_look_at_the_same_share_a_snapshot_which_goes_with_the_last_of_them() {
        let empty = |_| TableFiles { version: 0, files: Arc::new(std::iter::empty().collect()) };
        let mut state = State::new(std::array::from_fn(empty));
        let (first, second) = (state.snapshot(), state.snapshot());
        assert!(Arc::ptr_eq(&first, &second));
        let kept = Arc::downgrade(&first);
        drop((first, second));
        assert!(kept.upgrade().is_none());
    }
}
