//! What the attributes cost that lie in a map with others, and what each would cost in a column of its own.

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Attr;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{AttributeUse, Distinct};
use crate::error::StoreError;

/// Keys of one scope; a client may make up any number of them.
const KEYS_MAX: usize = 4_096;
/// As in files: a column whose words take more is written without a dictionary.
const DICTIONARY_BYTES_MAX: usize = 256 * 1024;
const ZSTD_LEVEL: i32 = 1;
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

/// The attributes of one map of all batches.
#[derive(Debug, Default)]
pub struct Remainder<'a> {
    /// Key, value and row of each entry, in their order.
    entries: Vec<(&'a str, &'a str, u32)>,
    /// The characters of the types of each key's values.
    types: FxHashMap<&'a str, FxHashSet<char>>,
}

impl<'a> Remainder<'a> {
    pub fn of(map: &str, types: &str, batches: &'a [RecordBatch]) -> Self {
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

    pub fn uses(&self, scope: &'static str, rows: usize) -> Result<Vec<AttributeUse>, StoreError> {
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
