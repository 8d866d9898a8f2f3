//! Texts that hardly repeat, such as ids: their lengths, then their bytes (DELTA_LENGTH_BYTE_ARRAY), so that what is
//! compressed is their characters alone. An id that the row before has too is a repeat at a fixed distance, which costs nearly nothing.

use arrow::array::{Array, BinaryArray};
use arrow::buffer::NullBuffer;
use parquet::basic::Encoding;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::super::gather::{Keywords, NO_WORD, Texts};
use super::{Chunk, ChunkWriter, Compressors, Range, STATISTICS_BYTES_MAX, delta};

/// Encodes these rows of a column.
pub fn encode(
    column: &ColumnDescPtr,
    texts: &Texts<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let source = Source { values: Values::Texts(texts), nulls: texts.nulls() };
    write(column, source, rows, properties, compressors)
}

/// Encodes these rows of a column of bytes.
pub fn encode_bytes(
    column: &ColumnDescPtr,
    array: &BinaryArray,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    write(column, Source { values: Values::Bytes(array), nulls }, rows, properties, compressors)
}

/// Encodes these rows of a column of keywords that repeat too little for a dictionary.
pub fn encode_keywords(
    column: &ColumnDescPtr,
    keywords: &Keywords<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let numbers = keywords.numbers.as_deref();
    let nulls =
        numbers.map(|numbers| numbers.iter().map(|number| *number != NO_WORD).collect::<NullBuffer>());
    let nulls = nulls.as_ref().filter(|nulls| nulls.null_count() > 0);
    let values = Values::Words { words: &keywords.words, numbers };
    write(column, Source { values, nulls }, rows, properties, compressors)
}

fn write(
    column: &ColumnDescPtr,
    source: Source<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let is_id = column.name().ends_with("_id");
    let compressor = if is_id { &mut compressors.fast } else { &mut compressors.thorough };
    let chunk =
        ChunkWriter::begin(column, rows.len(), Encoding::DELTA_LENGTH_BYTE_ARRAY, compressor, properties);
    let statistics = properties.statistics_enabled(column.path());
    let (texts, lengths) = (Vec::new(), Vec::new());
    let mut pages = Pages { chunk, source, statistics, range: None, is_short: true, texts, lengths };
    let (rows_max, bytes_max) = (properties.data_page_row_count_limit(), properties.data_page_size_limit());
    let mut rest = rows;
    while !rest.is_empty() {
        let taken = pages.take(&rest[..rest.len().min(rows_max)], bytes_max);
        pages.end(taken)?;
        rest = &rest[taken..];
    }
    pages.finish()
}

/// Puts texts into a page: their lengths, then their bytes.
pub(super) fn put(chunk: &mut ChunkWriter<'_>, texts: &[&[u8]], lengths: &mut Vec<u32>) {
    lengths.clear();
    lengths.extend(texts.iter().map(|text| text.len() as u32));
    delta::encode(lengths, &mut chunk.page);
    chunk.body = chunk.page.len();
    texts.iter().for_each(|text| chunk.page.extend_from_slice(text));
}

/// Where the texts come from.
struct Source<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

enum Values<'a> {
    Texts(&'a Texts<'a>),
    Bytes(&'a BinaryArray),
    /// Of each row the number of its word; `None`: all have the first.
    Words {
        words: &'a [&'a str],
        numbers: Option<&'a [i32]>,
    },
}

impl<'a> Source<'a> {
    #[inline]
    fn get(&self, row: usize) -> &'a [u8] {
        match self.values {
            Values::Texts(texts) => texts.get(row as u32).as_bytes(),
            Values::Bytes(array) => array.value(row),
            Values::Words { words, numbers } => {
                let word = numbers.map_or(Some(0), |numbers| usize::try_from(numbers[row]).ok());
                word.map_or(&[][..], |word| words[word].as_bytes())
            }
        }
    }
}

struct Pages<'a> {
    chunk: ChunkWriter<'a>,
    source: Source<'a>,
    statistics: EnabledStatistics,
    range: Option<Range<&'a [u8]>>,
    /// False once a text is too long for statistics.
    is_short: bool,
    /// Of the rows of a page those that have one, which is looked up once: rows lie far from one another.
    texts: Vec<&'a [u8]>,
    lengths: Vec<u32>,
}

impl Pages<'_> {
    /// Takes the texts of the first rows until they are more than a page should have, and answers of how many.
    fn take(&mut self, rows: &[u32], bytes_max: usize) -> usize {
        let Self { chunk, source, texts, .. } = self;
        texts.clear();
        chunk.levels.clear();
        let mut bytes = 0;
        for (taken, row) in rows.iter().enumerate() {
            if bytes > bytes_max {
                return taken;
            }
            if let Some(nulls) = source.nulls {
                let is_valid = nulls.is_valid(*row as usize);
                chunk.levels.push(u32::from(is_valid));
                // A null's bytes are none, as a rule; what they are is not looked at.
                if !is_valid {
                    continue;
                }
            }
            let text = source.get(*row as usize);
            bytes += text.len();
            texts.push(text);
        }
        rows.len()
    }

    /// Ends a page of so many rows.
    fn end(&mut self, rows: usize) -> Result<()> {
        let Self { chunk, texts, lengths, .. } = self;
        chunk.begin_page(rows, texts.len() < rows);
        put(chunk, texts, lengths);
        let mut range: Option<Range<&[u8]>> = None;
        if self.statistics != EnabledStatistics::None {
            self.is_short &= texts.iter().all(|text| text.len() <= STATISTICS_BYTES_MAX);
            range = texts.iter().fold(None, |range, text| {
                let Range { min, max } = range.unwrap_or(Range { min: *text, max: *text });
                Some(Range { min: min.min(text), max: max.max(text) })
            });
        }
        self.range = match (self.range, range) {
            (Some(all), Some(page)) => Some(Range { min: all.min.min(page.min), max: all.max.max(page.max) }),
            (all, page) => all.or(page),
        };
        chunk.end_page(rows, range.filter(|_| self.is_short))
    }

    fn finish(self) -> Result<Chunk> {
        let range = self.range.filter(|_| self.is_short);
        self.chunk.finish(|nulls| {
            let of = |text: &[u8]| ByteArray::from(text.to_vec());
            let (min, max) = (range.map(|r| of(r.min)), range.map(|r| of(r.max)));
            let statistics = ValueStatistics::new(min, max, None, Some(nulls), false);
            (self.statistics != EnabledStatistics::None).then_some(Statistics::ByteArray(statistics))
        })
    }
}
