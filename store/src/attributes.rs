//! What attributes cost: of each key, in the newest spans, how many rows have it, how many bytes its values take, and what a column of
//! its own would save.
//!
//! A sample, so that a lake of any size is answered alike: the newest [`ROWS_MAX`] rows of `spans`, of files the first ones,
//! which are of traces picked by chance, since files lie by trace id. Blocking: call it where that is allowed.

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Attr;
use plimsoll_schemas::attr::Scope;
use plimsoll_schemas::table::Table;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::StoreError;
use crate::keyword::own_bytes;
use crate::lake::read_file;
use crate::snapshot::TableSnapshot;

const ROWS_MAX: usize = 50_000;
/// Of what is read, in memory.
const BYTES_MAX: usize = 128 << 20;
/// Keys of one scope; a client may make up any number of them.
const KEYS_MAX: usize = 4_096;
/// More distinct values are not counted.
const DISTINCT_MAX: usize = 10_000;
/// As in files: a column whose words take more is written without a dictionary.
const DICTIONARY_BYTES_MAX: usize = 256 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// The maps of attributes without a column, their types, and whose attributes they are.
const MAPS: [(&str, &str, &str); 3] = [
    ("attributes", "attribute_types", "span"),
    ("resource_attributes", "resource_attribute_types", "resource"),
    ("scope_attributes", "scope_attribute_types", "scope"),
];
/// What the characters of a row's types stand for.
const TYPES: [(char, &str); 7] = [
    ('s', "string"),
    ('i', "int"),
    ('d', "double"),
    ('b', "bool"),
    ('y', "bytes"),
    ('j', "json"),
    ('n', "empty"),
];

/// What is known of the attributes of the newest spans.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeSample {
    /// Rows that were looked at; all counts are of them.
    pub rows: u64,
    pub uses: Vec<AttributeUse>,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeUse {
    /// `span`, `resource` or `scope`.
    pub scope: &'static str,
    pub key: String,
    /// Its values' types, with commas.
    pub types: String,
    /// The column of `spans` that it has for itself.
    pub column: Option<&'static str>,
    /// Rows that have it.
    pub rows: u64,
    /// Bytes of its values as text, or as the numbers that they are, before any compression.
    pub value_bytes: u64,
    /// `None` where there are more than ten thousand.
    pub distinct: Option<u64>,
    /// Compressed bytes of the sample, less in the map than there would be more in a column; negative where it would cost.
    /// `None` where it has a column already.
    pub promotion_saves_bytes: Option<i64>,
}

/// Looks at the newest spans of a snapshot.
pub fn attributes(spans: &TableSnapshot) -> Result<AttributeSample, StoreError> {
    let batches = newest(spans)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let mut uses = Vec::new();
    for attr in Attr::ALL {
        uses.extend(promoted(*attr, &batches)?);
    }
    for (map, types, scope) in MAPS {
        uses.extend(Remainder::of(map, types, &batches).uses(scope, rows)?);
    }
    uses.sort_by(|a, b| {
        b.value_bytes.cmp(&a.value_bytes).then_with(|| (a.scope, &a.key).cmp(&(b.scope, &b.key)))
    });
    Ok(AttributeSample { rows: rows as u64, uses })
}

/// The newest rows: those in memory, then files by the sequence of the log.
fn newest(spans: &TableSnapshot) -> Result<Vec<RecordBatch>, StoreError> {
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    let mut take = |batch: &RecordBatch| {
        let batch = batch.slice(0, batch.num_rows().min(ROWS_MAX - rows));
        rows += batch.num_rows();
        bytes += batch.columns().iter().map(own_bytes).sum::<usize>();
        batches.push(batch);
        rows < ROWS_MAX && bytes < BYTES_MAX
    };
    let mut wants_more = spans.tail.iter().rev().all(&mut take);
    let mut files: Vec<_> = spans.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.wal_seq_max));
    for file in files {
        if !wants_more {
            break;
        }
        for batch in read_file(Table::Spans, file)? {
            wants_more = take(&batch?);
            if !wants_more {
                break;
            }
        }
    }
    Ok(batches)
}

