//! Numbers as they are (PLAIN), or by a dictionary where they repeat a lot.
//!
//! Times of neighbours share their upper bytes, and what an agent and its server both say is the same number twice: zstd finds
//! either at a fixed distance, and leaves about the bytes that are random. Differences packed in bits (DELTA_BINARY_PACKED) are
//! as wide as the widest of 64, and between two traces that is wide: a start takes 5.3 bytes so, and 4.0 as it is.

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;
use rustc_hash::FxHashMap;

use super::{Chunk, ChunkWriter, Compressors, Range, rle, unexpected};

/// So few words are a dictionary whatever the rows are; more have to be worth it, and there is a bound.
const FEW_WORDS: usize = 256;
const WORDS_MAX: usize = 8 * 1024;
/// So often a word of many has to come.
const REPEATS_MIN: usize = 8;

/// Whether a column of that type is one of numbers.
pub fn has_type(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32 | DataType::Int64 | DataType::Float64 | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

/// Encodes these rows of a column.
pub fn encode(
    column: &ColumnDescPtr,
    numbers: &dyn Array,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let nulls = numbers.nulls().filter(|nulls| nulls.null_count() > 0);
    macro_rules! encode {
        ($type:ty) => {
            write(column, numbers.as_primitive::<$type>().values(), nulls, rows, properties, compressors)
        };
    }
    match numbers.data_type() {
        DataType::Int32 => encode!(Int32Type),
        DataType::Int64 => encode!(Int64Type),
        DataType::Float64 => encode!(Float64Type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => encode!(TimestampMicrosecondType),
        other => Err(unexpected(column, other)),
    }
}

/// A number as Parquet has it.
trait Number: Copy + PartialOrd {
    type Bytes: AsRef<[u8]>;
    fn bytes(self) -> Self::Bytes;
    /// What tells it from others.
    fn bits(self) -> u64;
    /// As a bound of a range; `None` if it has no place in one.
    fn bound(self) -> Option<Self> {
        Some(self)
    }
    /// The range, so that it holds all that equals its bounds.
    fn widened(range: Range<Self>) -> Range<Self> {
        range
    }
    fn statistics(range: Option<Range<Self>>, nulls: u64) -> Statistics;
}

macro_rules! number {
    ($type:ty, $statistics:ident, $bits:expr $(, $more:item)*) => {
        impl Number for $type {
            type Bytes = [u8; size_of::<$type>()];

            #[inline]
            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }

            #[inline]
            fn bits(self) -> u64 {
                $bits(self)
            }

            $($more)*

            fn statistics(range: Option<Range<Self>>, nulls: u64) -> Statistics {
                let range = range.map(Self::widened);
                let (min, max) = (range.map(|r| r.min), range.map(|r| r.max));
                Statistics::$statistics(ValueStatistics::new(min, max, None, Some(nulls), false))
            }
        }
    };
}

number!(i32, Int32, |n| n as u32 as u64);
number!(i64, Int64, |n| n as u64);
number!(
    f64,
    Double,
    f64::to_bits,
    fn bound(self) -> Option<Self> {
        (!self.is_nan()).then_some(self)
    },
    /// Either zero may stand for the other.
    fn widened(Range { min, max }: Range<Self>) -> Range<Self> {
        Range { min: if min == 0.0 { -0.0 } else { min }, max: if max == 0.0 { 0.0 } else { max } }
    }
);

fn write<N: Number>(
    column: &ColumnDescPtr,
    numbers: &[N],
    nulls: Option<&NullBuffer>,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Result<Chunk> {
    let dictionary = Dictionary::of(numbers, nulls, rows);
    let encoding = if dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
    let mut chunk = ChunkWriter::begin(column, rows.len(), encoding, &mut compressors.fast, properties);
    if let Some(dictionary) = &dictionary {
        put_all(&dictionary.words, &mut chunk.page);
        chunk.dictionary(dictionary.words.len());
    }
    let statistics = properties.statistics_enabled(column.path());
    let mut all = Bounds::default();
    let (mut values, mut at) = (Vec::with_capacity(properties.data_page_row_count_limit()), 0);
    for rows in rows.chunks(properties.data_page_row_count_limit()) {
        values.clear();
        chunk.begin_page_of(rows, nulls, |row| values.push(numbers[row]));
        match &dictionary {
            Some(dictionary) => {
                chunk.page.push(dictionary.bit_width());
                rle::encode(
                    &dictionary.indices[at..at + values.len()],
                    dictionary.bit_width(),
                    &mut chunk.page,
                );
                at += values.len();
            }
            None => put_all(&values, &mut chunk.page),
        }
        let mut page = Bounds::default();
        if statistics != EnabledStatistics::None {
            values.iter().for_each(|value| page.add(*value));
            all.join(page);
        }
        let range = page.range().map(|r| (r.min.bytes(), r.max.bytes()));
        chunk.end_page(
            rows.len(),
            range.as_ref().map(|(min, max)| Range { min: min.as_ref(), max: max.as_ref() }),
        )?;
    }
    chunk.finish(|nulls| (statistics != EnabledStatistics::None).then(|| N::statistics(all.range(), nulls)))
}

fn put_all<N: Number>(values: &[N], page: &mut Vec<u8>) {
    let begin = page.len();
    page.resize(begin + size_of_val(values), 0);
    for (slot, value) in page[begin..].chunks_exact_mut(size_of::<N>()).zip(values) {
        slot.copy_from_slice(value.bytes().as_ref());
    }
}

/// The range of some values, if it can be told.
#[derive(Debug, Clone, Copy)]
struct Bounds<N> {
    range: Option<Range<N>>,
    is_ordered: bool,
}

impl<N> Default for Bounds<N> {
    fn default() -> Self {
        Self { range: None, is_ordered: true }
    }
}

impl<N: Number> Bounds<N> {
    #[inline]
    fn add(&mut self, value: N) {
        let Some(value) = value.bound() else {
            self.is_ordered = false;
            return;
        };
        self.range = Some(match self.range {
            Some(Range { min, max }) => Range {
                min: if value < min { value } else { min },
                max: if value > max { value } else { max },
            },
            None => Range { min: value, max: value },
        });
    }

    fn join(&mut self, page: Self) {
        self.is_ordered &= page.is_ordered;
        if let Some(Range { min, max }) = page.range {
            self.add(min);
            self.add(max);
        }
    }

    fn range(self) -> Option<Range<N>> {
        self.range.filter(|_| self.is_ordered)
    }
}

/// The numbers that the rows have, each once, and of each row that has one, which it is.
struct Dictionary<N> {
    words: Vec<N>,
    indices: Vec<u32>,
}

impl<N: Number> Dictionary<N> {
    /// `None` where they repeat too little.
    fn of(numbers: &[N], nulls: Option<&NullBuffer>, rows: &[u32]) -> Option<Self> {
        let mut dictionary = Self { words: Vec::new(), indices: Vec::new() };
        let mut index: FxHashMap<u64, u32> = FxHashMap::default();
        let mut last = (0, None);
        for row in rows.iter().map(|row| *row as usize) {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let bits = numbers[row].bits();
            let at = match last {
                (same, Some(at)) if same == bits => at,
                _ => *index.entry(bits).or_insert_with(|| {
                    dictionary.words.push(numbers[row]);
                    dictionary.words.len() as u32 - 1
                }),
            };
            last = (bits, Some(at));
            dictionary.indices.push(at);
            let words = dictionary.words.len();
            if words > FEW_WORDS && (words > WORDS_MAX || words * REPEATS_MIN > dictionary.indices.len()) {
                return None;
            }
        }
        Some(dictionary)
    }

    fn bit_width(&self) -> u8 {
        rle::bit_width(self.words.len())
    }
}
