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
    let mut pages = Pages { chunk, source, statistics, range: None, is_short: true, lengths: Vec::new() };
    let (rows_max, bytes_max) = (properties.data_page_row_count_limit(), properties.data_page_size_limit());
    for rows in rows.chunks(rows_max) {
        let mut rest = rows;
        while !rest.is_empty() {
            let (page, after) = rest.split_at(pages.source.fit(rest, bytes_max));
            pages.page(page)?;
            rest = after;
        }
    }
    pages.finish()
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

    /// How many of the first rows fit in a page: at least one.
    fn fit(&self, rows: &[u32], bytes_max: usize) -> usize {
        let mut bytes = 0;
        let is_over = |row: &u32| {
            bytes += self.get(*row as usize).len();
            bytes > bytes_max
        };
        rows.iter().position(is_over).map_or(rows.len(), |at| at.max(1))
    }
}

struct Pages<'a> {
    chunk: ChunkWriter<'a>,
    source: Source<'a>,
    statistics: EnabledStatistics,
    range: Option<Range<&'a [u8]>>,
    /// False once a text is too long for statistics.
    is_short: bool,
    lengths: Vec<u32>,
}

impl Pages<'_> {
    fn page(&mut self, rows: &[u32]) -> Result<()> {
        let Self { chunk, source, lengths, .. } = self;
        lengths.clear();
        chunk.begin_page_of(rows, source.nulls, |row| lengths.push(source.get(row).len() as u32));
        delta::encode(lengths, &mut chunk.page);
        chunk.body = chunk.page.len();
        let mut range: Option<Range<&[u8]>> = None;
        for row in rows {
            // A null's bytes are none, as a rule; what they are is not looked at.
            if source.nulls.is_some_and(|nulls| nulls.is_null(*row as usize)) {
                continue;
            }
            let text = source.get(*row as usize);
            chunk.page.extend_from_slice(text);
            if self.statistics != EnabledStatistics::None {
                self.is_short &= text.len() <= STATISTICS_BYTES_MAX;
                range = Some(match range {
                    Some(Range { min, max }) => Range { min: min.min(text), max: max.max(text) },
                    None => Range { min: text, max: text },
                });
            }
        }
        self.range = match (self.range, range) {
            (Some(all), Some(page)) => Some(Range { min: all.min.min(page.min), max: all.max.max(page.max) }),
            (all, page) => all.or(page),
        };
        chunk.end_page(rows.len(), range.filter(|_| self.is_short))
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
