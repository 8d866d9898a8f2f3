//! Columns under construction. A column that nothing was put into costs one shared null array.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, DictionaryArray, Float64Builder, Int32Array, Int64Builder, MapArray,
    StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use plimsoll_schemas::table::{attribute_map, attribute_type};
use plimsoll_schemas::{Attr, AttrType};
use rustc_hash::FxHashMap;

use super::notes::Notes;
use super::value::{Any, text};

/// In place of a key: no value.
const NO_KEY: i32 = -1;

/// Text of few distinct values, each stored once a request.
#[derive(Debug, Default)]
pub struct Keyword<'a> {
    /// Of each row; [`NO_KEY`] is null.
    keys: Vec<i32>,
    values: Vec<Cow<'a, str>>,
    index: FxHashMap<Cow<'a, str>, i32>,
    /// The value that came last and its key: neighbours often share one.
    last: Option<(*const u8, usize, i32)>,
}

impl<'a> Keyword<'a> {
    #[inline]
    pub fn push(&mut self, value: Option<Cow<'a, str>>) {
        let key = value.map_or(NO_KEY, |v| self.intern(v));
        self.keys.push(key);
    }

    #[inline]
    pub fn push_str(&mut self, value: &'a str) {
        self.push(Some(Cow::Borrowed(value)));
    }

    /// Empty text is no text.
    #[inline]
    pub fn push_some(&mut self, value: Cow<'a, str>) {
        self.push(Some(value).filter(|v| !v.is_empty()));
    }

    /// Puts a value at `row`, with nulls before it.
    #[inline]
    fn put(&mut self, row: usize, value: Cow<'a, str>) {
        self.keys.resize(row, NO_KEY);
        self.push(Some(value));
    }

    #[inline]
    fn intern(&mut self, value: Cow<'a, str>) -> i32 {
        // Only borrowed text stays where it is for as long as the request.
        let place = matches!(value, Cow::Borrowed(_)).then_some((value.as_ptr(), value.len()));
        if let (Some((at, len, key)), Some(place)) = (self.last, place)
            && (at, len) == place
        {
            return key;
        }
        let key = match self.index.get(value.as_ref()) {
            Some(key) => *key,
            None => {
                let key = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
                self.values.push(value.clone());
                self.index.insert(value, key);
                key
            }
        };
        self.last = place.map(|(at, len)| (at, len, key));
        key
    }

    pub fn finish(mut self, rows: usize) -> ArrayRef {
        if self.values.is_empty() {
            return new_null_array(&plimsoll_schemas::table::keyword(), rows);
        }
        self.keys.resize(rows, NO_KEY);
        let values = StringArray::from_iter_values(self.values.iter().map(AsRef::as_ref));
        let valid: NullBuffer = self.keys.iter().map(|key| *key != NO_KEY).collect();
        // A null's key is not read, but it has to be one.
        self.keys.iter_mut().for_each(|key| *key = (*key).max(0));
        self.keys.shrink_to_fit();
        let nulls = Some(valid).filter(|v| v.null_count() > 0);
        Arc::new(DictionaryArray::new(Int32Array::new(self.keys.into(), nulls), Arc::new(values)))
    }
}

/// A promoted attribute's column.
#[derive(Debug)]
enum AttrColumn<'a> {
    Keyword(Keyword<'a>),
    Text(StringBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
}

macro_rules! put {
    ($builder:expr, $row:expr, $value:expr) => {{
        while $builder.len() < $row {
            $builder.append_null();
        }
        $builder.append_value($value);
    }};
}

/// The columns of every promoted attribute, made when first needed.
#[derive(Debug)]
pub struct Promoted<'a> {
    columns: Vec<Option<AttrColumn<'a>>>,
    /// About as many rows as there will be.
    capacity: usize,
}

impl<'a> Promoted<'a> {
    pub fn with_capacity(rows: usize) -> Self {
        Self { columns: (0..Attr::COUNT).map(|_| None).collect(), capacity: rows }
    }

    /// Puts a value at `row`; false if its type is not the column's, or the row has one already.
    #[inline]
    pub fn put(&mut self, row: usize, attr: Attr, value: Any<'a>, notes: &mut Notes) -> bool {
        let capacity = self.capacity;
        let slot = &mut self.columns[attr as usize];
        let column = slot.get_or_insert_with(|| match attr.info().kind {
            AttrType::Keyword => AttrColumn::Keyword(Keyword::default()),
            AttrType::Text => AttrColumn::Text(StringBuilder::new()),
            AttrType::Int => AttrColumn::Int(Int64Builder::with_capacity(capacity)),
            AttrType::Double => AttrColumn::Double(Float64Builder::with_capacity(capacity)),
            AttrType::Bool => AttrColumn::Bool(BooleanBuilder::new()),
        });
        use arrow::array::ArrayBuilder;
        match (column, value) {
            (AttrColumn::Keyword(k), Any::Str(s)) if k.keys.len() <= row => k.put(row, text(s, notes)),
            (AttrColumn::Text(b), Any::Str(s)) if b.len() <= row => put!(b, row, text(s, notes)),
            (AttrColumn::Int(b), Any::Int(n)) if b.len() <= row => put!(b, row, n),
            (AttrColumn::Double(b), Any::Double(x)) if b.len() <= row => put!(b, row, x),
            (AttrColumn::Bool(b), Any::Bool(x)) if b.len() <= row => put!(b, row, x),
            _ => return false,
        }
        true
    }

