//! One column chunk of a keyword: a dictionary page, and pages of numbers into it.
//!
//! The rows come as numbers into a dictionary already, which is all that Parquet wants; the Arrow writer would look each row's
//! text up by its hash, and compare it for the statistics.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, LevelHistogram, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::gather::NO_WORD;
use super::rle;

/// In place of the number that a word gets in the file: none yet.
const UNUSED: u32 = u32::MAX;
/// Longer words tell nothing that a footer should be larger for.
const STATISTICS_BYTES_MAX: usize = 64;

/// The encoded chunk, and what the file's footer says of it.
pub struct KeywordChunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

/// Encodes the rows `numbers` into `words`, [`NO_WORD`] where there is none. `None` where the words that they use take more
/// than `dictionary_bytes_max`: such a column does not repeat enough.
pub fn encode(
    column: &ColumnDescPtr,
    numbers: &[i32],
    words: &[&str],
    properties: &WriterProperties,
    dictionary_bytes_max: usize,
) -> Result<Option<KeywordChunk>> {
    let Some(dictionary) = Dictionary::of(numbers, words, dictionary_bytes_max) else { return Ok(None) };
    let mut chunk = Chunk::begin(column, properties)?;
    chunk.dictionary(&dictionary)?;
    let bit_width = (u32::BITS - (dictionary.used.len() as u32).saturating_sub(1).leading_zeros()) as u8;
    for rows in numbers.chunks(properties.data_page_row_count_limit()) {
        chunk.page(rows, &dictionary, bit_width)?;
    }
    chunk.finish(&dictionary).map(Some)
}

/// The words that the rows use, in the order in which they come.
struct Dictionary<'a> {
    used: Vec<&'a str>,
    /// Of each word: its number in the file, or [`UNUSED`].
    number_of: Vec<u32>,
    nulls: u64,
    /// Bytes of the rows' text, were it written out.
    text_bytes: i64,
}

impl<'a> Dictionary<'a> {
    fn of(numbers: &[i32], words: &[&'a str], bytes_max: usize) -> Option<Self> {
        let mut dictionary =
            Self { used: Vec::new(), number_of: vec![UNUSED; words.len()], nulls: 0, text_bytes: 0 };
        let mut bytes = 0;
        for number in numbers {
            if *number == NO_WORD {
                dictionary.nulls += 1;
                continue;
            }
            let (word, slot) = (words[*number as usize], &mut dictionary.number_of[*number as usize]);
            dictionary.text_bytes += word.len() as i64;
            if *slot == UNUSED {
                *slot = dictionary.used.len() as u32;
                dictionary.used.push(word);
                bytes += size_of::<u32>() + word.len();
                if bytes > bytes_max {
                    return None;
                }
            }
        }
        Some(dictionary)
    }
}

/// A chunk under construction.
struct Chunk<'a> {
    column: &'a ColumnDescPtr,
    compression: Compression,
    compressor: zstd::bulk::Compressor<'static>,
    out: TrackedWrite<Vec<u8>>,
    uncompressed_bytes: i64,
    offsets: OffsetIndexBuilder,
    data_pages: i32,
    data_page_offset: i64,
    rows: u64,
    // Used again from page to page.
    page: Vec<u8>,
    levels: Vec<u32>,
    indices: Vec<u32>,
}

impl<'a> Chunk<'a> {
    fn begin(column: &'a ColumnDescPtr, properties: &WriterProperties) -> Result<Self> {
        let compression = properties.compression(column.path());
        let Compression::ZSTD(level) = compression else {
            return Err(ParquetError::NYI(format!("keywords compressed by {compression}")));
        };
        Ok(Self {
            column,
            compression,
            compressor: zstd::bulk::Compressor::new(level.compression_level())?,
            out: TrackedWrite::new(Vec::new()),
            uncompressed_bytes: 0,
            offsets: OffsetIndexBuilder::new(),
            data_pages: 0,
            data_page_offset: 0,
            rows: 0,
            page: Vec::new(),
            levels: Vec::new(),
            indices: Vec::new(),
        })
    }

