//! A plain scan of files of one table, the newest first, each with the range of time that the index knows of it. A query for the
//! newest rows finds them in the first files, after which the ranges of the others tell that they need not be opened.
//! Nothing is read to plan it.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path as ObjectPath;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;
use plimsoll_store::DataFile;

use super::tail;

/// What is to be read of files, and how.
#[derive(Debug)]
pub struct FileScan<'a> {
    pub table: Table,
    pub store: &'a ObjectStoreUrl,
    /// Columns, by their place in what SQL sees of the table.
    pub projection: &'a [usize],
    pub partitions: usize,
    /// Whether the filters' columns are read first, and the others for matching rows only.
    pub late: bool,
}

impl FileScan<'_> {
    /// The scan of `files`, of which there is at least one.
    pub fn plan(&self, state: &dyn Session, files: &[&Arc<DataFile>]) -> Result<Arc<dyn ExecutionPlan>> {
        let (columns, projection) = self.columns();
        let partition_fields = self.table.partition_fields();
        let runtime = state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(self.store)?, footers);
        let schema = TableSchema::builder(Arc::new(Schema::new(columns.clone())))
            .with_table_partition_cols(partition_fields.clone())
            .build();
        let source = ParquetSource::new(schema)
            .with_parquet_file_reader_factory(Arc::new(reader))
            .with_pushdown_filters(self.late)
            .with_reorder_filters(self.late)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true);
        let oldest = files.iter().map(|f| f.time_range.0).min().unwrap_or_default();
        let newest = files.iter().map(|f| f.time_range.1).max().unwrap_or_default();
        let rows = files.iter().map(|f| f.rows).sum();
        let mut statistics = self.statistics(&columns, rows, (oldest, newest));
        statistics.column_statistics.extend(partition_fields.iter().map(|_| ColumnStatistics::new_unknown()));
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(self.groups(files, &columns)?)
            .with_statistics(statistics)
            .with_projection_indices(Some(projection))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The columns of the files that are read, those of time first, and where each of the projection is among them and the
    /// partition columns. What is known of each file is a list by column: so it is short, whatever a query reads.
    fn columns(&self) -> (Vec<FieldRef>, Vec<usize>) {
        let all = self.table.file_schema();
        let in_files = all.fields().len();
        let mut columns: Vec<usize> = self.projection.iter().copied().filter(|c| *c < in_files).collect();
        columns.sort_by_key(|c| !self.is_time(all.field(*c).name()));
        let place = |column: &usize| match column.checked_sub(in_files) {
            Some(partition) => columns.len() + partition,
            None => columns.iter().position(|c| c == column).unwrap_or_default(),
        };
        let projection = self.projection.iter().map(place).collect();
        (columns.iter().map(|c| all.fields()[*c].clone()).collect(), projection)
    }

    /// As many groups as there are partitions, of about as many bytes each: the newest files in the first one, since
    /// whoever is idle takes the next file of them all.
    fn groups(&self, files: &[&Arc<DataFile>], columns: &[FieldRef]) -> Result<Vec<FileGroup>> {
        let mut files = files.to_vec();
        files.sort_by_key(|f| Reverse(f.time_range.1));
        let bytes: u64 = files.iter().map(|f| f.size_bytes).sum();
        let share = bytes.div_ceil(self.partitions.max(1) as u64);
        let mut groups = Vec::with_capacity(self.partitions);
        let (mut group, mut in_group) = (Vec::new(), 0);
        for file in files {
            group.push(self.file(file, columns)?);
            in_group += file.size_bytes;
            if in_group >= share {
                groups.push(FileGroup::new(std::mem::take(&mut group)));
                in_group = 0;
            }
        }
        if !group.is_empty() {
            groups.push(FileGroup::new(group));
        }
        Ok(groups)
    }

    fn file(&self, file: &DataFile, columns: &[FieldRef]) -> Result<PartitionedFile> {
        let path = ObjectPath::parse(format!("{}/{}", self.table.as_str(), file.path))
            .map_err(|e| DataFusionError::ObjectStore(Box::new(e.into())))?;
        let mut values = vec![ScalarValue::Date32(Some(file.day))];
        if self.table == Table::Spans {
            values.push(tail::slice_value(file.slice.as_deref().unwrap_or_default()));
        }
        let mut part = PartitionedFile::new("", file.size_bytes).with_partition_values(values);
        part.object_meta.location = path;
        part.object_meta.last_modified = chrono::DateTime::from_timestamp_nanos(file.modified.0);
        let times = columns.iter().take_while(|c| self.is_time(c.name())).count();
        // Of the others nothing is known that planning has not made use of already.
        if times > 0 {
            let statistics = self.statistics(&columns[..times], file.rows, file.time_range);
            part.statistics = Some(Arc::new(statistics));
        }
        Ok(part)
    }

    fn statistics(&self, columns: &[FieldRef], rows: u64, range: (UnixNanos, UnixNanos)) -> Statistics {
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

    fn is_time(&self, column: &str) -> bool {
        [self.table.time_column(), self.table.people_column()].contains(&column)
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