    /// The columns in the order of [`Attr`], `rows` long each.
    pub fn finish(self, rows: usize, nulls: &mut Nulls) -> Vec<ArrayRef> {
        use arrow::array::ArrayBuilder;
        macro_rules! pad {
            ($builder:expr) => {{
                while $builder.len() < rows {
                    $builder.append_null();
                }
                Arc::new($builder.finish())
            }};
        }
        let columns = self.columns.into_iter().zip(Attr::ALL);
        columns
            .map(|(column, attr)| -> ArrayRef {
                match column {
                    None => nulls.of(&attribute_type(attr.info().kind)),
                    Some(AttrColumn::Keyword(k)) => k.finish(rows),
                    Some(AttrColumn::Text(mut b)) => pad!(b),
                    Some(AttrColumn::Int(mut b)) => pad!(b),
                    Some(AttrColumn::Double(mut b)) => pad!(b),
                    Some(AttrColumn::Bool(mut b)) => pad!(b),
                }
            })
            .collect()
    }
}

/// One null array per type, shared by all columns that are null throughout.
#[derive(Debug)]
pub struct Nulls {
    rows: usize,
    made: Vec<(DataType, ArrayRef)>,
}

impl Nulls {
    pub fn new(rows: usize) -> Self {
        Self { rows, made: Vec::new() }
    }

    pub fn of(&mut self, data_type: &DataType) -> ArrayRef {
        if let Some((_, array)) = self.made.iter().find(|(t, _)| t == data_type) {
            return array.clone();
        }
        let array = new_null_array(data_type, self.rows);
        self.made.push((data_type.clone(), array.clone()));
        array
    }
}

/// Attributes without a column of their own: key → text, and beside it the types that are not text.
#[derive(Debug)]
pub struct Remainder {
    keys: StringBuilder,
    values: StringBuilder,
    offsets: Vec<i32>,
    valid: Vec<bool>,
    entries: i32,
    /// Bytes of keys and values, and whether some were left out to stay below the bound.
    bytes: usize,
    pub overflowed: bool,
    types: Vec<Option<String>>,
    /// The types of the row under construction, and whether one of them is not text.
    row_types: String,
    odd: bool,
}

impl Default for Remainder {
    fn default() -> Self {
        Self {
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            offsets: vec![0],
            valid: Vec::new(),
            entries: 0,
            bytes: 0,
            overflowed: false,
            types: Vec::new(),
            row_types: String::new(),
            odd: false,
        }
    }
}

impl Remainder {
    #[inline]
    pub fn entry(&mut self, key: &str, value: &str, type_char: char) {
        self.bytes += key.len() + value.len();
        if self.bytes > crate::limits::MAP_BYTES_MAX {
            self.overflowed = true;
            return;
        }
        self.keys.append_value(key);
        self.values.append_value(value);
        self.entries += 1;
        self.row_types.push(type_char);
        self.odd |= type_char != 's';
    }

    /// Ends the row.
    #[inline]
    pub fn end(&mut self) {
        self.valid.push(self.offsets.last() != Some(&self.entries));
        self.offsets.push(self.entries);
        self.types.push(self.odd.then(|| self.row_types.clone()));
        self.row_types.clear();
        self.odd = false;
    }

    /// The map, and the types as plain text.
    pub fn finish(mut self) -> (ArrayRef, StringArray) {
        let rows = self.valid.len();
        let types = StringArray::from(self.types);
        if self.entries == 0 {
            return (new_null_array(&attribute_map(), rows), types);
        }
        let DataType::Map(field, sorted) = attribute_map() else { unreachable!("a map") };
        let DataType::Struct(fields) = field.data_type().clone() else { unreachable!("a map's entry") };
        let entries = StructArray::new(
            fields,
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())],
            None,
        );
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        (Arc::new(MapArray::new(field, offsets, entries, Some(NullBuffer::from(self.valid)), sorted)), types)
    }
}

/// Types are few: a dictionary where they stand as a column.
pub fn as_keyword(types: &StringArray) -> ArrayRef {
    let mut keyword = Keyword::default();
    for value in types {
        keyword.push(value.map(Cow::Borrowed));
    }
    keyword.finish(types.len())
}

/// An id, as text.
pub fn append_hex(builder: &mut StringBuilder, digits: &[u8]) {
    builder.append_value(std::str::from_utf8(digits).unwrap_or_default());
}
