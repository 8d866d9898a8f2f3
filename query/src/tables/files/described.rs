//! What DataFusion is told of a file, out of what the index knows of it.

use arrow::datatypes::FieldRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use object_store::path::Path as ObjectPath;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;

use super::queue::Part;
use crate::tables::tail;

/// How the files of one scan are described.
#[derive(Debug, Clone)]
pub struct Described {
    table: Table,
    /// The columns of time that are read, which come first.
    times: Vec<FieldRef>,
}

impl Described {
    /// `columns` of the files, those of time first.
    pub fn new(table: Table, columns: &[FieldRef]) -> Self {
        let times = columns.iter().take_while(|c| is_time(table, c.name()));
        Self { table, times: times.cloned().collect() }
    }

    pub fn table(&self) -> Table {
        self.table
    }

    /// A part of a file, as it is opened.
    pub fn file(&self, part: &Part) -> Result<PartitionedFile> {
        let file = &part.file;
        let path = ObjectPath::parse(format!("{}/{}", self.table.as_str(), file.path))
            .map_err(|e| DataFusionError::ObjectStore(Box::new(e.into())))?;
        let mut values = vec![ScalarValue::Date32(Some(file.day))];
        if self.table == Table::Spans {
            values.push(tail::slice_value(file.slice.as_deref().unwrap_or_default()));
        }
        let mut described = PartitionedFile::new("", file.size_bytes)
            .with_partition_values(values)
            .with_extension(file.object.clone());
        described.object_meta.location = path;
        described.object_meta.last_modified = chrono::DateTime::from_timestamp_nanos(file.modified.0);
        if let Some((start, end)) = part.bytes {
            described = described.with_range(start, end);
        }
        // Of the others nothing is known that planning has not made use of already.
        if !self.times.is_empty() {
            let statistics = self.statistics(&self.times, file.rows, file.time_range);
            described.statistics = Some(std::sync::Arc::new(statistics));
        }
        Ok(described)
    }

    pub fn statistics(&self, columns: &[FieldRef], rows: u64, range: (UnixNanos, UnixNanos)) -> Statistics {
        let of = |column: &FieldRef| {
            let bounds = self.time(column.name(), range.0).zip(self.time(column.name(), range.1));
            let Some((min, max)) = bounds else { return ColumnStatistics::new_unknown() };
            ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: Precision::Exact(min),
                max_value: Precision::Exact(max),
                ..ColumnStatistics::new_unknown()
            }
        };
        Statistics {
            num_rows: Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX)),
            total_byte_size: Precision::Absent,
            column_statistics: columns.iter().map(of).collect(),
        }
    }

    /// A point in time as the column of that name has it; `None` for columns that are no time.
    fn time(&self, column: &str, time: UnixNanos) -> Option<ScalarValue> {
        if column == self.table.time_column() {
            Some(ScalarValue::Int64(Some(time.0)))
        } else if column == self.table.people_column() {
            let micros = time.0.div_euclid(1_000);
            Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
        } else {
            None
        }
    }
}

pub fn is_time(table: Table, column: &str) -> bool {
    [table.time_column(), table.people_column()].contains(&column)
}