    fn dictionary(&mut self, dictionary: &Dictionary<'_>) -> Result<()> {
        for word in &dictionary.used {
            self.page.extend_from_slice(&(word.len() as u32).to_le_bytes());
            self.page.extend_from_slice(word.as_bytes());
        }
        let num_values = dictionary.used.len() as u32;
        self.write(|buf| Page::DictionaryPage {
            buf,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        })?;
        self.data_page_offset = self.out.bytes_written() as i64;
        Ok(())
    }

    fn page(&mut self, rows: &[i32], dictionary: &Dictionary<'_>, bit_width: u8) -> Result<()> {
        self.page.clear();
        self.indices.clear();
        if self.column.max_def_level() > 0 {
            self.levels.clear();
            self.levels.extend(rows.iter().map(|number| u32::from(*number != NO_WORD)));
            let begin = self.page.len();
            self.page.extend_from_slice(&[0; size_of::<u32>()]);
            rle::encode(&self.levels, 1, &mut self.page);
            let bytes = (self.page.len() - begin - size_of::<u32>()) as u32;
            self.page[begin..begin + size_of::<u32>()].copy_from_slice(&bytes.to_le_bytes());
        }
        let present = rows.iter().filter(|number| **number != NO_WORD);
        self.indices.extend(present.map(|number| dictionary.number_of[*number as usize]));
        self.page.push(bit_width);
        rle::encode(&self.indices, bit_width, &mut self.page);
        let num_values = rows.len() as u32;
        let (offset, bytes) = self.write(|buf| Page::DataPage {
            buf,
            num_values,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        self.offsets.append_offset_and_size(offset, bytes);
        self.offsets.append_row_count(rows.len() as i64);
        self.offsets.append_unencoded_byte_array_data_bytes(None);
        self.data_pages += 1;
        self.rows += rows.len() as u64;
        Ok(())
    }

    /// Writes the page that was put together, and answers where it is and its bytes with its header.
    fn write(&mut self, page: impl FnOnce(Bytes) -> Page) -> Result<(i64, i32)> {
        let compressed = self.compressor.compress(&self.page)?;
        let page = CompressedPage::new(page(compressed.into()), self.page.len());
        let written = SerializedPageWriter::new(&mut self.out).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size as i64;
        Ok((written.offset as i64, written.compressed_size as i32))
    }

    fn finish(self, dictionary: &Dictionary<'_>) -> Result<KeywordChunk> {
        let bytes: Bytes = self.out.into_inner()?.into();
        let range = (dictionary.used.iter().min(), dictionary.used.iter().max());
        let range = match range {
            (Some(min), Some(max)) if min.len().max(max.len()) <= STATISTICS_BYTES_MAX => Some((*min, *max)),
            _ => None,
        };
        let statistics = ValueStatistics::<ByteArray>::new(
            range.map(|(min, _)| min.into()),
            range.map(|(_, max)| max.into()),
            None,
            Some(dictionary.nulls),
            false,
        );
        let mut histogram = LevelHistogram::try_new(self.column.max_def_level());
        if let Some(histogram) = &mut histogram {
            histogram.increment_by(0, dictionary.nulls as i64);
            histogram.increment_by(1, (self.rows - dictionary.nulls) as i64);
        }
        let pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(self.compression)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_page_encoding_stats(vec![
                pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                pages(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.data_pages),
            ])
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes)
            .set_num_values(self.rows as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(self.data_page_offset)
            .set_statistics(Statistics::ByteArray(statistics))
            .set_unencoded_byte_array_data_bytes(Some(dictionary.text_bytes))
            .set_definition_level_histogram(histogram)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.offsets.build()),
        };
        Ok(KeywordChunk { bytes, close })
    }
}
