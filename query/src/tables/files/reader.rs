//! How DataFusion gets at the bytes of a file: the store reads them, checks them, and keeps footers for whoever asks next.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use plimsoll_store::lake::Object;

/// Of files that are described with their [`Object`].
#[derive(Debug)]
pub struct Readers;

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(object) = file.extension::<Object>().cloned() else {
            return internal_err!("{} was described without where it is", file.object_meta.location);
        };
        let metrics = ParquetFileMetrics::new(partition_index, object.name(), metrics);
        Ok(Box::new(Reader { object, metrics }))
    }
}

/// Of one file.
struct Reader {
    object: Object,
    metrics: ParquetFileMetrics,
}

impl Reader {
    fn scanned(&self, range: &Range<u64>) {
        self.metrics.bytes_scanned.add((range.end - range.start) as usize);
    }
}

/// DataFusion does not say of which file it is.
fn of_file(name: String) -> impl FnOnce(ParquetError) -> ParquetError {
    move |error| match error {
        ParquetError::General(problem) => ParquetError::General(format!("{name}: {problem}")),
        other => ParquetError::General(format!("{name}: {other}")),
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.scanned(&range);
        let name = self.object.context();
        self.object.get_bytes(range).map(|read| read.map_err(of_file(name))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        ranges.iter().for_each(|range| self.scanned(range));
        let name = self.object.context();
        self.object.get_byte_ranges(ranges).map(|read| read.map_err(of_file(name))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let name = self.object.context();
        self.object.get_metadata(options).map(|read| read.map_err(of_file(name))).boxed()
    }
}
