//! One Delta table: its files in memory, and commits of our own files to its log.
//!
//! A commit is one object of a name that must be free. delta-rs reads the log at opening and writes checkpoints; its own
//! commit path is not used, since it reads the whole file list again each time and never fsyncs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use plimsoll_schemas::table::Table;

use super::entries;
use super::log::{Listed, create_entry, delta, listed, load, log_of, opened};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::home::{Created, Home};
use crate::snapshot::DataFile;

/// Versions between checkpoints: what a reader elsewhere has to replay.
const CHECKPOINT_VERSIONS: u64 = 20;
/// Whose Delta transactions tell which process a table is of.
pub const OWNER: &str = "collector";
/// Whose merges and retention are.
pub const MAINTENANCE: &str = "maintenance";
/// Other writers are not expected; one that is there anyway wins some races.
const COMMIT_ATTEMPTS_MAX: u32 = 10;

/// A change of the table, all of it or nothing.
#[derive(Debug)]
pub struct Commit {
    pub adds: Vec<DataFile>,
    pub removes: Vec<Arc<DataFile>>,
    /// Application id and version (Delta's `txn`).
    pub transaction: Option<(String, i64)>,
    /// False where the same rows only move between files.
    pub data_change: bool,
}

/// See the module's description.
#[derive(Debug)]
pub struct LakeTable {
    table: Table,
    home: Home,
    pub(super) version: u64,
    pub(super) files: Arc<Vec<Arc<DataFile>>>,
    /// As of opening; what was committed since stands in `transactions`.
    opened: DeltaTable,
    pub(super) transactions: HashMap<String, i64>,
    checkpoint: u64,
    /// Why nothing more is committed: whether the last entry is durable is not known, and only opening tells.
    poisoned: Option<String>,
    /// Since when files on disk are known to be no part of the table.
    pub(super) inactive: HashMap<String, Instant>,
}

impl LakeTable {
    /// Opens the table of a home, or makes it.
    pub async fn open(home: &Home, table: Table) -> Result<Self, StoreError> {
        let (of, log) = (home.clone(), log_of(table));
        blocking(move || of.sync(&log)).await?;
        Ok(Self::of(home, table, load(home, table).await?))
    }

    /// Opens a table that another process makes and writes.
    pub async fn open_to_read(home: &Home, table: Table) -> Result<Self, StoreError> {
        let found = opened(home, table).await.map_err(|error| match error {
            DeltaTableError::NotATable(_) => StoreError::BadFormat {
                path: home.name(table.as_str()),
                problem: "no table is there; start the server that writes this home first".into(),
            },
            error => delta(table)(error),
        })?;
        Ok(Self::of(home, table, listed(home, table, found).await?))
    }

    fn of(home: &Home, table: Table, (opened, version, files): Listed) -> Self {
        Self {
            table,
            home: home.clone(),
            version,
            files: Arc::new(files),
            opened,
            transactions: HashMap::new(),
            // So that a process that is often restarted comes to write one too.
            checkpoint: version - version % CHECKPOINT_VERSIONS,
            poisoned: None,
            inactive: HashMap::new(),
        }
    }

