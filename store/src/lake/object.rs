//! One data file of a home, as the readers of Parquet want it: parts of it, many at once.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use plimsoll_schemas::table::Table;

use super::checksums::Tail;
use super::footers::Footer;
use crate::error::StoreError;
use crate::home::{Home, path};

/// What is read at once from the end of a file of which nobody says how long its footer and page index are.
const FOOTER_BYTES: usize = 64 << 10;

/// See the module's description. What was written here is checked as it is read (see [`super::checksums`]).
#[derive(Debug, Clone)]
pub struct Object {
    home: Home,
    objects: Arc<dyn ObjectStore>,
    path: ObjectPath,
    bytes: u64,
    tail: Option<Tail>,
    /// Once it was asked for.
    footer: Option<Footer>,
}

impl Object {
    /// `within` is its path relative to the table's folder, as in the Delta log.
    pub fn new(
        home: &Home,
        table: Table,
        within: &str,
        bytes: u64,
        tail: Option<Tail>,
    ) -> std::result::Result<Self, StoreError> {
        let name = format!("{}/{within}", table.as_str());
        let path = path(&name).map_err(home.error(&name))?;
        Ok(Self { home: home.clone(), objects: home.objects(), path, bytes, tail, footer: None })
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

    /// Whether damage to any of its bytes is noticed.
    pub fn is_checked(&self) -> bool {
        self.tail.is_some()
    }

    pub(super) fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Its footer and page index, from memory where they are there; they are kept for who comes next.
    pub(super) async fn footer(&mut self) -> Result<Footer> {
        if self.footer.is_none() {
            self.footer = Some(self.home.footers().get(self).await?);
        }
        self.footer_once().await
    }

    /// The same, for who is likely to be the last that reads it: not kept.
    pub(super) async fn footer_once(&mut self) -> Result<Footer> {
        let footer = match self.footer.take() {
            Some(footer) => footer,
            None => self.read_footer().await?,
        };
        Ok(self.footer.insert(footer).clone())
    }

    pub(super) async fn read_footer(&self) -> Result<Footer> {
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        // The library takes some damage for a defect of its own, and panics.
        let parsed = AssertUnwindSafe(async {
            let Some(tail) = self.tail else {
                let reader = reader.with_prefetch_hint(Some(FOOTER_BYTES));
                return Footer::of(reader.load_and_finish(Unchecked(self), self.bytes).await?);
            };
            let bytes = Unchecked(self).fetch(self.bytes.saturating_sub(tail.bytes)..self.bytes).await?;
            tail.check(&bytes)?;
            reader.try_parse_sized(&bytes, self.bytes)?;
            Footer::of(reader.finish()?)
        });
        parsed.catch_unwind().await.unwrap_or_else(|_| Err(impossible()))
    }

    pub(super) async fn read(&mut self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let Some(blocks) = self.footer().await?.blocks else { return Unchecked(self).ranges(&ranges).await };
        let around: Vec<_> = ranges.iter().map(|range| blocks.around(range)).collect();
        let read = Unchecked(self).ranges(&around).await?;
        ranges.iter().zip(read).map(|(range, read)| blocks.checked(range, read)).collect()
    }
}

/// What a file that is damaged, and has no checksums, makes the library do.
pub(super) fn impossible() -> ParquetError {
    ParquetError::General("damaged: what it says of itself cannot be".to_owned())
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { Ok(self.read(vec![range]).await?.remove(0)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.read(ranges).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move { Ok(self.footer().await?.arrow.metadata().clone()) }.boxed()
    }
}

/// The bytes as they lie there.
struct Unchecked<'a>(&'a Object);

impl Unchecked<'_> {
    async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.objects.get_ranges(&self.0.path, ranges).await.map_err(|e| ParquetError::External(e.into()))
    }
}

impl MetadataFetch for Unchecked<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let got = self.0.objects.get_range(&self.0.path, range);
        got.map(|bytes| bytes.map_err(|e| ParquetError::External(e.into()))).boxed()
    }
}
