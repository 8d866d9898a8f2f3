//! Reads the spans of some traces, touching the pages alone that can hold them. Blocking: call it where that is allowed.

use std::ops::Range;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId};

use super::object::Object;
use super::pages::Group;
use super::read::{BATCH_ROWS, caught, columns_with_values, conform, leaf};
use crate::error::StoreError;
use crate::home::Home;
use crate::snapshot::DataFile;

/// Reads the rows of these traces (one tenant's, or every tenant's) from a file of `spans`, touching only the pages
/// that can hold them and only the columns that hold anything.
pub fn read_traces(
    file: &DataFile,
    ids: &[TraceId],
    tenant: Option<&Tenant>,
) -> Result<Vec<RecordBatch>, StoreError> {
    let mut ids: Vec<String> = ids.iter().map(TraceId::to_string).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut object = file.object.clone();
    let (home, context) = (object.home().clone(), object.context());
    let footer = home.wait(object.footer()).map_err(StoreError::parquet(context.as_str()))?.arrow;
    let mut reading = Reading { home, object, footer, ids, tenant };
    let found = caught(|| reading.all()).map_err(StoreError::parquet(context.as_str()))?;
    let schema = Table::Spans.file_schema();
    let conformed = found.iter().map(|batch| conform(batch, &schema)).collect::<Result<_, _>>();
    conformed.map_err(StoreError::arrow(context))
}

/// What is looked for, and where.
struct Reading<'r> {
    home: Home,
    object: Object,
    footer: ArrowReaderMetadata,
    /// Sorted, each once.
    ids: Vec<String>,
    tenant: Option<&'r Tenant>,
}

impl Reading<'_> {
    fn all(&mut self) -> ParquetResult<Vec<RecordBatch>> {
        let metadata = self.footer.metadata().clone();
        let Some(leaf) = leaf(&metadata, "trace_id") else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for at in 0..metadata.num_row_groups() {
            let rows = group_ranges(&metadata, at, leaf, &self.ids);
            if !rows.is_empty() {
                let all = group_rows(metadata.row_group(at));
                let rows = RowSelection::from_consecutive_ranges(rows.into_iter(), all);
                found.extend(self.of_group(at, rows)?);
            }
        }
        Ok(found)
    }

    /// `rows`: those that may be of the traces.
    fn of_group(&mut self, at: usize, rows: RowSelection) -> ParquetResult<Vec<RecordBatch>> {
        let names = std::iter::once("trace_id").chain(self.tenant.map(|_| "tenant"));
        let who = ProjectionMask::columns(self.footer.parquet_schema(), names);
        let batches = self.read(at, who, rows.clone())?;
        let wanted: Vec<BooleanArray> =
            batches.iter().map(|batch| self.is_wanted(batch)).collect::<Result<_, ArrowError>>()?;
        let rows = rows.and_then(&RowSelection::from_filters(&wanted));
        if !rows.selects_any() {
            return Ok(Vec::new());
        }
        let columns = columns_with_values(self.footer.metadata(), &[at]);
        self.read(at, columns, rows)
    }

    fn read(
        &mut self,
        at: usize,
        columns: ProjectionMask,
        rows: RowSelection,
    ) -> ParquetResult<Vec<RecordBatch>> {
        let read = Group::read(&mut self.object, self.footer.metadata(), at, &columns, Some(&rows));
        let group = self.home.wait(read)?;
        Ok(group.batches(&self.footer, columns, BATCH_ROWS, Some(rows))?.collect::<Result<_, _>>()?)
    }

    fn is_wanted(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let text = |name: &str| match batch.column_by_name(name) {
            Some(column) => cast(column, &DataType::Utf8),
            None => Err(ArrowError::SchemaError(format!("no column {name}"))),
        };
        let trace_ids = text("trace_id")?;
        let wanted =
            trace_ids.as_string::<i32>().iter().map(|id| id.is_some_and(|id| self.is_one_of_them(id)));
        match self.tenant {
            None => Ok(wanted.map(Some).collect()),
            Some(tenant) => {
                let tenants = text("tenant")?;
                let is_theirs = tenants.as_string::<i32>().iter().map(|t| t == Some(tenant.as_str()));
                Ok(wanted.zip(is_theirs).map(|(wanted, is_theirs)| Some(wanted && is_theirs)).collect())
            }
        }
    }

    fn is_one_of_them(&self, id: &str) -> bool {
        self.ids.binary_search_by(|wanted| wanted.as_str().cmp(id)).is_ok()
    }
}

/// The rows of the pages of one row group whose range holds one of the ids; the whole group without a page index.
fn group_ranges(metadata: &ParquetMetaData, group: usize, leaf: usize, ids: &[String]) -> Vec<Range<usize>> {
    let all = || std::iter::once(0..group_rows(metadata.row_group(group))).collect();
    if let Some(Statistics::ByteArray(s)) = metadata.row_group(group).column(leaf).statistics()
        && let (Some(min), Some(max)) = (s.min_opt(), s.max_opt())
        && !any_within(ids, min.data(), max.data())
    {
        return Vec::new();
    }
    let pages = metadata.offset_index().and_then(|i| i.get(group)?.get(leaf));
    let values = metadata.column_index().and_then(|i| i.get(group)?.get(leaf));
    let (Some(pages), Some(ColumnIndexMetaData::BYTE_ARRAY(values))) = (pages, values) else { return all() };
    let starts: Vec<_> = pages.page_locations().iter().map(|p| p.first_row_index as usize).collect();
    let ends = starts.iter().skip(1).copied().chain([group_rows(metadata.row_group(group))]);
    starts
        .iter()
        .zip(ends)
        .enumerate()
        .filter(|(page, _)| match (values.min_value(*page), values.max_value(*page)) {
            (Some(min), Some(max)) => any_within(ids, min, max),
            _ => false,
        })
        .map(|(_, (start, end))| *start..end)
        .collect()
}

/// Whether one of the sorted ids is in a range, both ends of which belong to it.
fn any_within(ids: &[String], min: &[u8], max: &[u8]) -> bool {
    let first = ids.partition_point(|id| id.as_bytes() < min);
    ids.get(first).is_some_and(|id| id.as_bytes() <= max)
}

fn group_rows(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or_default()
}
