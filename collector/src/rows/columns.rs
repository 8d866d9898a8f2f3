//! Columns under construction. A column that nothing was put into costs one shared null array.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayBuilder, ArrayRef, BooleanBuilder, MapArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use plimsoll_schemas::table::{attribute_map, attribute_type};
use plimsoll_schemas::{Attr, AttrType};
use plimsoll_store::{KeywordBuilder, Numbers, null_column};

use super::lists::Lists;
use super::notes::Notes;
use super::value::{Any, text};

/// A promoted attribute's column.
#[derive(Debug)]
enum AttrColumn<'a> {
    Keyword(KeywordBuilder<'a>),
    /// With the text that was put last: neighbours often share one, as spans of one session do.
    Text(StringBuilder, &'a str),
    Int(Numbers<Int64Type>),
    Double(Numbers<Float64Type>),
    Bool(BooleanBuilder),
}

impl AttrColumn<'_> {
    #[cold]
    fn new(kind: AttrType, rows: usize) -> Self {
        match kind {
            AttrType::Keyword => Self::Keyword(KeywordBuilder::with_capacity(rows)),
            AttrType::Text => Self::Text(StringBuilder::new(), ""),
            AttrType::Int => Self::Int(Numbers::with_capacity(rows)),
            AttrType::Double => Self::Double(Numbers::with_capacity(rows)),
            AttrType::Bool => Self::Bool(BooleanBuilder::new()),
        }
    }
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
        let column = slot.get_or_insert_with(|| AttrColumn::new(attr.info().kind, capacity));
        match (column, value) {
            (AttrColumn::Keyword(k), Any::Str(s)) if k.len() <= row => drop(k.put(row, s, || text(s, notes))),
            (AttrColumn::Text(b, last), Any::Str(s)) if b.len() <= row => {
                if b.len() < row {
                    b.append_nulls(row - b.len());
                }
                if last.as_bytes() == s {
                    b.append_value(*last);
                } else {
                    let text = text(s, notes);
                    b.append_value(&text);
                    if let Cow::Borrowed(text) = text {
                        *last = text;
                    }
                }
            }
            (AttrColumn::Int(b), Any::Int(n)) if b.len() <= row => b.put(row, n),
            (AttrColumn::Double(b), Any::Double(x)) if b.len() <= row => b.put(row, x),
            (AttrColumn::Bool(b), Any::Bool(x)) if b.len() <= row => {
                b.append_nulls(row - b.len());
                b.append_value(x);
            }
            _ => return false,
        }
        true
    }

    /// The text that was put last into the attribute's column of words.
    #[inline]
    pub fn last(&self, attr: Attr) -> Option<&'a str> {
        match &self.columns[attr as usize] {
            Some(AttrColumn::Keyword(k)) => k.last(),
            _ => None,
        }
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
        let columns = self.columns.into_iter().zip(Attr::ALL);
        // Most columns have nothing: the null array of each type is looked for once.
        let mut absent: Vec<(AttrType, ArrayRef)> = Vec::new();
        columns
            .map(|(column, attr)| -> ArrayRef {
                match column {
                    None => {
                        let kind = attr.info().kind;
                        if let Some((_, array)) = absent.iter().find(|(k, _)| *k == kind) {
                            return array.clone();
                        }
                        let array = nulls.of(&attribute_type(kind));
                        absent.push((kind, array.clone()));
                        array
                    }
                    Some(AttrColumn::Keyword(k)) => k.finish(rows),
                    Some(AttrColumn::Text(mut b, _)) => {
                        b.append_nulls(rows - b.len());
                        fitted(&mut b)
                    }
                    Some(AttrColumn::Int(b)) => b.finish(rows, |array| array),
                    Some(AttrColumn::Double(b)) => b.finish(rows, |array| array),
                    Some(AttrColumn::Bool(mut b)) => {
                        b.append_nulls(rows - b.len());
                        Arc::new(b.finish())
                    }
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
#[derive(Debug, Default)]
pub struct Remainder {
    keys: StringBuilder,
    values: StringBuilder,
    lists: Lists,
    entries: usize,
    /// Bytes of keys and values, and whether some were left out to stay below the bound.
    bytes: usize,
    pub overflowed: bool,
    types: KeywordBuilder<'static>,
    /// The types of the row under construction, and whether one of them is not text.
    row_types: String,
    odd: bool,
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

    /// Ends the row. One without entries need not be ended.
    #[inline]
    pub fn end(&mut self, row: usize) {
        if self.lists.ends_at() != self.entries {
            self.end_with_entries(row);
        }
    }

    #[inline(never)] // So that a row without any takes no call.
    fn end_with_entries(&mut self, row: usize) {
        self.lists.end(row, self.entries);
        if self.odd {
            let types = &self.row_types;
            self.types.put(row, types.as_bytes(), || Cow::Owned(types.clone()));
        }
        self.row_types.clear();
        self.odd = false;
    }

    /// The map, and its types.
    pub fn finish(mut self, rows: usize) -> (ArrayRef, KeywordBuilder<'static>) {
        if self.entries == 0 {
            return (null_column(&attribute_map(), rows), self.types);
        }
        let DataType::Map(field, sorted) = attribute_map() else { unreachable!("a map") };
        let DataType::Struct(fields) = field.data_type().clone() else { unreachable!("a map's entry") };
        let entries = StructArray::new(fields, vec![fitted(&mut self.keys), fitted(&mut self.values)], None);
        let (offsets, valid) = self.lists.finish(rows);
        (Arc::new(MapArray::new(field, offsets, entries, Some(valid), sorted)), self.types)
    }
}
