//! One column chunk of a keyword: a dictionary page, and pages of numbers into it.
//!
//! The rows come as numbers into a dictionary already, which is all that Parquet wants; the Arrow writer would look each row's
//! text up by its hash, and compare it for the statistics.

use parquet::basic::Encoding;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::super::gather::{Keywords, NO_WORD};
use super::{Chunk, ChunkWriter, Compressors, STATISTICS_BYTES_MAX, rle};

/// In place of the number that a word gets in the file: none yet.
const UNUSED: u32 = u32::MAX;

/// Encodes these rows of a column. `None` where the words that they use take more than a dictionary may: such a column
/// does not repeat enough.
pub fn encode(
    column: &ColumnDescPtr,
    keywords: &Keywords<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Option<Chunk>> {
    let bytes_max = properties.dictionary_page_size_limit();
    let Some(dictionary) = Dictionary::of(keywords, rows, bytes_max) else { return Ok(None) };
    let compressor = &mut compressors.thorough;
    let mut chunk = ChunkWriter::begin(column, rows.len(), Encoding::RLE_DICTIONARY, compressor, properties);
    put_words(&mut chunk, &dictionary.words);
    let used = vec![false; dictionary.words.len()];
    let mut pages = Pages { chunk, used, indices: Vec::new() };
    for rows in rows.chunks(properties.data_page_row_count_limit()) {
        pages.page(keywords, &dictionary, rows)?;
    }
    pages.finish(&dictionary).map(Some)
}

/// Begins a chunk with the page of its dictionary.
pub(super) fn put_words(chunk: &mut ChunkWriter<'_>, words: &[&str]) {
    for word in words {
        chunk.page.extend_from_slice(&(word.len() as u32).to_le_bytes());
        chunk.page.extend_from_slice(word.as_bytes());
    }
    chunk.dictionary(words.len());
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
        rle::bit_width(self.words.len())
    }
}

struct Pages<'a> {
    chunk: ChunkWriter<'a>,
    /// Of each word of the dictionary, whether a row has it.
    used: Vec<bool>,
    // Used again from page to page.
    indices: Vec<u32>,
}

impl Pages<'_> {
    fn page(&mut self, keywords: &Keywords<'_>, dictionary: &Dictionary<'_>, rows: &[u32]) -> Result<()> {
        let Self { chunk, used, indices } = self;
        indices.clear();
        chunk.levels.clear();
        match &keywords.numbers {
            None => indices.resize(rows.len(), 0),
            Some(numbers) => {
                for row in rows {
                    let number = numbers[*row as usize];
                    chunk.levels.push(u32::from(number != NO_WORD));
                    if number != NO_WORD {
                        indices.push(number as u32);
                    }
                }
            }
        }
        if let Some(number_of) = &dictionary.number_of {
            indices.iter_mut().for_each(|number| *number = number_of[*number as usize]);
        }
        indices.iter().for_each(|number| used[*number as usize] = true);
        chunk.begin_page(rows.len(), indices.len() < rows.len());
        let bit_width = dictionary.bit_width();
        chunk.page.push(bit_width);
        rle::encode(indices, bit_width, &mut chunk.page);
        chunk.end_page(rows.len(), None)
    }

    fn finish(self, dictionary: &Dictionary<'_>) -> Result<Chunk> {
        let used = || dictionary.words.iter().zip(&self.used).filter_map(|(word, used)| used.then_some(word));
        let range = match (used().min(), used().max()) {
            (Some(min), Some(max)) if min.len().max(max.len()) <= STATISTICS_BYTES_MAX => Some((*min, *max)),
            _ => None,
        };
        let (min, max) = (range.map(|(min, _)| min.into()), range.map(|(_, max)| max.into()));
        self.chunk.finish(|nulls| {
            let statistics = ValueStatistics::<ByteArray>::new(min, max, None, Some(nulls), false);
            Some(Statistics::ByteArray(statistics))
        })
    }
}
