//! The columns of a batch, found by their names and read row by row.

use std::sync::LazyLock;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Attr, Value};
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// A dictionary-encoded text column. It is asked for every row, so that what can be known of all of them is.
#[derive(Debug, Clone, Copy)]
pub struct Keyword<'a> {
    keys: &'a [i32],
    /// `None`: every row has a key.
    nulls: Option<&'a NullBuffer>,
    values: &'a StringArray,
    values_have_nulls: bool,
}

impl<'a> Keyword<'a> {
    fn of(array: &'a DictionaryArray<Int32Type>, values: &'a StringArray) -> Self {
        Self {
            keys: array.keys().values(),
            nulls: array.nulls().filter(|nulls| nulls.null_count() > 0),
            values,
            values_have_nulls: values.null_count() > 0,
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let key = usize::try_from(self.keys[row]).ok()?;
        (!self.values_have_nulls || self.values.is_valid(key)).then(|| self.values.value(key))
    }

    pub(super) fn or_empty(&self, row: usize) -> &'a str {
        self.get(row).unwrap_or("")
    }
}

/// A keyword's column that has fewer words than rows, each of which is read once.
#[derive(Debug)]
pub(super) struct Words<'a> {
    keys: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    words: Vec<Value<'a>>,
}

impl<'a> Words<'a> {
    #[inline]
    fn get(&self, row: usize) -> Option<Value<'a>> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        self.words.get(usize::try_from(self.keys[row]).ok()?).copied()
    }
}

impl<'a> From<Keyword<'a>> for AttrColumn<'a> {
    fn from(keyword: Keyword<'a>) -> Self {
        let Keyword { keys, nulls, values, values_have_nulls } = keyword;
        if values_have_nulls || values.len() > keys.len() {
            return Self::Keyword(keyword);
        }
        if values.len() == 1 && nulls.is_none() {
            return Self::Constant(Value::Str(values.value(0)));
        }
        Self::Words(Words { keys, nulls, words: values.iter().flatten().map(Value::Str).collect() })
    }
}

/// The column of an attribute.
#[derive(Debug)]
pub(super) enum AttrColumn<'a> {
    /// The same in every row, as what a resource says of itself often is.
    Constant(Value<'a>),
    Words(Words<'a>),
    Keyword(Keyword<'a>),
    Text(&'a StringArray),
    Int(&'a Int64Array),
    Double(&'a Float64Array),
    Bool(&'a BooleanArray),
}

impl<'a> AttrColumn<'a> {
    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<Value<'a>> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Words(words) => words.get(row),
            Self::Keyword(k) => k.get(row).map(Value::Str),
            Self::Text(a) => a.is_valid(row).then(|| Value::Str(a.value(row))),
            Self::Int(a) => a.is_valid(row).then(|| Value::Int(a.value(row))),
            Self::Double(a) => a.is_valid(row).then(|| Value::Double(a.value(row))),
            Self::Bool(a) => a.is_valid(row).then(|| Value::Bool(a.value(row))),
        }
    }
}

static SPAN_COLUMNS: LazyLock<FxHashMap<String, usize>> = LazyLock::new(|| {
    let schema = Table::Spans.file_schema();
    schema.fields().iter().enumerate().map(|(index, field)| (field.name().clone(), index)).collect()
});

/// Finds columns by name and says which one is missing or of another type.
pub(crate) struct Columns<'a> {
    schema: SchemaRef,
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        Self { schema: batch.schema(), batch }
    }

    fn column(&self, name: &str) -> Result<&'a ArrayRef, StoreError> {
        // Nearly every batch has the file schema of spans, of which a look through the names would be long.
        let usual = SPAN_COLUMNS.get(name).copied();
        let is_it = |index: &usize| self.schema.fields().get(*index).is_some_and(|f| f.name() == name);
        let index = match usual.filter(is_it) {
            Some(index) => index,
            None => self.schema.index_of(name).map_err(StoreError::arrow(format!("column {name}")))?,
        };
        Ok(self.batch.column(index))
    }

    pub(super) fn typed<T: 'static>(&self, name: &str) -> Result<&'a T, StoreError> {
        self.column(name)?.as_any().downcast_ref().ok_or_else(|| StoreError::Arrow {
            context: format!("column {name}"),
            source: arrow::error::ArrowError::SchemaError("unexpected type".into()),
        })
    }

    pub(crate) fn keyword(&self, name: &str) -> Result<Keyword<'a>, StoreError> {
        let array: &DictionaryArray<Int32Type> = self.typed(name)?;
        let values = array.values().as_any().downcast_ref().ok_or_else(|| StoreError::Arrow {
            context: format!("column {name}"),
            source: arrow::error::ArrowError::SchemaError("dictionary values are not text".into()),
        })?;
        Ok(Keyword::of(array, values))
    }

    /// `None` where no row has any.
    pub(super) fn some_keyword(&self, name: &str) -> Result<Option<Keyword<'a>>, StoreError> {
        let column = self.column(name)?;
        (column.null_count() < column.len()).then(|| self.keyword(name)).transpose()
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a StringArray, StoreError> {
        self.typed(name)
    }

    pub(crate) fn int(&self, name: &str) -> Result<&'a Int64Array, StoreError> {
        self.typed(name)
    }

    pub(super) fn attribute(&self, attr: Attr) -> Result<Option<AttrColumn<'a>>, StoreError> {
        use plimsoll_schemas::AttrType;
        let name = attr.info().column;
        let column = self.column(name)?;
        if column.null_count() == column.len() || column.logical_null_count() == column.len() {
            return Ok(None);
        }
        Ok(Some(match attr.info().kind {
            AttrType::Keyword => self.keyword(name)?.into(),
            AttrType::Text => AttrColumn::Text(self.text(name)?),
            AttrType::Int => AttrColumn::Int(self.int(name)?),
            AttrType::Double => AttrColumn::Double(self.typed(name)?),
            AttrType::Bool => AttrColumn::Bool(self.typed(name)?),
        }))
    }

    pub(super) fn some_list(&self, name: &str) -> Result<Option<&'a ListArray>, StoreError> {
        let list: &ListArray = self.typed(name)?;
        Ok((list.null_count() < list.len()).then_some(list))
    }
}
