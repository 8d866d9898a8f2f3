//! One column chunk of a file, written page by page: values that are there already go from where they lie into a page, and are
//! compressed by a context that all columns share, or not at all where that makes them hardly smaller: readers have a zstd context
//! for each column that is compressed, and to make it takes them longer than a page of a keyword.
//!
//! Parquet's Arrow writer copies a column several times and takes a zstd context for each; it stays in use for structs in lists.

mod compressor;
mod delta;
pub mod keywords;
pub mod lists;
pub mod numbers;
mod page_index;
mod rle;
pub mod texts;

use arrow::buffer::NullBuffer;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use compressor::Compressor;
pub use compressor::Compressors;
use page_index::PageIndex;

/// A chunk is compressed where that takes off at least one of so many parts: its dictionary and its first page tell.
const SAVED_MIN: usize = 16;
/// Room that is made for a chunk when its first page tells how large it may get. Few are larger.
const ROOM_MAX: usize = 4 << 20;
/// Longer texts tell nothing that a footer should be larger for.
const STATISTICS_BYTES_MAX: usize = 64;

/// The encoded chunk, and what the file's footer says of it.
pub struct Chunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

/// What is known of the values of a chunk or page.
#[derive(Debug, Clone, Copy)]
struct Range<V> {
    min: V,
    max: V,
}

/// A chunk under construction.
struct ChunkWriter<'a> {
    column: &'a ColumnDescPtr,
    compressor: &'a mut Compressor,
    compression: Compression,
    /// The page of a dictionary, and its words, until the first data page tells whether they are compressed.
    dictionary: Option<(Vec<u8>, u32)>,
    out: TrackedWrite<Vec<u8>>,
    uncompressed_bytes: i64,
    offsets: OffsetIndexBuilder,
    /// Of columns that a reader finds pages by.
    index: Option<PageIndex>,
    has_dictionary: bool,
    encoding: Encoding,
    rows_expected: usize,
    data_pages: i32,
    data_page_offset: i64,
    rows: u64,
    /// Levels in all pages, of which some have no value; as many as rows, but for those of lists.
    entries: u64,
    nulls: u64,
    /// The page that is put together; used again from one to the next, as are the levels.
    page: Vec<u8>,
    /// Where in it the values begin, behind levels and lengths; and how many levels it has.
    body: usize,
    page_entries: u32,
    levels: Vec<u32>,
}

impl<'a> ChunkWriter<'a> {
    fn begin(
        column: &'a ColumnDescPtr,
        rows: usize,
        encoding: Encoding,
        compressor: &'a mut Compressor,
        properties: &WriterProperties,
    ) -> Self {
        let is_indexed = properties.statistics_enabled(column.path()) == EnabledStatistics::Page;
        Self {
            column,
            compressor,
            compression: Compression::ZSTD(ZstdLevel::default()),
            dictionary: None,
            out: TrackedWrite::new(Vec::new()),
            uncompressed_bytes: 0,
            offsets: OffsetIndexBuilder::new(),
            index: is_indexed.then(|| PageIndex::new(column)),
            has_dictionary: false,
            encoding,
            rows_expected: rows,
            data_pages: 0,
            data_page_offset: 0,
            rows: 0,
            entries: 0,
            nulls: 0,
            page: Vec::new(),
            body: 0,
            page_entries: 0,
            levels: Vec::new(),
        }
    }

    /// Ends the dictionary's page, which was put into `page`.
    fn dictionary(&mut self, words: usize) {
        self.dictionary = Some((std::mem::take(&mut self.page), words as u32));
        self.has_dictionary = true;
    }

    /// Begins a data page with the levels of its rows, of which `levels` says for each whether it has a value; `None`: all have.
    fn begin_page(&mut self, rows: usize, has_nulls: bool) {
        self.page.clear();
        let mut values = rows;
        if self.column.max_def_level() > 0 {
            if has_nulls {
                values = self.levels.iter().map(|level| *level as usize).sum();
                put_levels(&mut self.page, |page| rle::encode(&self.levels, 1, page));
            } else {
                put_levels(&mut self.page, |page| rle::encode_run(1, rows, 1, page));
            }
        }
        self.page_of(rows, rows, values);
    }

    /// Begins a data page of lists in so many rows, with so many values; `repeated` and `levels` say of each entry to which row
    /// it belongs and how far it is there.
    fn begin_page_of_lists(&mut self, rows: usize, values: usize, repeated: &[u32]) {
        self.page.clear();
        let bit_width = |max: i16| rle::bit_width(max as usize + 1);
        let (repetition, definition) = (self.column.max_rep_level(), self.column.max_def_level());
        put_levels(&mut self.page, |page| rle::encode(repeated, bit_width(repetition), page));
        put_levels(&mut self.page, |page| rle::encode(&self.levels, bit_width(definition), page));
        self.page_of(rows, repeated.len(), values);
    }

    fn page_of(&mut self, rows: usize, entries: usize, values: usize) {
        self.body = self.page.len();
        self.page_entries = entries as u32;
        self.rows += rows as u64;
        self.entries += entries as u64;
        self.nulls += (entries - values) as u64;
    }

