//! Which files a predicate cannot rule out, by what the file index knows of them: partition values,
//! the range of the time column, whether rows may supersede others, and blooms over trace ids. No file is touched.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::Table;
use plimsoll_store::{DataFile, FileList};

use super::tail;

/// The files of which some row may satisfy `predicate`.
pub fn keep<'f>(
    table: Table,
    files: &'f FileList,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<Vec<&'f Arc<DataFile>>> {
    let Some(predicate) = predicate else { return Ok(files.iter().collect()) };
    let all: Vec<&DataFile> = files.iter().map(Arc::as_ref).collect();
    let pruning = PruningPredicateBuilder::new().with_file_schema(table.sql_schema());
    let keep =
        pruning.try_build(predicate.clone())?.prune(&Index { table, files: &all, list: Some(files) })?;
    Ok(files.iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
}

/// Of each file, whether some row may satisfy `predicate`, whose columns are those of `schema`.
pub fn may_match(
    table: Table,
    schema: SchemaRef,
    files: &[&DataFile],
    predicate: Arc<dyn PhysicalExpr>,
) -> Result<Vec<bool>> {
    let pruning = PruningPredicateBuilder::new().with_file_schema(schema).try_build(predicate)?;
    pruning.prune(&Index { table, files, list: None })
}

struct Index<'f> {
    table: Table,
    files: &'f [&'f DataFile],
    /// The same files, where they are all of a table.
    list: Option<&'f FileList>,
}

impl Index<'_> {
    fn bound(&self, column: &Column, time: impl Fn(&DataFile) -> i64) -> Option<ArrayRef> {
        let name = column.name();
        if name == self.table.time_column() {
            Some(Arc::new(Int64Array::from_iter_values(self.files.iter().map(|f| time(f)))))
        } else if name == self.table.people_column() {
            let micros = self.files.iter().map(|f| time(f).div_euclid(1_000));
            Some(Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")))
        } else if name == "day" {
            Some(Arc::new(Date32Array::from_iter_values(self.files.iter().map(|f| f.day))))
        } else if name == "slice" && self.table == Table::Spans {
            let values = self.files.iter().map(|f| tail::slice_value(f.slice.as_deref().unwrap_or_default()));
            ScalarValue::iter_to_array(values).ok()
        } else {
            None
        }
    }
}

impl PruningStatistics for Index<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        if Some(column.name()) == self.table.superseding_column() {
            let known = self.files.iter().map(|f| if f.supersedes { None } else { Some(false) });
            return Some(Arc::new(known.collect::<BooleanArray>()));
        }
        self.bound(column, |f| f.time_range.0.0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        if column.name() == "wal_seq" && !self.table.is_derived() {
            return Some(Arc::new(Int64Array::from_iter_values(
                self.files.iter().map(|f| f.wal_seq_max as i64),
            )));
        }
        if Some(column.name()) == self.table.superseding_column() {
            return Some(Arc::new(self.files.iter().map(|f| Some(f.supersedes)).collect::<BooleanArray>()));
        }
        self.bound(column, |f| f.time_range.1.0)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    /// Every row has a time; the partition columns have a value for each file.
    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let name = column.name();
        let always = [self.table.time_column(), self.table.people_column(), "day"].contains(&name)
            || (name == "slice" && self.table == Table::Spans);
        always.then(|| Arc::new(UInt64Array::from_value(0, self.files.len())) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.files.iter().map(|f| f.rows))))
    }

    /// False where the bloom says that none of the ids is in the file; unknown elsewhere.
    #[allow(clippy::mutable_key_type)] // The trait's signature.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name() != "trace_id" {
            return None;
        }
        let ids: Vec<TraceId> = values.iter().filter_map(trace_id).collect();
        let Some(list) = self.list else {
            let may_hold = |file: &DataFile| ids.iter().any(|id| file.may_hold(id));
            return Some(self.files.iter().map(|f| if may_hold(f) { None } else { Some(false) }).collect());
        };
        let mut holding = list.that_may_hold(&ids).peekable();
        let may_hold = |file: &Arc<DataFile>| holding.next_if(|next| Arc::ptr_eq(next, file)).is_some();
        Some(list.iter().map(may_hold).map(|may_hold| (!may_hold).then_some(false)).collect())
    }
}

/// Text that is no trace id, or not as it is stored (lower case), equals no stored id.
pub fn trace_id(value: &ScalarValue) -> Option<TraceId> {
    value.try_as_str().flatten()?.parse().ok()
}
