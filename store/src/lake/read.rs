//! Reads data files: all rows, or those of some traces. Blocking: call it where that is allowed.
//!
//! What is read has the table's file schema, whoever wrote the file: columns that it lacks are null, and other
//! encodings of the same values are cast.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::{FutureExt, StreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderMetadata, RowFilter, RowSelection};
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId};

use super::object::{Object, impossible};
use crate::error::StoreError;
use crate::home::Home;
use crate::nulls::null_column;
use crate::snapshot::DataFile;

const BATCH_ROWS: usize = 8 * 1024;

/// The rows of one file, in its order, as batches with the table's file schema.
pub struct FileReader {
    home: Home,
    stream: ParquetRecordBatchStream<Object>,
    schema: SchemaRef,
    says_sorted: bool,
    context: String,
}

impl FileReader {
    /// Whether all of the file is in the order of the table's `sort_columns`, as far as it says.
    pub fn says_sorted(&self) -> bool {
        self.says_sorted
    }

    /// Whether any of its rows may have a value in a column.
    pub fn has(&self, column: &str) -> bool {
        self.stream.schema().column_with_name(column).is_some()
    }
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileReader").field("file", &self.context).finish_non_exhaustive()
    }
}

impl Iterator for FileReader {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = AssertUnwindSafe(self.stream.next()).catch_unwind();
        // The library takes some damage for a defect of its own, and panics.
        let batch = self.home.wait(next).unwrap_or_else(|_| Some(Err(impossible())))?;
        let batch = batch.map_err(StoreError::parquet(self.context.as_str()));
        Some(batch.and_then(|batch| {
            conform(&batch, &self.schema).map_err(StoreError::arrow(self.context.as_str()))
        }))
    }
}

/// Reads all rows of a file.
pub fn read_file(table: Table, file: &DataFile) -> Result<FileReader, StoreError> {
    read(table, file, table.file_schema())
}

/// Reads all rows of a file, of the table's columns those that are named.
pub fn read_columns(table: Table, file: &DataFile, names: &[&str]) -> Result<FileReader, StoreError> {
    let all = table.file_schema();
    let named: Vec<usize> =
        (0..all.fields().len()).filter(|at| names.contains(&all.field(*at).name().as_str())).collect();
    let schema = all.project(&named).map_err(StoreError::arrow("columns that are read"))?;
    read(table, file, Arc::new(schema))
}

fn read(table: Table, file: &DataFile, schema: SchemaRef) -> Result<FileReader, StoreError> {
    let mut object = file.object.clone();
    let (home, context) = (object.home().clone(), object.context());
    let footer = home.wait(object.footer_once()).map_err(StoreError::parquet(context.as_str()))?.arrow;
    let groups: Vec<_> = (0..footer.metadata().num_row_groups()).collect();
    let mut mask = columns_with_values(footer.metadata(), &groups);
    let names = schema.fields().iter().map(|field| field.name().as_str());
    mask.intersect(&ProjectionMask::columns(footer.parquet_schema(), names));
    let says_sorted = says_sorted(footer.metadata(), table);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(object, footer)
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(StoreError::parquet(context.as_str()))?;
    Ok(FileReader { home, stream, schema, says_sorted, context })
}

/// Whether each row group says that it is sorted so, and none begins before the one ahead of it ends.
fn says_sorted(metadata: &ParquetMetaData, table: Table) -> bool {
    let (groups, columns) = (metadata.row_groups(), table.sort_columns());
    let says_so = |group: &RowGroupMetaData| {
        let Some(sorted) = group.sorting_columns().filter(|sorted| sorted.len() >= columns.len()) else {
            return false;
        };
        sorted.iter().zip(columns).all(|(by, name)| {
            let leaf = usize::try_from(by.column_idx).ok().and_then(|at| group.columns().get(at));
            leaf.is_some_and(|leaf| leaf.column_path().parts() == [*name]) && !by.descending
        })
    };
    let Some(leaf) = columns.first().and_then(|first| leaf(metadata, first)) else { return false };
    // As bytes that compare as the column does, which is of text or of times.
    let range = |group: &RowGroupMetaData| match group.column(leaf).statistics()? {
        Statistics::Int64(times) => {
            let bytes = |time: &i64| (time.cast_unsigned() ^ (1 << 63)).to_be_bytes().to_vec();
            Some((bytes(times.min_opt()?), bytes(times.max_opt()?)))
        }
        other => Some((other.min_bytes_opt()?.to_vec(), other.max_bytes_opt()?.to_vec())),
    };
    let follow = |a, b| range(a).zip(range(b)).is_some_and(|((_, max), (min, _))| max <= min);
    groups.iter().all(says_so) && groups.windows(2).all(|pair| follow(&pair[0], &pair[1]))
}

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
    let Some(selection) = TraceRows::find(&footer, &ids) else { return Ok(Vec::new()) };

    let mask = columns_with_values(footer.metadata(), &selection.row_groups);
    let filter = trace_filter(&footer, ids, tenant);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(object, footer)
        .with_projection(mask)
        .with_row_groups(selection.row_groups)
        .with_row_selection(selection.rows)
        .with_row_filter(RowFilter::new(vec![Box::new(filter)]))
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(StoreError::parquet(context.as_str()))?;
    let schema = Table::Spans.file_schema();
    FileReader { home, stream, schema, says_sorted: false, context }
        .filter(|batch| batch.as_ref().map_or(true, |b| b.num_rows() > 0))
        .collect()
}