/// An attribute that has a column; `None` where no row has it.
fn promoted(attr: Attr, batches: &[RecordBatch]) -> Result<Option<AttributeUse>, StoreError> {
    let info = attr.info();
    let (mut rows, mut value_bytes) = (0, 0);
    let mut values = Distinct::default();
    let mut types = "";
    for column in batches.iter().filter_map(|batch| batch.column_by_name(info.column)) {
        let nulls = column.logical_null_count();
        if nulls == column.len() {
            continue;
        }
        rows += (column.len() - nulls) as u64;
        types = match column.data_type() {
            DataType::Int64 => "int",
            DataType::Float64 => "double",
            DataType::Boolean => "bool",
            _ => "string",
        };
        value_bytes += match column.data_type() {
            DataType::Boolean => (column.len() - nulls) as u64,
            DataType::Int64 | DataType::Float64 => (size_of::<u64>() * (column.len() - nulls)) as u64,
            _ => 0,
        };
        if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>()
            && let Some(words) = dictionary.values().as_string_opt::<i32>()
        {
            let mut used = vec![0_u64; words.len()];
            dictionary.keys().iter().flatten().for_each(|key| used[key as usize] += 1);
            for (word, times) in words.iter().zip(used).filter(|(_, times)| *times > 0) {
                let word = word.unwrap_or_default();
                values.add(word);
                value_bytes += times * word.len() as u64;
            }
            continue;
        }
        let is_text = *column.data_type() == DataType::Utf8;
        let texts: ArrayRef = if is_text {
            column.clone()
        } else {
            cast(column, &DataType::Utf8).map_err(StoreError::arrow(format!("column {}", info.column)))?
        };
        for text in texts.as_string::<i32>().iter().flatten() {
            values.add(text);
            value_bytes += if is_text { text.len() as u64 } else { 0 };
        }
    }
    Ok((rows > 0).then(|| AttributeUse {
        scope: match info.scope {
            Scope::Span => "span",
            Scope::Resource => "resource",
        },
        key: info.name.to_owned(),
        types: types.to_owned(),
        column: Some(info.column),
        rows,
        value_bytes,
        distinct: values.count(),
        promotion_saves_bytes: None,
    }))
}

/// Distinct texts, as far as they are counted.
#[derive(Debug, Default)]
struct Distinct(FxHashSet<u64>);

impl Distinct {
    fn add(&mut self, text: &str) {
        if self.0.len() <= DISTINCT_MAX {
            self.0.insert(xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        }
    }

    fn count(&self) -> Option<u64> {
        (self.0.len() <= DISTINCT_MAX).then_some(self.0.len() as u64)
    }
}

/// The attributes of one map of all batches.
#[derive(Debug, Default)]
struct Remainder<'a> {
    /// Key, value and row of each entry, in their order.
    entries: Vec<(&'a str, &'a str, u32)>,
    /// The characters of the types of each key's values.
    types: FxHashMap<&'a str, FxHashSet<char>>,
}

impl<'a> Remainder<'a> {
    fn of(map: &str, types: &str, batches: &'a [RecordBatch]) -> Self {
        let mut all = Self::default();
        let mut first = 0;
        for batch in batches {
            let column = batch.column_by_name(map).and_then(|c| c.as_map_opt());
            if let Some(column) = column.filter(|map| map.null_count() < map.len()) {
                let types = batch.column_by_name(types).and_then(|c| c.as_dictionary_opt::<Int32Type>());
                let types = types.and_then(|t| t.downcast_dict::<StringArray>());
                all.add(column, first, |row| {
                    let types = types.filter(|types| !types.is_null(row))?;
                    let key = usize::try_from(types.keys().value(row)).ok()?;
                    Some(types.values().value(key))
                });
            }
            first += batch.num_rows() as u32;
        }
        all
    }

    fn add(&mut self, map: &'a MapArray, first: u32, types: impl Fn(usize) -> Option<&'a str>) {
        let texts = |array: &'a ArrayRef| array.as_string_opt::<i32>();
        let (Some(keys), Some(values)) = (texts(map.keys()), texts(map.values())) else { return };
        for row in (0..map.len()).filter(|row| map.is_valid(*row)) {
            let offsets = map.value_offsets();
            let types = types(row).unwrap_or_default();
            let mut types = types.chars();
            for at in offsets[row] as usize..offsets[row + 1] as usize {
                // Null types: all are text.
                let of_value = types.next().unwrap_or('s');
                let key = keys.value(at);
                if self.types.len() < KEYS_MAX || self.types.contains_key(key) {
                    self.types.entry(key).or_default().insert(of_value);
                    self.entries.push((key, values.value(at), first + row as u32));
                }
            }
        }
    }

