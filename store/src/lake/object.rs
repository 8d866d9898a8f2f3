//! One data file of a home, as the readers of Parquet want it: parts of it, many at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use plimsoll_schemas::table::Table;

use crate::error::StoreError;
use crate::home::{Home, path};

/// What is read at once from the end of a file: its footer and page index, as a rule.
const FOOTER_BYTES: usize = 64 << 10;

/// See the module's description.
#[derive(Debug, Clone)]
pub struct Object {
    home: Home,
    objects: Arc<dyn ObjectStore>,
    path: ObjectPath,
    bytes: u64,
}

impl Object {
    /// `within` is its path relative to the table's folder, as in the Delta log.
    pub fn new(home: &Home, table: Table, within: &str, bytes: u64) -> std::result::Result<Self, StoreError> {
        let name = format!("{}/{within}", table.as_str());
        let path = path(&name).map_err(home.error(&name))?;
        Ok(Self { home: home.clone(), objects: home.objects(), path, bytes })
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Within the home.
    pub fn name(&self) -> &str {
        self.path.as_ref()
    }

    /// How messages name it.
    pub fn context(&self) -> String {
        self.home.name(self.name()).display().to_string()
    }
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let got = self.objects.get_range(&self.path, range);
        got.map(|bytes| bytes.map_err(|e| ParquetError::External(e.into()))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        let got = async move { self.objects.get_ranges(&self.path, &ranges).await };
        got.map(|bytes| bytes.map_err(|e| ParquetError::External(e.into()))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let bytes = self.bytes;
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        async move { reader.load_and_finish(self, bytes).await.map(Arc::new) }.boxed()
    }
}
