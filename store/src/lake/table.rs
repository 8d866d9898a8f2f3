//! One Delta table: its files in memory, and commits of our own files to its log.
//!
//! A commit is one file created whole (a hard link fails where the name exists), after which the folder is
//! fsynced. delta-rs makes the table, reads its log at opening, and writes checkpoints; its own commit path is
//! not used, since it reads the whole file list again each time and never fsyncs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::Schema;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Add, Remove, StructType, Transaction};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError, TableProperty};
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;

use super::bloom::TraceBloom;
use super::stats::{self, FileStats};
use super::{durable, writer};
use crate::error::StoreError;
use crate::snapshot::DataFile;

/// Versions between checkpoints: what a reader elsewhere has to replay.
const CHECKPOINT_VERSIONS: u64 = 20;
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
        let bytes = self.actions(&commit)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let version = self.version + 1;
            let path = self.root.join("_delta_log").join(format!("{version:020}.json"));
            if durable::create_new(&path, &bytes)? {
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
        actions.extend(commit.removes.iter().map(|f| Action::Remove(self.remove(f, commit.data_change))));
        actions.extend(commit.adds.iter().map(|f| Action::Add(self.add(f, commit.data_change))));
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

    fn partition_values(&self, file: &DataFile) -> HashMap<String, Option<String>> {
        let mut values = HashMap::from([("day".to_owned(), Some(writer::day_text(file.day)))]);
        if let Some(slice) = &file.slice {
            values.insert("slice".to_owned(), Some(slice.clone()));
        }
        values
    }

    fn add(&self, file: &DataFile, data_change: bool) -> Add {
        Add {
            path: file.path.clone(),
            partition_values: self.partition_values(file),
            size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
            modification_time: file.modified.0 / 1_000_000,
            data_change,
            stats: file.delta_stats.clone(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    fn remove(&self, file: &DataFile, data_change: bool) -> Remove {
        Remove {
            path: file.path.clone(),
            data_change,
            deletion_timestamp: Some(writer::now().0 / 1_000_000),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values(file)),
            size: Some(i64::try_from(file.size_bytes).unwrap_or(i64::MAX)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
        }
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
        let log = self.root.join("_delta_log");
        for entry in std::fs::read_dir(&log).map_err(StoreError::io(&log))? {
            let path = entry.map_err(StoreError::io(&log))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains(&format!("{:020}", self.version)) || name == "_last_checkpoint" {
                durable::sync_file(&path)?;
            }
        }
        durable::sync_dir(&log)?;
        // Only now may the entries go that the checkpoint stands for.
        let table = deltalake_core::open_table(url).await.map_err(delta(self.table))?;
        deltalake_core::checkpoints::cleanup_metadata(&table, None).await.map_err(delta(self.table))?;
        self.checkpoint = self.version;
        Ok(())
    }
}

fn delta(table: Table) -> impl FnOnce(DeltaTableError) -> StoreError {
    move |source| StoreError::Delta { table: table.as_str(), source: Box::new(source) }
}

fn url(root: &Path) -> Result<url::Url, StoreError> {
    url::Url::from_directory_path(root).map_err(|()| StoreError::BadFormat {
        path: root.to_path_buf(),
        problem: "not an absolute path".into(),
    })
}

/// The table as its log has it; made first where there is none.
async fn load(root: &Path, table: Table) -> Result<(DeltaTable, u64, Vec<Arc<DataFile>>), StoreError> {
    let url = url(root)?;
    let opened = match deltalake_core::open_table(url.clone()).await {
        Ok(opened) => opened,
        Err(DeltaTableError::NotATable(_)) => create(root, table).await?,
        Err(error) => return Err(delta(table)(error)),
    };
    let state = opened.snapshot().map_err(delta(table))?;
    let version = state.version() as u64;
    let files = state
        .log_data()
        .iter()
        .map(|view| {
            let path = view.path().into_owned();
            let partition = view.partition_values_map();
            let value = |name: &str| partition.get(name).cloned().flatten();
            data_file(
                root,
                table,
                path,
                value("day"),
                value("slice"),
                view.size(),
                view.modification_time(),
                view.stats(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((opened, version, files))
}

async fn create(root: &Path, table: Table) -> Result<DeltaTable, StoreError> {
    let fields: Vec<_> = table.sql_schema().fields().iter().map(|f| plain(f)).collect();
    let schema: StructType = (&Schema::new(fields))
        .try_into_kernel()
        .map_err(StoreError::arrow(format!("schema of {}", table.as_str())))?;
    let location = url(root)?;
    let skipping = stats::columns(table).collect::<Vec<_>>().join(",");
    let opened = CreateBuilder::new()
        .with_location(location.as_str())
        .with_table_name(table.as_str())
        .with_columns(schema.fields().cloned())
        .with_partition_columns(table.partition_columns().iter().copied())
        .with_configuration_property(TableProperty::LogRetentionDuration, Some("interval 6 hours"))
        .with_configuration_property(TableProperty::DeletedFileRetentionDuration, Some("interval 1 hours"))
        .with_configuration_property(TableProperty::DataSkippingStatsColumns, Some(skipping))
        .await
        .map_err(delta(table))?;
    let log = root.join("_delta_log");
    durable::sync_file(&log.join(format!("{:020}.json", 0)))?;
    durable::sync_dir(&log)?;
    durable::sync_dir(root)?;
    Ok(opened)
}

/// Delta has no dictionaries: they are the text that they stand for.
fn plain(field: &arrow::datatypes::Field) -> arrow::datatypes::Field {
    match field.data_type() {
        arrow::datatypes::DataType::Dictionary(_, value) => field.clone().with_data_type((**value).clone()),
        _ => field.clone(),
    }
}

#[expect(clippy::too_many_arguments, reason = "one per fact that the log states")]
fn data_file(
    root: &Path,
    table: Table,
    path: String,
    day: Option<String>,
    slice: Option<String>,
    size: i64,
    modified_ms: i64,
    delta_stats: Option<String>,
) -> Result<Arc<DataFile>, StoreError> {
    let bad = |problem: &str| StoreError::BadFormat { path: root.join(&path), problem: problem.into() };
    let day = day.as_deref().and_then(writer::parse_day).ok_or_else(|| bad("the log gives it no day"))?;
    let stats: serde_json::Value = delta_stats
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| bad("the log has no statistics of it"))?;
    let stats = FileStats::from_delta(table, &stats)
        .ok_or_else(|| bad("the log's statistics lack its time column, its rows or its sequence"))?;
    let bloom = match table {
        Table::Spans => Some(TraceBloom::load_or_rebuild(&root.join(&path))?),
        _ => None,
    };
    Ok(Arc::new(DataFile {
        day,
        slice,
        size_bytes: u64::try_from(size).unwrap_or(0),
        rows: stats.rows,
        modified: UnixNanos(modified_ms.saturating_mul(1_000_000)),
        time_range: stats.time_range,
        wal_seq_max: stats.wal_seq_max,
        bloom,
        delta_stats,
        path,
    }))
}
