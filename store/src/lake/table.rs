//! One Delta table: its files in memory, and commits of our own files to its log.
//!
//! A commit is one file created whole (a hard link fails where the name exists), after which the folder is
//! fsynced. delta-rs reads the log at opening and writes checkpoints; its own commit path is
//! not used, since it reads the whole file list again each time and never fsyncs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Add, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use plimsoll_schemas::table::Table;

use super::{definition, durable, entries};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::snapshot::DataFile;

/// Versions between checkpoints: what a reader elsewhere has to replay.
const CHECKPOINT_VERSIONS: u64 = 20;
/// Threads that read sidecars at opening.
const READERS: usize = 8;
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
    root: Arc<Path>,
    version: u64,
    files: Arc<Vec<Arc<DataFile>>>,
    /// As of opening; what was committed since stands in `transactions`.
    opened: DeltaTable,
    transactions: HashMap<String, i64>,
    checkpoint: u64,
    /// Why nothing more is committed: whether the last entry is durable is not known, and only opening tells.
    poisoned: Option<String>,
    /// Since when files on disk are known to be no part of the table.
    pub(super) inactive: HashMap<String, Instant>,
}

impl LakeTable {
    /// Opens the table below `home`, or makes it.
    pub async fn open(home: &Path, table: Table) -> Result<Self, StoreError> {
        let root = home.join(table.as_str());
        std::fs::create_dir_all(&root).map_err(StoreError::io(&root))?;
        let root: Arc<Path> = root.canonicalize().map_err(StoreError::io(&root))?.into();
        let (opened, version, files) = load(&root, table).await?;
        durable::remove_temporaries(&root.join("_delta_log"))?;
        Ok(Self {
            table,
            root,
            version,
            files: Arc::new(files),
            opened,
            transactions: HashMap::new(),
            // So that a process that is often restarted comes to write one too.
            checkpoint: version - version % CHECKPOINT_VERSIONS,
            poisoned: None,
            inactive: HashMap::new(),
        })
    }

    pub fn root(&self) -> Arc<Path> {
        self.root.clone()
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
            let created = create_entry(&self.root, version, bytes.clone()).await;
            if let Err(StoreError::Poisoned(why)) = &created {
                self.poisoned = Some(why.clone());
            }
            if created? {
                return Ok((version, self.committed(version, commit)));
            }
            self.reload(&commit).await?;
        }
        Err(StoreError::BadFormat {
            path: self.root.join("_delta_log"),
            problem: format!(
                "another writer won {COMMIT_ATTEMPTS_MAX} commits in a row; is a second process on this lake?"
            ),
        })
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

    /// After a lost race: what the winner did, unless it makes this commit wrong.
    async fn reload(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let conflict = |problem: String| StoreError::BadFormat { path: self.root.to_path_buf(), problem };
        let (opened, version, files) = load(&self.root, self.table).await?;
        if let Some(gone) = commit.removes.iter().find(|r| !files.iter().any(|f| f.path == r.path)) {
            return Err(conflict(format!("another writer removed {}, which was being replaced", gone.path)));
        }
        self.transactions.clear();
        (self.opened, self.version, self.files) = (opened, version, Arc::new(files));
        if let Some((app_id, version)) = &commit.transaction
            && self.transaction_version(app_id).await?.is_some_and(|v| v >= *version)
        {
            return Err(StoreError::BadFormat {
                path: self.root.to_path_buf(),
                problem: format!("another process commits as {app_id} too"),
            });
        }
        Ok(())
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
        let url = url(&self.root)?;
        deltalake_core::checkpoints::create_checkpoint_from_table_url_and_cleanup(
            url.clone(),
            self.version,
            Some(false),
            None,
        )
        .await
        .map_err(delta(self.table))?;
        let (log, version) = (self.root.join("_delta_log"), self.version);
        blocking(move || durable::sync_matching(&log, |name| is_checkpoint(name, version))).await?;
        // Only now may the entries go that the checkpoint stands for.
        let table = deltalake_core::open_table(url).await.map_err(delta(self.table))?;
        deltalake_core::checkpoints::cleanup_metadata(&table, None).await.map_err(delta(self.table))?;
        self.checkpoint = self.version;
        Ok(())
    }
}

