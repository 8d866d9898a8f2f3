//! Columns of one row group, decoded a page at a time. What is compressed goes through one zstd context for all of
//! a thread's columns: Parquet's own readers make one for each, which takes longer than to decompress a page of most columns, and
//! a hundred kilobytes, of which a merge of forty files would have thousands at once.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::parquet_to_arrow_field_levels;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::object::{Object, impossible};

/// Of a column of which all rows are wanted, a page is read at a time, in a folder, and small ones up to a multiple of that: of
/// forty files that are merged little is in memory then. A bucket is asked for all of them together.
const WINDOW_BYTES: u64 = 4 << 10;

thread_local! {
    static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Some columns of a row group, or of some rows of it the pages that have them.
pub struct Group {
    metadata: Arc<ParquetMetaData>,
    at: usize,
    /// By the numbers of leaves; `None` for those that were not asked for.
    chunks: Vec<Option<Arc<Chunk>>>,
    /// Written here, so that frames are as they are written here.
    is_ours: bool,
}

impl Group {
    pub async fn read(
        object: &mut Object,
        metadata: &Arc<ParquetMetaData>,
        at: usize,
        columns: &ProjectionMask,
        rows: Option<&RowSelection>,
    ) -> Result<Self> {
        let group = metadata.row_group(at);
        let mut chunks: Vec<Option<Chunk>> = (0..group.num_columns()).map(|_| None).collect();
        let (mut ranges, mut pieces_of) = (Vec::new(), Vec::new());
        for leaf in (0..group.num_columns()).filter(|leaf| columns.leaf_included(*leaf)) {
            let (begin, bytes) = group.column(leaf).byte_range();
            chunks[leaf] = Some(Chunk::of(object, begin..begin + bytes));
            let before = ranges.len();
            match (rows, pages(metadata, at, leaf)) {
                (Some(rows), Some(pages)) => {
                    let first = pages.first().map_or(begin, |page| page.offset.unsigned_abs());
                    // The dictionary, if there is one.
                    ranges.extend((begin < first).then_some(begin..first));
                    ranges.extend(rows.scan_ranges(pages));
                }
                (None, Some(_)) if object.home().folder().is_some() => {}
                _ => ranges.push(begin..begin + bytes),
            }
            pieces_of.push((leaf, ranges.len() - before));
        }
        let begins: Vec<u64> = ranges.iter().map(|range: &Range<u64>| range.start).collect();
        let mut pieces = begins.into_iter().zip(object.read(ranges).await?);
        for (leaf, count) in pieces_of {
            chunks[leaf].iter_mut().for_each(|chunk| chunk.ahead = pieces.by_ref().take(count).collect());
        }
        let chunks = chunks.into_iter().map(|chunk| chunk.map(Arc::new)).collect();
        Ok(Self { metadata: metadata.clone(), at, chunks, is_ours: object.is_checked() })
    }

    /// The rows, or those selected: no more than these of which pages were read.
    pub fn batches(
        &self,
        footer: &ArrowReaderMetadata,
        columns: ProjectionMask,
        batch_rows: usize,
        rows: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader> {
        let hint = Some(footer.schema().fields());
        let levels = parquet_to_arrow_field_levels(footer.parquet_schema(), columns, hint)?;
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, self, batch_rows, rows)
    }

    fn group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.at)
    }
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.group().num_rows()).unwrap_or_default()
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.chunks.get(leaf).cloned().flatten().ok_or_else(impossible)?;
        let column = self.group().column(leaf);
        let pages = pages(&self.metadata, self.at, leaf).map(<[PageLocation]>::to_vec);
        let is_zstd = self.is_ours && matches!(column.compression(), Compression::ZSTD(_));
        let pages = match is_zstd {
            false => Pages {
                inner: SerializedPageReader::new(chunk, column, self.num_rows(), pages)?,
                plain_bytes_max: None,
            },
            true => {
                // They come as they lie there.
                let plain =
                    column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
                let inner = SerializedPageReader::new(chunk, &plain, self.num_rows(), pages)?;
                Pages { inner, plain_bytes_max: Some(column.uncompressed_size().unsigned_abs()) }
            }
        };
        Ok(Box::new(Once(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// Where the pages of a column lie, as far as the file says.
fn pages(metadata: &ParquetMetaData, group: usize, leaf: usize) -> Option<&[PageLocation]> {
    let pages = metadata.offset_index()?.get(group)?.get(leaf)?.page_locations();
    (!pages.is_empty()).then_some(pages)
}

/// A column's bytes, by where in the file they are.
#[derive(Debug)]
struct Chunk {
    /// What was read, with where it begins; in that order.
    ahead: Vec<(u64, Bytes)>,
    /// The rest is read as it is wanted. Where many single rows are, the library decodes those between them too, and so pages of which
    /// no row was asked for.
    rest: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    object: Object,
    /// Of the column.
    end: u64,
    /// What is here, with where it begins.
    read: (u64, Bytes),
}

impl Window {
    /// At least so many bytes from a place on.
    fn from(&mut self, begin: u64, bytes: usize) -> Result<Bytes> {
        if let Some(here) = from(std::slice::from_ref(&self.read), begin, bytes) {
            return Ok(here);
        }
        let end = (begin + bytes as u64).max((begin + 1).next_multiple_of(WINDOW_BYTES)).min(self.end);
        let home = self.object.home().clone();
        let read = home.wait(self.object.get_bytes(begin..end))?;
        // A page that ends it is not asked for again.
        self.read = (begin, if read.len() > bytes { read.clone() } else { Bytes::new() });
        Ok(read)
    }
}

impl Chunk {
    fn of(object: &Object, range: Range<u64>) -> Self {
        let rest = Window { object: object.clone(), end: range.end, read: (range.start, Bytes::new()) };
        Self { ahead: Vec::new(), rest: Mutex::new(rest) }
    }

    fn from(&self, begin: u64, bytes: usize) -> Result<Bytes> {
        from(&self.ahead, begin, bytes).map_or_else(|| self.rest.lock().from(begin, bytes), Ok)
    }
}

/// What is there from a place in the file on, as far as it lies side by side: at least so many bytes.
fn from(pieces: &[(u64, Bytes)], begin: u64, bytes: usize) -> Option<Bytes> {
    let after = pieces.partition_point(|(at, _)| *at <= begin);
    let (at, here) = &pieces[after.checked_sub(1)?];
    let skip = usize::try_from(begin - at).ok()?;
    (here.len() >= skip.checked_add(bytes.max(1))?).then(|| here.slice(skip..))
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.rest.lock().end
    }
}

impl ChunkReader for Chunk {
    type T = Reader<Bytes>;

    fn get_read(&self, begin: u64) -> Result<Self::T> {
        Ok(self.from(begin, 0)?.reader())
    }

    fn get_bytes(&self, begin: u64, bytes: usize) -> Result<Bytes> {
        let from = self.from(begin, bytes)?;
        if bytes > from.len() {
            return Err(impossible());
        }
        Ok(from.slice(..bytes))
    }
}

/// One column's pages.
struct Pages {
    inner: SerializedPageReader<Chunk>,
    /// Of what comes compressed; `None` where nothing does, or the library decompresses it.
    plain_bytes_max: Option<u64>,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        match (self.inner.get_next_page()?, self.plain_bytes_max) {
            (Some(page), Some(bytes_max)) => decompressed(page, bytes_max).map(Some),
            (page, _) => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// The only row group's.
struct Once(Option<Pages>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Once {}

fn decompressed(page: Page, bytes_max: u64) -> Result<Page> {
    Ok(match page {
        Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
            let buf = plain(&buf, bytes_max)?;
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
        }
        Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
            Page::DictionaryPage { buf: plain(&buf, bytes_max)?, num_values, encoding, is_sorted }
        }
        // Nobody writes these here.
        Page::DataPageV2 { .. } => return Err(impossible()),
    })
}

fn plain(frame: &[u8], bytes_max: u64) -> Result<Bytes> {
    let bytes = get_frame_content_size(frame).ok().flatten().filter(|bytes| *bytes <= bytes_max);
    let bytes = usize::try_from(bytes.ok_or_else(impossible)?)?;
    ZSTD.with_borrow_mut(|zstd| {
        let zstd = match zstd {
            Some(zstd) => zstd,
            None => zstd.insert(Decompressor::new()?),
        };
        let plain = zstd.decompress(frame, bytes)?;
        if plain.len() == bytes { Ok(plain.into()) } else { Err(impossible()) }
    })
}
