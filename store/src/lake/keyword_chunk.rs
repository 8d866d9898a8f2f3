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

use super::gather::{Keywords, NO_WORD};
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

/// Encodes these rows of a column. `None` where the words that they use take more than `dictionary_bytes_max`: such a column
/// does not repeat enough.
pub fn encode(
    column: &ColumnDescPtr,
    keywords: &Keywords<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    dictionary_bytes_max: usize,
) -> Result<Option<KeywordChunk>> {
    let Some(dictionary) = Dictionary::of(keywords, rows, dictionary_bytes_max) else { return Ok(None) };
    let mut chunk = Chunk::begin(column, properties)?;
    chunk.dictionary(&dictionary)?;
    for rows in rows.chunks(properties.data_page_row_count_limit()) {
        chunk.page(keywords, &dictionary, rows)?;
    }
    chunk.finish(&dictionary).map(Some)
}

/// The words that the rows use.
struct Dictionary<'a> {
    words: Vec<&'a str>,
    /// Of each word of the column: its number in the file, or [`UNUSED`]. `None`: it is the same.
    number_of: Option<Vec<u32>>,
}

impl<'a> Dictionary<'a> {
    fn of(keywords: &Keywords<'a>, rows: &[u32], bytes_max: usize) -> Option<Self> {
        let bytes = |words: &[&str]| words.iter().map(|word| size_of::<u32>() + word.len()).sum::<usize>();
        // Where all rows go into one file they are as they are.
        let numbers = keywords.numbers.as_ref().filter(|numbers| numbers.len() != rows.len());
        let dictionary = match numbers {
            None => Self { words: keywords.words.clone(), number_of: None },
            Some(numbers) => {
                let (mut words, mut number_of) = (Vec::new(), vec![UNUSED; keywords.words.len()]);
                for number in rows.iter().map(|row| numbers[*row as usize]).filter(|n| *n != NO_WORD) {
                    let slot = &mut number_of[number as usize];
                    if *slot == UNUSED {
                        *slot = words.len() as u32;
                        words.push(keywords.words[number as usize]);
                    }
                }
                Self { words, number_of: Some(number_of) }
            }
        };
        (bytes(&dictionary.words) <= bytes_max).then_some(dictionary)
    }

    fn bit_width(&self) -> u8 {
        (u32::BITS - (self.words.len() as u32).saturating_sub(1).leading_zeros()) as u8
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
    nulls: u64,
    /// Of each word of the dictionary, whether a row has it.
    used: Vec<bool>,
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
            nulls: 0,
            used: Vec::new(),
            page: Vec::new(),
            levels: Vec::new(),
            indices: Vec::new(),
        })
    }

    fn dictionary(&mut self, dictionary: &Dictionary<'_>) -> Result<()> {
        for word in &dictionary.words {
            self.page.extend_from_slice(&(word.len() as u32).to_le_bytes());
            self.page.extend_from_slice(word.as_bytes());
        }
        self.used.resize(dictionary.words.len(), false);
        let num_values = dictionary.words.len() as u32;
        self.write(|buf| Page::DictionaryPage {
            buf,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        })?;
        self.data_page_offset = self.out.bytes_written() as i64;
        Ok(())
    }

    fn page(&mut self, keywords: &Keywords<'_>, dictionary: &Dictionary<'_>, rows: &[u32]) -> Result<()> {
        self.page.clear();
        self.indices.clear();
        self.levels.clear();
        match &keywords.numbers {
            None => self.indices.resize(rows.len(), 0),
            Some(numbers) => {
                for row in rows {
                    let number = numbers[*row as usize];
                    self.levels.push(u32::from(number != NO_WORD));
                    if number != NO_WORD {
                        self.indices.push(number as u32);
                    }
                }
            }
        }
        if let Some(number_of) = &dictionary.number_of {
            self.indices.iter_mut().for_each(|number| *number = number_of[*number as usize]);
        }
        self.indices.iter().for_each(|number| self.used[*number as usize] = true);
        if self.column.max_def_level() > 0 {
            let begin = self.page.len();
            self.page.extend_from_slice(&[0; size_of::<u32>()]);
            if self.indices.len() == rows.len() {
                rle::encode_run(1, rows.len(), 1, &mut self.page);
            } else {
                rle::encode(&self.levels, 1, &mut self.page);
            }
            let bytes = (self.page.len() - begin - size_of::<u32>()) as u32;
            self.page[begin..begin + size_of::<u32>()].copy_from_slice(&bytes.to_le_bytes());
        }
        let bit_width = dictionary.bit_width();
        self.page.push(bit_width);
        rle::encode(&self.indices, bit_width, &mut self.page);
        self.nulls += (rows.len() - self.indices.len()) as u64;
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
        let used = || dictionary.words.iter().zip(&self.used).filter_map(|(word, used)| used.then_some(word));
        let range = match (used().min(), used().max()) {
            (Some(min), Some(max)) if min.len().max(max.len()) <= STATISTICS_BYTES_MAX => Some((*min, *max)),
            _ => None,
        };
        let statistics = ValueStatistics::<ByteArray>::new(
            range.map(|(min, _)| min.into()),
            range.map(|(_, max)| max.into()),
            None,
            Some(self.nulls),
            false,
        );
        let mut histogram = LevelHistogram::try_new(self.column.max_def_level());
        if let Some(histogram) = &mut histogram {
            histogram.increment_by(0, self.nulls as i64);
            histogram.increment_by(1, (self.rows - self.nulls) as i64);
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