/// Whether a file of the log belongs to the checkpoint of that version.
fn is_checkpoint(name: &str, version: u64) -> bool {
    name == "_last_checkpoint" || name.contains(&format!("{version:020}"))
}

pub(super) fn delta(table: Table) -> impl FnOnce(DeltaTableError) -> StoreError {
    move |source| StoreError::Delta { table: table.as_str(), source: Box::new(source) }
}

fn url(root: &Path) -> Result<url::Url, StoreError> {
    url::Url::from_directory_path(root).map_err(|()| StoreError::BadFormat {
        path: root.to_path_buf(),
        problem: "not an absolute path".into(),
    })
}

/// The table as its log has it; made first where there is none, and widened where it lacks columns of ours.
async fn load(root: &Path, table: Table) -> Result<(DeltaTable, u64, Vec<Arc<DataFile>>), StoreError> {
    let url = url(root)?;
    let opened = match deltalake_core::open_table(url.clone()).await {
        Err(DeltaTableError::NotATable(_)) => {
            let log = root.join("_delta_log");
            std::fs::create_dir_all(&log).map_err(StoreError::io(&log))?;
            durable::sync_dir(root)?;
            append(root, table, 0, &definition::creation(table)?).await?;
            deltalake_core::open_table(url.clone()).await.map_err(delta(table))?
        }
        opened => opened.map_err(delta(table))?,
    };
    let opened = match widening(root, table, &opened)? {
        None => opened,
        Some((version, actions)) => {
            append(root, table, version, &actions).await?;
            deltalake_core::open_table(url).await.map_err(delta(table))?
        }
    };
    let state = opened.snapshot().map_err(delta(table))?;
    let version = state.version();
    let listed = state.log_data();
    let adds = listed.iter().map(|view| Add {
        path: view.path().into_owned(),
        partition_values: view.partition_values_map(),
        size: view.size(),
        modification_time: view.modification_time(),
        stats: view.stats(),
        deletion_vector: view.deletion_vector_descriptor(),
        ..Add::default()
    });
    let (adds, folder): (Vec<Add>, _) = (adds.collect(), root.to_path_buf());
    let files = blocking(move || data_files(&folder, table, adds)).await?;
    Ok((opened, version, files))
}

/// The files of the log's actions. Each has a sidecar to be read, most of which is waiting.
fn data_files(root: &Path, table: Table, adds: Vec<Add>) -> Result<Vec<Arc<DataFile>>, StoreError> {
    let share = adds.len().div_ceil(READERS).max(1);
    let mut adds = adds.into_iter();
    std::thread::scope(|scope| {
        let shares = std::iter::from_fn(|| Some(adds.by_ref().take(share).collect::<Vec<_>>()));
        let readers: Vec<_> = shares
            .take_while(|share| !share.is_empty())
            .map(|share| {
                scope.spawn(move || {
                    share.into_iter().map(|add| entries::data_file(root, table, add)).collect::<Vec<_>>()
                })
            })
            .collect();
        readers
            .into_iter()
            .flat_map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The version and actions that give a table of an older version of us the columns that it lacks.
fn widening(
    root: &Path,
    table: Table,
    opened: &DeltaTable,
) -> Result<Option<(u64, Vec<Action>)>, StoreError> {
    let state = opened.snapshot().map_err(delta(table))?;
    let actions = definition::widened(table, root, &state.schema(), state.metadata())?;
    Ok(actions.map(|actions| (state.version() + 1, actions)))
}

/// Writes one entry of the log, durably; false if another process wrote that version.
async fn append(root: &Path, table: Table, version: u64, actions: &[Action]) -> Result<bool, StoreError> {
    let lines: Vec<String> = actions
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|e| delta(table)(DeltaTableError::Generic(e.to_string())))?;
    create_entry(root, version, (lines.join("\n") + "\n").into()).await
}

/// The disk may take its time, which is not the async threads'.
async fn create_entry(root: &Path, version: u64, bytes: bytes::Bytes) -> Result<bool, StoreError> {
    let path = root.join("_delta_log").join(format!("{version:020}.json"));
    blocking(move || durable::create_new(&path, &bytes)).await
}
