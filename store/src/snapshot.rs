//! What a query sees: for each table the files of one Delta version and the tail above them, taken at one instant.
//!
//! A snapshot is immutable and cheap to take; files that it names are not deleted while it lives.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::max;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{TraceId, UnixNanos};

use crate::error::StoreError;
use crate::file_list::FileList;
use crate::lake::{Filters, Object, Sidecar};

/// One instant of the whole store.
#[derive(Debug, Clone)]
pub struct Snapshot {
    tables: [TableSnapshot; Table::ALL.len()],
    /// The highest log sequence that is visible.
    pub wal_seq: u64,
    /// How many passes of settling since opening it shows: where it has not changed, no run has.
    pub settled: u64,
}

impl Snapshot {
    /// One entry per table, in the order of [`Table::ALL`].
    pub fn new(tables: [TableSnapshot; Table::ALL.len()], wal_seq: u64, settled: u64) -> Self {
        Self { tables, wal_seq, settled }
    }

    pub fn table(&self, table: Table) -> &TableSnapshot {
        &self.tables[table as usize]
    }

    /// The same without a table's rows, for who looks for long and not at these: they need not stay for it.
    pub fn without(&self, table: Table) -> Self {
        let mut rest = self.clone();
        let of = &mut rest.tables[table as usize];
        (of.files, of.tail) = (Arc::new(std::iter::empty().collect()), Arc::default());
        rest
    }
}

/// One table at one instant.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub table: Table,
    /// The Delta version of `files`.
    pub version: u64,
    pub files: Arc<FileList>,
    /// Rows that are in no file yet, with the table's file schema.
    pub tail: Arc<Vec<RecordBatch>>,
}

impl TableSnapshot {
    /// The greatest value of its time column; `None` without rows.
    pub fn newest(&self) -> Option<UnixNanos> {
        let in_files = self.files.iter().map(|file| file.time_range.1).max();
        let in_tail = |batch: &RecordBatch| {
            max(batch.column_by_name(self.table.time_column())?.as_primitive_opt::<Int64Type>()?)
        };
        in_files.max(self.tail.iter().filter_map(in_tail).max().map(UnixNanos))
    }

    /// False only if none of its rows may supersede another (see [`Table::superseding_column`]).
    pub fn supersedes(&self) -> bool {
        let column = self.table.superseding_column();
        let in_tail = |batch: &RecordBatch| {
            let column = column.and_then(|name| batch.column_by_name(name)?.as_boolean_opt());
            column.is_some_and(|column| column.true_count() > 0)
        };
        self.files.iter().any(|f| f.supersedes) || self.tail.iter().any(in_tail)
    }
}

/// One Parquet file of the lake, with what planning needs to know of it without reading it.
#[derive(Debug)]
pub struct DataFile {
    /// Relative to the table's root, as in the Delta log.
    pub path: String,
    /// Where its bytes are.
    pub object: Object,
    pub size_bytes: u64,
    pub rows: u64,
    pub modified: UnixNanos,
    /// Days since the epoch.
    pub day: i32,
    /// The `slice` partition, for `spans`.
    pub slice: Option<String>,
    /// Smallest and largest value of the table's time column.
    pub time_range: (UnixNanos, UnixNanos),
    /// Highest log sequence among its rows (0 where the table has none).
    pub wal_seq_max: u64,
    /// False only if none of its rows may supersede another (see [`Table::superseding_column`]).
    pub supersedes: bool,
    /// Which trace ids and attributes it may hold, for `spans`.
    pub filters: Option<Filters>,
    /// Delta's statistics, as its commit states them.
    pub delta_stats: Option<String>,
}

/// The change of one table's files by one commit.
#[derive(Debug)]
pub struct FileChange {
    pub table: Table,
    pub version: u64,
    pub added: Vec<Arc<DataFile>>,
    pub removed: Vec<Arc<DataFile>>,
}

impl DataFile {
    /// Whether its rows still wait for their trace's slice and derived columns.
    pub fn is_recent(&self) -> bool {
        self.slice.as_deref() == Some(plimsoll_schemas::slice::SLUG_RECENT)
    }

    /// False only if no row of that trace is in the file, as far as is known without reading anything.
    pub fn may_hold(&self, trace_id: &TraceId) -> bool {
        self.may_meet(|sidecar| sidecar.traces.may_hold(trace_id))
    }

    /// False only if the file's filters are in memory and say so.
    pub fn may_meet(&self, condition: impl FnOnce(&Sidecar) -> bool) -> bool {
        self.filters.as_ref().and_then(|filters| filters.ask(condition)).unwrap_or(true)
    }

    /// Those of these traces of which rows may be in the file. Reads its filters where they are not in memory: blocks.
    pub fn held<'t>(&self, traces: impl Iterator<Item = &'t TraceId>) -> Result<Vec<TraceId>, StoreError> {
        match &self.filters {
            Some(filters) => filters.held(traces),
            None => Ok(traces.copied().collect()),
        }
    }
}