    pub fn table(&self) -> Table {
        self.table
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Makes it this process's: another one that still commits to it notices, and stops. For homes that know no locks.
    pub async fn take_over(&mut self) -> Result<(), StoreError> {
        let epoch = self.transaction_version(OWNER).await?.unwrap_or(0) + 1;
        let transaction = Some((OWNER.to_owned(), epoch));
        let commit = Commit { adds: Vec::new(), removes: Vec::new(), transaction, data_change: false };
        self.commit(commit).await.map(drop)
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn files(&self) -> Arc<Vec<Arc<DataFile>>> {
        self.files.clone()
    }

    /// The latest version that this application committed.
    pub async fn transaction_version(&self, app_id: &str) -> Result<Option<i64>, StoreError> {
        if let Some(version) = self.transactions.get(app_id) {
            return Ok(Some(*version));
        }
        let state = self.opened.snapshot().map_err(delta(self.table))?;
        state.transaction_version(&*self.opened.log_store(), app_id).await.map_err(delta(self.table))
    }

    /// Commits; once it answers, the commit is durable. The answer is the version and the files that it added.
    pub async fn commit(&mut self, commit: Commit) -> Result<(u64, Vec<Arc<DataFile>>), StoreError> {
        if let Some(why) = &self.poisoned {
            return Err(StoreError::Poisoned(why.clone()));
        }
        let bytes = self.actions(&commit)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let version = self.version + 1;
            let created = create_entry(&self.home, self.table, version, bytes.clone()).await;
            if let Err(StoreError::Poisoned(why)) = &created {
                self.poisoned = Some(why.clone());
            }
            if created? == Created::Made {
                return Ok((version, self.committed(version, commit)));
            }
            self.reload(&commit).await?;
        }
        Err(self.bad(format!("another writer won {COMMIT_ATTEMPTS_MAX} commits in a row")))
    }

    fn bad(&self, problem: String) -> StoreError {
        StoreError::BadFormat { path: self.home.name(&log_of(self.table)), problem }
    }

    fn committed(&mut self, version: u64, commit: Commit) -> Vec<Arc<DataFile>> {
        let added: Vec<Arc<DataFile>> = commit.adds.into_iter().map(Arc::new).collect();
        let gone: std::collections::HashSet<&str> = commit.removes.iter().map(|f| f.path.as_str()).collect();
        let kept = self.files.iter().filter(|f| !gone.contains(f.path.as_str())).cloned();
        self.files = Arc::new(kept.chain(added.iter().cloned()).collect());
        self.version = version;
        self.transactions.extend(commit.transaction);
        added
    }

    /// Reads the table anew, whatever was committed meanwhile.
    pub(super) async fn read_again(&mut self) -> Result<(), StoreError> {
        let found = opened(&self.home, self.table).await.map_err(delta(self.table))?;
        let (opened, version, files) = listed(&self.home, self.table, found).await?;
        (self.opened, self.version, self.files) = (opened, version, Arc::new(files));
        Ok(())
    }

    /// After a lost race: what the winner did, unless it makes this commit wrong.
    async fn reload(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let app_id = commit.transaction.as_ref().map_or(OWNER, |(app_id, _)| app_id);
        let before = (self.transaction_version(OWNER).await?, self.transaction_version(app_id).await?);
        let (opened, version, files) = load(&self.home, self.table).await?;
        self.transactions.clear();
        (self.opened, self.version, self.files) = (opened, version, Arc::new(files));
        let after = (self.transaction_version(OWNER).await?, self.transaction_version(app_id).await?);
        if after != before {
            let place = self.home.name(self.table.as_str());
            let why = format!("{}: another process took it over; stop one of them", place.display());
            self.poisoned = Some(why.clone());
            return Err(StoreError::Poisoned(why));
        }
        match commit.removes.iter().find(|r| !self.files.iter().any(|f| f.path == r.path)) {
            None => Ok(()),
            Some(gone) => {
                Err(self.bad(format!("another writer removed {}, which was being replaced", gone.path)))
            }
        }
    }

    fn actions(&self, commit: &Commit) -> Result<bytes::Bytes, StoreError> {
        let mut actions = Vec::new();
        actions.extend(commit.removes.iter().map(|f| Action::Remove(entries::remove(f, commit.data_change))));
        actions.extend(commit.adds.iter().map(|f| Action::Add(entries::add(f, commit.data_change))));
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(self.table.partition_columns().iter().map(|c| (*c).to_owned()).collect()),
            predicate: None,
        };
        let transactions =
            commit.transaction.iter().map(|(id, version)| Transaction::new(id, *version)).collect();
        CommitData::new(actions, operation, HashMap::new(), transactions)
            .get_bytes()
            .map_err(|e| delta(self.table)(e.into()))
    }

    /// Writes a checkpoint and drops expired log entries, now and then.
    pub async fn maintain(&mut self) -> Result<(), StoreError> {
        if self.version < self.checkpoint + CHECKPOINT_VERSIONS {
            return Ok(());
        }
        let table = opened(&self.home, self.table).await.map_err(delta(self.table))?;
        let written = deltalake_core::checkpoints::create_checkpoint(&table, None).await;
        written.map_err(delta(self.table))?;
        // Only now may the entries go that the checkpoint stands for.
        deltalake_core::checkpoints::cleanup_metadata(&table, None).await.map_err(delta(self.table))?;
        self.checkpoint = self.version;
        Ok(())
    }
}
