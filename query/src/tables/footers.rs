//! Parquet footers, read and parsed once: files never change. What they say prunes files in later plans, without touching any.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::parquet::file::statistics::Statistics;
use object_store::path::Path;

/// Those that this process read, as many as there is room for.
pub struct Footers(Arc<FileMetadataCache>);

impl Footers {
    pub fn of(state: &dyn Session) -> Self {
        Self(state.runtime_env().cache_manager.get_file_metadata_cache())
    }

    /// What reads files of a store with them.
    pub fn reader(
        &self,
        state: &dyn Session,
        store: &ObjectStoreUrl,
    ) -> Result<CachedParquetFileReaderFactory> {
        let store = state.runtime_env().object_store(store)?;
        Ok(CachedParquetFileReaderFactory::new(store, self.0.clone()))
    }

    /// Whether a flag is set in any row of a file; `None` where its footer does not say, or was not read.
    pub fn any(&self, file: &Path, flag: &str) -> Option<bool> {
        let footer = self.0.get(file)?.file_metadata;
        let footer = footer.as_any().downcast_ref::<CachedParquetMetaData>()?.parquet_metadata();
        footer.row_groups().iter().try_fold(false, |any, row_group| {
            let column = row_group.columns().iter().find(|c| c.column_path().string() == flag)?;
            match column.statistics()? {
                Statistics::Boolean(values) => Some(any || *values.max_opt()?),
                _ => None,
            }
        })
    }
}
