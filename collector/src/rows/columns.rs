//! Columns under construction. A column that nothing was put into costs one shared null array.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, MapArray, StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use plimsoll_schemas::table::{attribute_map, attribute_type};
use plimsoll_schemas::{Attr, AttrType};
use plimsoll_store::{KeywordBuilder, null_column};

use super::notes::Notes;
use super::value::{Any, text};

/// A promoted attribute's column.
#[derive(Debug)]
enum AttrColumn<'a> {
    Keyword(KeywordBuilder<'a>),
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
            AttrType::Keyword => AttrColumn::Keyword(KeywordBuilder::with_capacity(capacity)),
            AttrType::Text => AttrColumn::Text(StringBuilder::new()),
            AttrType::Int => AttrColumn::Int(Int64Builder::with_capacity(capacity)),
            AttrType::Double => AttrColumn::Double(Float64Builder::with_capacity(capacity)),
            AttrType::Bool => AttrColumn::Bool(BooleanBuilder::new()),
        });
        use arrow::array::ArrayBuilder;
        match (column, value) {
            (AttrColumn::Keyword(k), Any::Str(s)) if k.len() <= row => drop(k.put(row, s, || text(s, notes))),
            (AttrColumn::Text(b), Any::Str(s)) if b.len() <= row => put!(b, row, text(s, notes)),
            (AttrColumn::Int(b), Any::Int(n)) if b.len() <= row => put!(b, row, n),
            (AttrColumn::Double(b), Any::Double(x)) if b.len() <= row => put!(b, row, x),
            (AttrColumn::Bool(b), Any::Bool(x)) if b.len() <= row => put!(b, row, x),
            _ => return false,
        }
        true
    }

    /// Puts one value at all of these rows; false if its type is not the column's, or a row has one already.
    pub fn fill(&mut self, rows: Range<usize>, attr: Attr, value: Any<'a>, notes: &mut Notes) -> bool {
        if let (AttrType::Keyword, Any::Str(s)) = (attr.info().kind, value) {
            let slot = &mut self.columns[attr as usize];
            let column = slot.get_or_insert_with(|| AttrColumn::Keyword(KeywordBuilder::default()));
            if let AttrColumn::Keyword(keyword) = column
                && keyword.len() <= rows.start
            {
                keyword.fill(rows, text(s, notes));
                return true;
            }
            return false;
        }
        rows.into_iter().all(|row| self.put(row, attr, value, notes))
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
                    Some(AttrColumn::Text(mut b)) => {
                        while b.len() < rows {
                            b.append_null();
                        }
                        fitted(&mut b)
                    }
                    Some(AttrColumn::Int(mut b)) => pad!(b),
                    Some(AttrColumn::Double(mut b)) => pad!(b),
                    Some(AttrColumn::Bool(mut b)) => pad!(b),
                }
            })
            .collect()
    }
}

/// Without the room for more, which would stay in memory as long as the rows.
fn fitted(texts: &mut StringBuilder) -> ArrayRef {
    let mut texts = texts.finish();
    texts.shrink_to_fit();
    Arc::new(texts)
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
        let array = null_column(data_type, self.rows);
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
    types: KeywordBuilder<'static>,
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
            types: KeywordBuilder::default(),
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
        if self.odd {
            self.types.push_copy(&self.row_types);
        } else {
            self.types.push(None);
        }
        self.row_types.clear();
        self.odd = false;
    }

    /// The map, and its types.
    pub fn finish(mut self) -> (ArrayRef, KeywordBuilder<'static>) {
        let rows = self.valid.len();
        if self.entries == 0 {
            return (null_column(&attribute_map(), rows), self.types);
        }
        let DataType::Map(field, sorted) = attribute_map() else { unreachable!("a map") };
        let DataType::Struct(fields) = field.data_type().clone() else { unreachable!("a map's entry") };
        let entries = StructArray::new(fields, vec![fitted(&mut self.keys), fitted(&mut self.values)], None);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let valid = Some(NullBuffer::from(self.valid));
        (Arc::new(MapArray::new(field, offsets, entries, valid, sorted)), self.types)
    }
}
