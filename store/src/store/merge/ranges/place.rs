//! Where a row stands in the order of its table's files: by its trace, or by its time.

use arrow::array::{Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;

use crate::error::StoreError;
use crate::rows::Columns;

/// By what the files of a table are sorted first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Ahead of all rows.
    Begin,
    Trace(String),
    Time(i64),
}

impl Place {
    /// That of a batch's last row.
    pub fn of_last(table: Table, batch: &RecordBatch) -> Result<Self, StoreError> {
        let last = batch.num_rows() - 1;
        Ok(match Places::of(table, batch)? {
            Places::Traces(ids) => Self::Trace(ids.value(last).to_owned()),
            Places::Times(times) => Self::Time(times.value(last)),
        })
    }

    /// How many rows of a batch come before it.
    pub fn rows_before(&self, table: Table, batch: &RecordBatch) -> Result<usize, StoreError> {
        let places = Places::of(table, batch)?;
        let (mut low, mut high) = (0, batch.num_rows());
        while low < high {
            let middle = usize::midpoint(low, high);
            if places.is_before(middle, self) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

/// The places of a batch's rows.
enum Places<'a> {
    Traces(&'a StringArray),
    Times(&'a Int64Array),
}

impl<'a> Places<'a> {
    fn of(table: Table, batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let columns = Columns::of(batch);
        match table {
            Table::Spans => Ok(Self::Traces(columns.text("trace_id")?)),
            other => Ok(Self::Times(columns.int(other.time_column())?)),
        }
    }

    fn is_before(&self, row: usize, place: &Place) -> bool {
        match (self, place) {
            (Self::Traces(ids), Place::Trace(id)) => ids.value(row) < id.as_str(),
            (Self::Times(times), Place::Time(time)) => times.value(row) < *time,
            _ => false,
        }
    }
}