/// Where rows of some traces can be.
struct TraceRows {
    row_groups: Vec<usize>,
    /// Within those row groups.
    rows: RowSelection,
}

impl TraceRows {
    /// `None` if nowhere.
    fn find(footer: &ArrowReaderMetadata, ids: &[String]) -> Option<Self> {
        let metadata = footer.metadata();
        let leaf = leaf(metadata, "trace_id")?;
        let (mut row_groups, mut ranges, mut rows) = (Vec::new(), Vec::new(), 0);
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let group_ranges = group_ranges(metadata, index, leaf, ids);
            if group_ranges.is_empty() {
                continue;
            }
            ranges.extend(group_ranges.into_iter().map(|r| r.start + rows..r.end + rows));
            rows += group_rows(group);
            row_groups.push(index);
        }
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows);
        (!row_groups.is_empty()).then_some(Self { row_groups, rows: selection })
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

fn trace_filter(
    footer: &ArrowReaderMetadata,
    ids: Vec<String>,
    tenant: Option<&Tenant>,
) -> ArrowPredicateFn<impl FnMut(RecordBatch) -> Result<BooleanArray, ArrowError> + Send + 'static> {
    let tenant = tenant.cloned();
    let columns: &[&str] = if tenant.is_some() { &["trace_id", "tenant"] } else { &["trace_id"] };
    let mask = ProjectionMask::columns(footer.parquet_schema(), columns.iter().copied());
    ArrowPredicateFn::new(mask, move |batch| {
        let text = |name: &str| match batch.column_by_name(name) {
            Some(column) => cast(column, &DataType::Utf8),
            None => Err(ArrowError::SchemaError(format!("no column {name}"))),
        };
        let trace_ids = text("trace_id")?;
        let wanted = trace_ids
            .as_string::<i32>()
            .iter()
            .map(|id| id.is_some_and(|id| ids.binary_search_by(|wanted| wanted.as_str().cmp(id)).is_ok()));
        match &tenant {
            None => Ok(wanted.map(Some).collect()),
            Some(tenant) => {
                let tenants = text("tenant")?;
                let tenants = tenants.as_string::<i32>().iter();
                Ok(wanted
                    .zip(tenants)
                    .map(|(wanted, t)| Some(wanted && t == Some(tenant.as_str())))
                    .collect())
            }
        }
    })
}

/// The columns that are not null throughout these row groups: opening a column costs a few reads, and most
/// attributes are on few spans.
fn columns_with_values(metadata: &ParquetMetaData, groups: &[usize]) -> ProjectionMask {
    let schema = metadata.file_metadata().schema_descr();
    let has_values = |leaf: usize| groups.iter().any(|group| !is_null(metadata.row_group(*group), leaf));
    let leaves = (0..schema.num_columns()).filter(|leaf| has_values(*leaf));
    let mut roots: Vec<_> = leaves.map(|leaf| schema.get_column_root_idx(leaf)).collect();
    roots.dedup();
    ProjectionMask::roots(schema, roots)
}

/// Whether a leaf's root column is null in each row of a row group, as far as the footer says.
fn is_null(group: &RowGroupMetaData, leaf: usize) -> bool {
    let chunk = group.column(leaf);
    // Definition level 0 is a null at the root, but for columns that cannot be null there.
    if chunk.column_descr().self_type().is_optional() && chunk.column_descr().path().parts().len() == 1 {
        let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        return nulls.is_some_and(|n| n == chunk.num_values().unsigned_abs());
    }
    let levels = chunk.definition_level_histogram();
    chunk.column_descr().path().parts().len() > 1
        && levels.and_then(|h| h.get(0)).is_some_and(|nulls| nulls == group.num_rows())
}

fn leaf(metadata: &ParquetMetaData, column: &str) -> Option<usize> {
    let leaves = metadata.file_metadata().schema_descr().columns();
    leaves.iter().position(|leaf| leaf.path().parts() == [column])
}

fn group_rows(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or_default()
}

/// The same rows with exactly this schema.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast(column, field.data_type()),
        None => Ok(null_column(field.data_type(), rows)),
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
