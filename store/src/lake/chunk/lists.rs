//! Lists of texts, and the keys or values of maps: with each item how far its list is there, then the items, by number where they
//! repeat and as texts where they do not.

use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnDescPtr;
use rustc_hash::FxHashMap;

use super::super::gather::Lists;
use super::{Chunk, ChunkWriter, Compressors, keywords, rle, texts};

/// Encodes these rows of a column.
pub fn encode(
    column: &ColumnDescPtr,
    lists: &Lists<'_>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let dictionary = properties.dictionary_enabled(column.path());
    let dictionary =
        dictionary.then(|| Dictionary::of(lists, rows, properties.dictionary_page_size_limit())).flatten();
    let encoding = match dictionary {
        Some(_) => Encoding::RLE_DICTIONARY,
        None => Encoding::DELTA_LENGTH_BYTE_ARRAY,
    };
    let is_ids = column.path().parts()[0].ends_with("_ids");
    let compressor = if is_ids { &mut compressors.fast } else { &mut compressors.thorough };
    let mut chunk = ChunkWriter::begin(column, rows.len(), encoding, compressor, properties);
    let bit_width = dictionary.as_ref().map(|dictionary| {
        keywords::put_words(&mut chunk, &dictionary.words);
        rle::bit_width(dictionary.words.len())
    });
    let mut numbers = dictionary.as_ref().map_or(&[][..], |dictionary| &dictionary.numbers);
    let (rows_max, bytes_max) = (properties.data_page_row_count_limit(), properties.data_page_size_limit());
    let mut page = Page { levels: Levels::of(column), repeated: Vec::new(), items: Vec::new() };
    let mut lengths = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let taken = page.take(lists, &rest[..rest.len().min(rows_max)], bytes_max, &mut chunk.levels);
        chunk.begin_page_of_lists(taken, page.items.len(), &page.repeated);
        match bit_width {
            Some(bit_width) => {
                let (of_page, after) = numbers.split_at(page.items.len());
                chunk.page.push(bit_width);
                rle::encode(of_page, bit_width, &mut chunk.page);
                numbers = after;
            }
            None => texts::put(&mut chunk, &page.items, &mut lengths),
        }
        chunk.end_page(taken, None)?;
        rest = &rest[taken..];
    }
    chunk.finish(|_| None)
}

/// The definition levels of a column.
struct Levels {
    /// Of a row without a list.
    null: u32,
    /// Of a list without items.
    empty: u32,
    /// Of an item without a text.
    without: u32,
    /// Of a text.
    text: u32,
}

impl Levels {
    fn of(column: &ColumnDescPtr) -> Self {
        let text = column.max_def_level() as u32;
        let item = text - u32::from(column.self_type().is_optional());
        Self { null: item.saturating_sub(2), empty: item - 1, without: item, text }
    }
}

/// What is in a page; used again from one to the next.
struct Page<'a> {
    levels: Levels,
    /// Of each entry, whether it is in the list of the one before.
    repeated: Vec<u32>,
    items: Vec<&'a [u8]>,
}

impl<'a> Page<'a> {
    /// Takes the first rows until they are more than a page should have, and answers how many.
    fn take(&mut self, lists: &Lists<'a>, rows: &[u32], bytes_max: usize, defined: &mut Vec<u32>) -> usize {
        let Self { levels, repeated, items } = self;
        repeated.clear();
        items.clear();
        defined.clear();
        let mut bytes = 0;
        for (taken, row) in rows.iter().enumerate() {
            if bytes > bytes_max {
                return taken;
            }
            let begin = defined.len();
            let none = match lists.items(*row) {
                None => levels.null,
                Some(of_row) => {
                    for item in of_row {
                        defined.push(if item.is_some() { levels.text } else { levels.without });
                        items.extend(item.map(str::as_bytes));
                        bytes += size_of::<u32>() + item.map_or(0, str::len);
                    }
                    levels.empty
                }
            };
            if defined.len() == begin {
                defined.push(none);
            }
            repeated.push(0);
            repeated.resize(defined.len(), 1);
        }
        rows.len()
    }
}

/// The words of all items, each once.
struct Dictionary<'a> {
    words: Vec<&'a str>,
    /// Of each item that is there, in the order of the rows.
    numbers: Vec<u32>,
}

impl<'a> Dictionary<'a> {
    /// `None` where the words take more than a dictionary may: such a column does not repeat enough.
    fn of(lists: &Lists<'a>, rows: &[u32], bytes_max: usize) -> Option<Self> {
        let (mut words, mut numbers): (Vec<&str>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut number_of: FxHashMap<&str, u32> = FxHashMap::default();
        // Of each word the number of the one that followed it last: keys come in the same order again.
        let mut next: Vec<u32> = Vec::new();
        let (mut last, mut bytes) = (0, 0);
        for text in lists.texts(rows) {
            let expected = next.get(last).copied().filter(|number| words[*number as usize] == text);
            let number = expected.unwrap_or_else(|| {
                *number_of.entry(text).or_insert_with(|| {
                    bytes += size_of::<u32>() + text.len();
                    words.push(text);
                    next.push(0);
                    words.len() as u32 - 1
                })
            });
            if bytes > bytes_max {
                return None;
            }
            next[last] = number;
            last = number as usize;
            numbers.push(number);
        }
        Some(Self { words, numbers })
    }
}
