//! What the server says of itself, as tables of the schema `plimsoll`: `jobs`, `files`, `slices`, `attributes`. Only for those who may
//! see every tenant's rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::MemTable;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::{Table, timestamp};
use plimsoll_store::attributes::{AttributeSample, attributes as sample};
use plimsoll_store::jobs::Job;
use plimsoll_store::{DataFile, Snapshot};

use super::catalog::Lake;

/// The name of the schema.
pub const SCHEMA: &str = "plimsoll";
const NAMES: [&str; 4] = ["jobs", "files", "slices", "attributes"];

/// See the module's description.
#[derive(Debug)]
pub struct SystemSchema {
    lake: Lake,
}

impl SystemSchema {
    pub fn new(lake: Lake) -> Self {
        Self { lake }
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let names = if self.lake.tenant.is_none() { &NAMES[..] } else { &[] };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        let rows = match name {
            "jobs" => jobs(&self.lake.jobs.list()),
            "files" => files(&self.lake.snapshot),
            "attributes" => {
                // Reads files, of which it takes a sample.
                let snapshot = self.lake.snapshot.clone();
                let sampled = tokio::task::spawn_blocking(move || sample(snapshot.table(Table::Spans))).await;
                let sampled = sampled.map_err(|e| exec_datafusion_err!("plimsoll.attributes: {e}"))?;
                attributes(&sampled.map_err(|e| exec_datafusion_err!("plimsoll.attributes: {e}"))?)
            }
            _ => slices(&self.lake.snapshot),
        }?;
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.lake.tenant.is_none() && NAMES.contains(&name)
    }
}

/// Columns in their order.
#[derive(Default)]
struct Columns(Vec<(&'static str, ArrayRef)>);

impl Columns {
    fn text<T: AsRef<str>>(mut self, name: &'static str, values: impl Iterator<Item = Option<T>>) -> Self {
        self.0.push((name, Arc::new(values.collect::<StringArray>())));
        self
    }

    fn long(mut self, name: &'static str, values: impl Iterator<Item = Option<i64>>) -> Self {
        self.0.push((name, Arc::new(values.collect::<Int64Array>())));
        self
    }

    fn time(mut self, name: &'static str, values: impl Iterator<Item = Option<UnixNanos>>) -> Self {
        let micros: TimestampMicrosecondArray = values.map(|time| time.map(UnixNanos::micros)).collect();
        self.0.push((name, Arc::new(micros.with_timezone("UTC"))));
        self
    }

    fn rows(self) -> Result<RecordBatch> {
        let field = |(name, column): &(&'static str, ArrayRef)| {
            let kind = match column.data_type() {
                DataType::Timestamp(..) => timestamp(),
                other => other.clone(),
            };
            Field::new(*name, kind, true)
        };
        let schema = Schema::new(self.0.iter().map(field).collect::<Vec<_>>());
        let columns = self.0.into_iter().map(|(_, column)| column).collect();
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}

fn long(n: u64) -> Option<i64> {
    i64::try_from(n).ok()
}

fn jobs(jobs: &[Job]) -> Result<RecordBatch> {
    Columns::default()
        .long("id", jobs.iter().map(|j| long(j.id)))
        .text("kind", jobs.iter().map(|j| Some(j.kind.as_str())))
        .text("subject", jobs.iter().map(|j| Some(&j.subject)))
        .text("state", jobs.iter().map(|j| Some(j.state.as_str())))
        .long("done", jobs.iter().map(|j| long(j.done)))
        .long("total", jobs.iter().map(|j| long(j.total?)))
        .text("unit", jobs.iter().map(|j| Some(j.unit.as_str())))
        .time("start_time", jobs.iter().map(|j| Some(j.began)))
        .time("end_time", jobs.iter().map(|j| j.ended))
        .text("problem", jobs.iter().map(|j| j.problem.as_deref()))
        .rows()
}

/// The data files of every table.
fn files(snapshot: &Snapshot) -> Result<RecordBatch> {
    let tables = Table::ALL.map(|table| snapshot.table(table));
    let all: Vec<(Table, &DataFile)> =
        tables.iter().flat_map(|t| t.files.iter().map(|file| (t.table, file.as_ref()))).collect();
    Columns::default()
        .text("table_name", all.iter().map(|(table, _)| Some(table.as_str())))
        .text("path", all.iter().map(|(_, f)| Some(&f.path)))
        .text("day", all.iter().map(|(_, f)| Some(day(f.day))))
        .text("slice", all.iter().map(|(_, f)| f.slice.as_deref()))
        .long("row_count", all.iter().map(|(_, f)| long(f.rows)))
        .long("size_bytes", all.iter().map(|(_, f)| long(f.size_bytes)))
        .time("first_time", all.iter().map(|(_, f)| Some(f.time_range.0)))
        .time("last_time", all.iter().map(|(_, f)| Some(f.time_range.1)))
        .time("write_time", all.iter().map(|(_, f)| Some(f.modified)))
        .rows()
}

/// What the files of `spans` hold by slice; `_recent` is not yet told apart.
fn slices(snapshot: &Snapshot) -> Result<RecordBatch> {
    #[derive(Default)]
    struct Sum {
        files: u64,
        rows: u64,
        bytes: u64,
        first: Option<UnixNanos>,
        last: Option<UnixNanos>,
    }
    let mut slices: std::collections::BTreeMap<&str, Sum> = std::collections::BTreeMap::new();
    for file in snapshot.table(Table::Spans).files.iter() {
        let sum = slices.entry(file.slice.as_deref().unwrap_or_default()).or_default();
        sum.files += 1;
        sum.rows += file.rows;
        sum.bytes += file.size_bytes;
        sum.first = Some(sum.first.map_or(file.time_range.0, |t| t.min(file.time_range.0)));
        sum.last = Some(sum.last.map_or(file.time_range.1, |t| t.max(file.time_range.1)));
    }
    Columns::default()
        .text("slice", slices.keys().map(Some))
        .long("file_count", slices.values().map(|s| long(s.files)))
        .long("span_count", slices.values().map(|s| long(s.rows)))
        .long("size_bytes", slices.values().map(|s| long(s.bytes)))
        .time("first_time", slices.values().map(|s| s.first))
        .time("last_time", slices.values().map(|s| s.last))
        .rows()
}

/// What attributes cost, in a sample of the newest spans.
fn attributes(sample: &AttributeSample) -> Result<RecordBatch> {
    let uses = &sample.uses;
    Columns::default()
        .text("scope", uses.iter().map(|u| Some(u.scope)))
        .text("key", uses.iter().map(|u| Some(&u.key)))
        .text("types", uses.iter().map(|u| Some(&u.types)))
        .text("column_name", uses.iter().map(|u| u.column))
        .long("row_count", uses.iter().map(|u| long(u.rows)))
        .long("value_bytes", uses.iter().map(|u| long(u.value_bytes)))
        .long("distinct_count", uses.iter().map(|u| long(u.distinct?)))
        .long("promotion_saves_bytes", uses.iter().map(|u| u.promotion_saves_bytes))
        .long("sample_row_count", uses.iter().map(|_| long(sample.rows)))
        .rows()
}

/// `2026-11-20`.
fn day(day: i32) -> String {
    let date = chrono::DateTime::UNIX_EPOCH + chrono::Duration::days(i64::from(day));
    date.format("%Y-%m-%d").to_string()
}