    /// Begins a data page of these rows, and calls `put` for each that has a value.
    fn begin_page_of(&mut self, rows: &[u32], nulls: Option<&NullBuffer>, mut put: impl FnMut(usize)) {
        self.levels.clear();
        match nulls {
            None => rows.iter().for_each(|row| put(*row as usize)),
            Some(nulls) => self.levels.extend(rows.iter().map(|row| {
                let is_valid = nulls.is_valid(*row as usize);
                if is_valid {
                    put(*row as usize);
                }
                u32::from(is_valid)
            })),
        }
        self.begin_page(rows.len(), nulls.is_some());
    }

    /// Ends the data page; `range` is that of its values as Parquet spells them, for columns whose pages are found by it.
    fn end_page(&mut self, rows: usize, range: Option<Range<&[u8]>>) -> Result<()> {
        let (num_values, encoding) = (self.page_entries, self.encoding);
        let page = std::mem::take(&mut self.page);
        let compressed = match self.compression {
            _ if self.data_pages == 0 => self.begin_data(&page)?,
            Compression::UNCOMPRESSED => Vec::new(),
            _ => self.compressor.compress(&page, self.body)?,
        };
        let (offset, bytes) = self.write(&page, compressed, |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        if self.data_pages == 0 {
            // Room for the others at once.
            let others = self.rows_expected.div_ceil(rows.max(1)).saturating_sub(1);
            let each = bytes as usize + bytes as usize / 16;
            self.out.inner_mut().reserve_exact(others.saturating_mul(each).min(ROOM_MAX));
        }
        self.offsets.append_offset_and_size(offset, bytes);
        self.offsets.append_row_count(rows as i64);
        self.offsets.append_unencoded_byte_array_data_bytes(None);
        if let Some(index) = &mut self.index {
            index.append(range, self.nulls);
        }
        self.data_pages += 1;
        self.page = page;
        Ok(())
    }

    /// Decides whether the chunk is compressed, writes the dictionary, and answers the first data page compressed.
    fn begin_data(&mut self, first: &[u8]) -> Result<Vec<u8>> {
        let compressed = self.compressor.compress(first, self.body)?;
        let (mut before, mut after) = (first.len(), compressed.len());
        let dictionary = match self.dictionary.take() {
            Some((words, count)) => {
                let compressed = self.compressor.compress(&words, 0)?;
                before += words.len();
                after += compressed.len();
                Some((words, compressed, count))
            }
            None => None,
        };
        if after > before - before / SAVED_MIN {
            self.compression = Compression::UNCOMPRESSED;
        }
        if let Some((words, compressed, num_values)) = dictionary {
            let encoding = Encoding::PLAIN;
            let page = |buf| Page::DictionaryPage { buf, num_values, encoding, is_sorted: false };
            self.write(&words, compressed, page)?;
            self.data_page_offset = self.out.bytes_written() as i64;
        }
        Ok(compressed)
    }

    /// Writes a page, and answers where it is and its bytes with its header.
    fn write(
        &mut self,
        bytes: &[u8],
        compressed: Vec<u8>,
        page: impl FnOnce(Bytes) -> Page,
    ) -> Result<(i64, i32)> {
        let is_compressed = self.compression != Compression::UNCOMPRESSED;
        let written = if is_compressed { compressed } else { bytes.to_vec() };
        let page = CompressedPage::new(page(written.into()), bytes.len());
        let written = SerializedPageWriter::new(&mut self.out).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size as i64;
        Ok((written.offset as i64, written.compressed_size as i32))
    }

    /// `statistics` of the values, told how many nulls there are.
    fn finish(self, statistics: impl FnOnce(u64) -> Option<Statistics>) -> Result<Chunk> {
        let bytes: Bytes = self.out.into_inner()?.into();
        let is_flat = self.column.max_rep_level() == 0;
        let mut histogram = is_flat.then(|| LevelHistogram::try_new(self.column.max_def_level())).flatten();
        if let Some(histogram) = &mut histogram {
            histogram.increment_by(0, self.nulls as i64);
            histogram.increment_by(1, (self.rows - self.nulls) as i64);
        }
        let pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let mut page_encodings = vec![pages(PageType::DATA_PAGE, self.encoding, self.data_pages)];
        if self.has_dictionary {
            encodings.push(Encoding::PLAIN);
            page_encodings.push(pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(self.compression)
            .set_encodings(encodings)
            .set_page_encoding_stats(page_encodings)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes)
            .set_num_values(self.entries as i64)
            .set_dictionary_page_offset(self.has_dictionary.then_some(0))
            .set_data_page_offset(self.data_page_offset)
            .set_definition_level_histogram(histogram);
        if let Some(statistics) = statistics(self.nulls) {
            metadata = metadata.set_statistics(statistics);
        }
        let column_index = self.index.and_then(PageIndex::finish);
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: column_index.map(ColumnIndexBuilder::build).transpose()?,
            offset_index: Some(self.offsets.build()),
        };
        Ok(Chunk { bytes, close })
    }
}

/// Puts levels into a page, behind their length in bytes.
fn put_levels(page: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let length = page.len();
    page.extend_from_slice(&[0; size_of::<u32>()]);
    let begin = page.len();
    encode(page);
    let bytes = (page.len() - begin) as u32;
    page[length..begin].copy_from_slice(&bytes.to_le_bytes());
}

fn unexpected(column: &ColumnDescPtr, what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("column {}: {what}", column.path()))
}