    fn uses(&self, scope: &'static str, rows: usize) -> Result<Vec<AttributeUse>, StoreError> {
        let compressed = |texts: &[&str]| bytes_of(texts).map_err(StoreError::io("a sample of attributes"));
        let keys = compressed(&self.entries.iter().map(|(key, ..)| *key).collect::<Vec<_>>())?;
        let values = compressed(&self.entries.iter().map(|(_, value, _)| *value).collect::<Vec<_>>())?;
        let plain: usize = self.entries.iter().map(|(key, value, _)| key.len() + value.len()).sum();
        let mut of_keys: FxHashMap<&str, Vec<(&str, u32)>> = FxHashMap::default();
        for (key, value, row) in &self.entries {
            of_keys.entry(key).or_default().push((value, *row));
        }
        let mut uses = Vec::with_capacity(of_keys.len());
        for (key, entries) in of_keys {
            let texts: Vec<&str> = entries.iter().map(|(value, _)| *value).collect();
            let mut distinct = Distinct::default();
            texts.iter().for_each(|text| distinct.add(text));
            let value_bytes: usize = texts.iter().map(|text| text.len()).sum();
            let mut presence = vec![0_u8; rows.div_ceil(8)];
            entries.iter().for_each(|(_, row)| presence[*row as usize / 8] |= 1 << (row % 8));
            let own_rows = presence.iter().map(|byte| u64::from(byte.count_ones())).sum();
            let in_column = compressed(&texts)?
                + zstd::bulk::compress(&presence, ZSTD_LEVEL)
                    .map_err(StoreError::io("a sample of attributes"))?
                    .len();
            let share = (key.len() * texts.len() + value_bytes) as f64 / plain.max(1) as f64;
            let in_map = (share * (keys + values) as f64) as i64;
            // Values that its column has no room for stay where they are.
            let has_column = match scope {
                "span" => Attr::span(key).is_some(),
                "resource" => Attr::resource(key).is_some(),
                _ => false,
            };
            let seen = &self.types[key];
            let types = TYPES.iter().filter(|(character, _)| seen.contains(character)).map(|(_, name)| *name);
            uses.push(AttributeUse {
                scope,
                key: key.to_owned(),
                types: types.collect::<Vec<_>>().join(","),
                column: None,
                rows: own_rows,
                value_bytes: value_bytes as u64,
                distinct: distinct.count(),
                promotion_saves_bytes: (!has_column).then_some(in_map - in_column as i64),
            });
        }
        Ok(uses)
    }
}

/// What these texts take in a column, compressed: each word once and numbers of words where they repeat, else one after the
/// other with their lengths.
fn bytes_of(texts: &[&str]) -> std::io::Result<usize> {
    let mut index: FxHashMap<&str, u32> = FxHashMap::default();
    let (mut words, mut numbers) = (Vec::new(), Vec::with_capacity(texts.len()));
    for text in texts {
        let next = index.len() as u32;
        numbers.push(*index.entry(text).or_insert_with(|| {
            words.extend_from_slice(&(text.len() as u32).to_le_bytes());
            words.extend_from_slice(text.as_bytes());
            next
        }));
        if words.len() > DICTIONARY_BYTES_MAX {
            break;
        }
    }
    let mut pages = Vec::new();
    if numbers.len() == texts.len() {
        let width = match index.len() {
            0..=1 => 0,
            2..=256 => 1,
            257..=65_536 => 2,
            _ => 4,
        };
        numbers.iter().for_each(|number| pages.extend_from_slice(&number.to_le_bytes()[..width]));
    } else {
        words.clear();
        texts.iter().for_each(|text| pages.extend_from_slice(&(text.len() as u32).to_le_bytes()));
        texts.iter().for_each(|text| pages.extend_from_slice(text.as_bytes()));
    }
    Ok(zstd::bulk::compress(&words, ZSTD_LEVEL)?.len() + zstd::bulk::compress(&pages, ZSTD_LEVEL)?.len())
}
