//! A scan of files of one table, the newest first. A query for the newest rows finds them in the first files, after which their
//! ranges tell of all the others that they need not be opened: see [`queue`]. Nothing is read to plan it.

mod described;
mod queue;
mod reader;
mod source;

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{ColumnStatistics, Result};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use plimsoll_schemas::table::Table;
use plimsoll_store::DataFile;

use super::asks::Asks;
use described::Described;
use reader::Readers;
use source::FileSource;

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
    pub asks: Asks,
}

impl FileScan<'_> {
    /// The scan of `files`, of which there is at least one.
    pub fn plan(&self, files: &[&Arc<DataFile>]) -> Result<Arc<dyn ExecutionPlan>> {
        let (columns, projection) = self.columns();
        let partition_fields = self.table.partition_fields();
        let schema = TableSchema::builder(Arc::new(Schema::new(columns.clone())))
            .with_table_partition_cols(partition_fields.clone())
            .build();
        let parquet = ParquetSource::new(schema)
            .with_parquet_file_reader_factory(Arc::new(Readers))
            .with_pushdown_filters(self.late)
            .with_reorder_filters(self.late)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true);
        let described = Described::new(self.table, &columns);
        let parts = queue::parts(files, self.partitions);
        let oldest = files.iter().map(|f| f.time_range.0).min().unwrap_or_default();
        let newest = files.iter().map(|f| f.time_range.1).max().unwrap_or_default();
        let rows = files.iter().map(|f| f.rows).sum();
        let mut statistics = described.statistics(&columns, rows, (oldest, newest));
        statistics.column_statistics.extend(partition_fields.iter().map(|_| ColumnStatistics::new_unknown()));
        // The files come from the queue: the groups stand for the partitions.
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(parquet))
            .with_file_groups(vec![FileGroup::new(Vec::new()); self.partitions.clamp(1, parts.len().max(1))])
            .with_statistics(statistics)
            .with_projection_indices(Some(projection))?
            .build();
        Ok(DataSourceExec::from_data_source(FileSource::new(config, described, self.asks.clone(), parts)))
    }

    /// The columns of the files that are read, those of time first, and where each of the projection is among them and the
    /// partition columns. What is known of each file is a list by column: so it is short, whatever a query reads.
    fn columns(&self) -> (Vec<FieldRef>, Vec<usize>) {
        let all = self.table.file_schema();
        let in_files = all.fields().len();
        let mut columns: Vec<usize> = self.projection.iter().copied().filter(|c| *c < in_files).collect();
        columns.sort_by_key(|c| !described::is_time(self.table, all.field(*c).name()));
        let place = |column: &usize| match column.checked_sub(in_files) {
            Some(partition) => columns.len() + partition,
            None => columns.iter().position(|c| c == column).unwrap_or_default(),
        };
        let projection = self.projection.iter().map(place).collect();
        (columns.iter().map(|c| all.fields()[*c].clone()).collect(), projection)
    }
}
