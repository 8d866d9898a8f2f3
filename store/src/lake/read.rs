//! Reads data files: all of their rows, in their order. Blocking: call it where that is allowed.
//!
//! What is read has the table's file schema, whoever wrote the file: columns that it lacks are null, and other
//! encodings of the same values are cast.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use plimsoll_schemas::table::Table;

use super::object::{Object, impossible};
use super::pages::Group;
use crate::error::StoreError;
use crate::nulls::null_column;
use crate::snapshot::DataFile;

/// Rows of a batch, at most and at least.
pub(super) const BATCH_ROWS: usize = 8 * 1024;
const BATCH_ROWS_MIN: usize = 64;
/// What a batch takes, about: rows may be large, with a prompt in each.
const BATCH_BYTES: usize = 16 << 20;

/// The rows of one file, in its order, as batches with the schema that is asked for.
pub struct FileReader {
    object: Object,
    footer: ArrowReaderMetadata,
    columns: ProjectionMask,
    schema: SchemaRef,
    batch_rows: usize,
    says_sorted: bool,
    /// Row groups that come after the one that is read.
    groups: Range<usize>,
    batches: Option<ParquetRecordBatchReader>,
}

impl FileReader {
    /// Whether all of the file is in the order of the table's `sort_columns`, as far as it says.
    pub fn says_sorted(&self) -> bool {
        self.says_sorted
    }

    /// Whether any of its rows may have a value in a column.
    pub fn has(&self, column: &str) -> bool {
        let leaves = self.footer.parquet_schema();
        (0..leaves.num_columns())
            .any(|leaf| self.columns.leaf_included(leaf) && leaves.get_column_root(leaf).name() == column)
    }

    /// About so many bytes at a time.
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        let groups = self.footer.metadata().row_groups().iter();
        let encoded = groups.map(|g| g.total_byte_size() / g.num_rows().max(1)).max().unwrap_or_default();
        // A number in place of each word, and where each text ends.
        let per_row = 8 * self.footer.parquet_schema().num_columns() + usize::try_from(encoded).unwrap_or(0);
        self.batch_rows = (bytes / per_row).clamp(BATCH_ROWS_MIN, BATCH_ROWS);
        self
    }

    fn next_batch(&mut self) -> ParquetResult<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return Ok(Some(batch?));
            }
            // Its pages go before those of the next are read.
            self.batches = None;
            let Some(at) = self.groups.next() else { return Ok(None) };
            let home = self.object.home().clone();
            let group =
                home.wait(Group::read(&mut self.object, self.footer.metadata(), at, &self.columns, None))?;
            let batches = group.batches(&self.footer, self.columns.clone(), self.batch_rows, None)?;
            self.batches = Some(batches);
        }
    }
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileReader").field("file", &self.object.context()).finish_non_exhaustive()
    }
}

impl Iterator for FileReader {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = caught(|| self.next_batch()).map_err(StoreError::parquet(self.object.context()));
        let next = next.and_then(|batch| {
            let conformed = batch.map(|batch| conform(&batch, &self.schema)).transpose();
            conformed.map_err(StoreError::arrow(self.object.context()))
        });
        if next.is_err() {
            (self.batches, self.groups) = (None, 0..0);
        }
        next.transpose()
    }
}

/// The library takes some damage for a defect of its own, and panics.
pub(super) fn caught<T>(read: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(impossible()))
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
    let footer = home.wait(object.footer_once()).map_err(StoreError::parquet(context))?.arrow;
    let groups: Vec<_> = (0..footer.metadata().num_row_groups()).collect();
    let mut columns = columns_with_values(footer.metadata(), &groups);
    let names = schema.fields().iter().map(|field| field.name().as_str());
    columns.intersect(&ProjectionMask::columns(footer.parquet_schema(), names));
    let says_sorted = says_sorted(footer.metadata(), table);
    let (groups, batch_rows) = (0..groups.len(), BATCH_ROWS);
    let reader =
        FileReader { object, footer, columns, schema, batch_rows, says_sorted, groups, batches: None };
    Ok(reader.with_batch_bytes(BATCH_BYTES))
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

/// The columns that are not null throughout these row groups: opening a column costs a few reads, and most
/// attributes are on few spans.
pub(super) fn columns_with_values(metadata: &ParquetMetaData, groups: &[usize]) -> ProjectionMask {
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

pub(super) fn leaf(metadata: &ParquetMetaData, column: &str) -> Option<usize> {
    let leaves = metadata.file_metadata().schema_descr().columns();
    leaves.iter().position(|leaf| leaf.path().parts() == [column])
}

/// The same rows with exactly this schema.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
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
