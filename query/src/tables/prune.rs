//! Which files a predicate cannot rule out, by what the file index knows of them: partition values,
//! the range of the time column, and blooms over trace ids; and by what footers that were read say of flags. No file is
//! touched.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::Table;
use plimsoll_store::DataFile;

use super::footers::Footers;
use super::lake::path;
use super::tail;

/// What the views look for: few rows are marked so, mostly in few files.
const FLAGS: [&str; 2] = ["resettled", "rerolled"];

/// The files of which some row may satisfy `predicate`.
pub fn keep<'f>(
    table: Table,
    files: &'f [Arc<DataFile>],
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    footers: &Footers,
) -> Result<Vec<&'f Arc<DataFile>>> {
    let Some(predicate) = predicate else { return Ok(files.iter().collect()) };
    let pruning =
        PruningPredicateBuilder::new().with_file_schema(table.sql_schema()).try_build(predicate.clone())?;
    let keep = pruning.prune(&Index { table, files, footers })?;
    Ok(files.iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
}

/// The timestamp beside the time column, for people.
fn people_column(table: Table) -> &'static str {
    match table {
        Table::LogRecords => "time",
        Table::Verdicts => "judged_at",
        Table::Edges => "window_time",
        _ => "start_time",
    }
}

struct Index<'f> {
    table: Table,
    files: &'f [Arc<DataFile>],
    footers: &'f Footers,
}

impl Index<'_> {
    fn bound(&self, column: &Column, time: impl Fn(&DataFile) -> i64) -> Option<ArrayRef> {
        let name = column.name();
        if name == self.table.time_column() {
            Some(Arc::new(Int64Array::from_iter_values(self.files.iter().map(|f| time(f)))))
        } else if name == people_column(self.table) {
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

    /// By file, whether the flag is set in any row, where that is known.
    fn flag(&self, column: &Column) -> Option<ArrayRef> {
        let name = column.name();
        if !FLAGS.contains(&name) {
            return None;
        }
        let any = |file: &Arc<DataFile>| self.footers.any(&path(self.table, file).ok()?, name);
        Some(Arc::new(self.files.iter().map(any).collect::<BooleanArray>()))
    }
}

impl PruningStatistics for Index<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        // A flag that is set somewhere need not be set everywhere.
        let least = |any: ArrayRef| -> ArrayRef {
            Arc::new(any.as_boolean().iter().map(|any| any.map(|_| false)).collect::<BooleanArray>())
        };
        self.bound(column, |f| f.time_range.0.0).or_else(|| self.flag(column).map(least))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        if column.name() == "wal_seq" && !self.table.is_derived() {
            return Some(Arc::new(Int64Array::from_iter_values(
                self.files.iter().map(|f| f.wal_seq_max as i64),
            )));
        }
        self.bound(column, |f| f.time_range.1.0).or_else(|| self.flag(column))
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
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
        let ids: Vec<Option<TraceId>> = values.iter().map(trace_id).collect();
        let may_hold = |file: &DataFile| ids.iter().flatten().any(|id| file.may_hold(id));
        Some(self.files.iter().map(|f| if may_hold(f) { None } else { Some(false) }).collect())
    }
}

/// Text that is no trace id, or not as it is stored (lower case), equals no stored id.
fn trace_id(value: &ScalarValue) -> Option<TraceId> {
    value.try_as_str().flatten()?.parse().ok()
}
