//! Builds the rows of a derived table, one after the other, column by column.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, ArrowPrimitiveType, BooleanBufferBuilder, BooleanBuilder, ListBuilder,
    PrimitiveArray, StringBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::Tokens;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Envelope, Slice, SpanId, UnixNanos};

use crate::error::StoreError;
use crate::keyword::KeywordBuilder;
use crate::text::TextBuilder;

/// Builders of one table, in the order of its file schema.
pub struct Rows {
    pub table: Table,
    columns: Vec<Column>,
    pub rows: usize,
    at: usize,
}

enum Column {
    Keyword(KeywordBuilder<'static>),
    Text(TextBuilder),
    Long(Numbers<Int64Type>),
    Int(Numbers<Int32Type>),
    Double(Numbers<Float64Type>),
    Bool(BooleanBuilder),
    Time(Numbers<TimestampMicrosecondType>),
    Texts(ListBuilder<StringBuilder>),
}

impl Column {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(..) => Self::Keyword(KeywordBuilder::default()),
            DataType::Int64 => Self::Long(Numbers::default()),
            DataType::Int32 => Self::Int(Numbers::default()),
            DataType::Float64 => Self::Double(Numbers::default()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Timestamp(..) => Self::Time(Numbers::default()),
            DataType::List(field) => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(field.clone()))
            }
            _ => Self::Text(TextBuilder::default()),
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Keyword(b) => std::mem::take(b).finish(rows),
            Self::Text(b) => std::mem::take(b).finish(),
            Self::Long(n) => Arc::new(std::mem::take(n).finish()),
            Self::Int(n) => Arc::new(std::mem::take(n).finish()),
            Self::Double(n) => Arc::new(std::mem::take(n).finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Time(n) => Arc::new(std::mem::take(n).finish().with_timezone("UTC")),
            Self::Texts(b) => Arc::new(b.finish()),
        }
    }
}

/// Numbers of one type, most often all there.
struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    /// Rows without one.
    nulls: Vec<u32>,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new(), nulls: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    #[inline]
    fn push(&mut self, value: Option<T::Native>) {
        if value.is_none() {
            self.nulls.push(self.values.len() as u32);
        }
        self.values.push(value.unwrap_or_default());
    }

    fn finish(self) -> PrimitiveArray<T> {
        let rows = self.values.len();
        let nulls = (!self.nulls.is_empty()).then(|| {
            let mut valid = BooleanBufferBuilder::new(rows);
            valid.append_n(rows, true);
            self.nulls.iter().for_each(|row| valid.set_bit(*row as usize, false));
            NullBuffer::new(valid.finish())
        });
        PrimitiveArray::new(self.values.into(), nulls)
    }
}

/// Appends one row column by column. A value of another type than its column's is a mistake in this file,
/// which the schema check of [`Rows::finish`] turns into an error.
impl Rows {
    pub fn new(table: Table) -> Self {
        let columns = table.file_schema().fields().iter().map(|f| Column::new(f.data_type())).collect();
        Self { table, columns, rows: 0, at: 0 }
    }

    fn next(&mut self) -> &mut Column {
        let column = &mut self.columns[self.at];
        self.at += 1;
        column
    }

    pub fn text(&mut self, value: impl Into<Option<&'static str>>) -> &mut Self {
        self.str(value.into())
    }

    pub fn str(&mut self, value: Option<&str>) -> &mut Self {
        match self.next() {
            Column::Keyword(b) => match value {
                Some(value) => b.push_copy(value),
                None => b.push(None),
            },
            Column::Text(b) => match value {
                Some(value) => b.push(value.as_bytes()),
                None => b.push_null(),
            },
            _ => {}
        }
        self
    }

    /// An id's digits.
    pub fn hex(&mut self, digits: &[u8]) -> &mut Self {
        if let Column::Text(b) = self.next() {
            b.push(digits);
        }
        self
    }

    pub fn long(&mut self, value: Option<i64>) -> &mut Self {
        if let Column::Long(n) = self.next() {
            n.push(value);
        }
        self
    }

    pub fn int(&mut self, value: u32) -> &mut Self {
        if let Column::Int(n) = self.next() {
            n.push(Some(i32::try_from(value).unwrap_or(i32::MAX)));
        }
        self
    }

    pub fn double(&mut self, value: Option<f64>) -> &mut Self {
        if let Column::Double(n) = self.next() {
            n.push(value);
        }
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        if let Column::Bool(b) = self.next() {
            b.append_value(value);
        }
        self
    }

    /// The truth in nanoseconds and the timestamp for people, which stand side by side in every table.
    pub fn time(&mut self, time: UnixNanos) -> &mut Self {
        self.long(Some(time.0));
        if let Column::Time(n) = self.next() {
            n.push(Some(time.micros()));
        }
        self
    }

    pub fn texts<'t>(&mut self, values: impl Iterator<Item = &'t str>) -> &mut Self {
        self.list(|list| values.for_each(|value| list.append_value(value)))
    }

    pub fn hexes(&mut self, ids: impl Iterator<Item = SpanId>) -> &mut Self {
        self.list(|list| ids.for_each(|id| list.append_option(std::str::from_utf8(&id.hex()).ok())))
    }

    /// A list of nothing is null.
    fn list(&mut self, fill: impl FnOnce(&mut StringBuilder)) -> &mut Self {
        if let Column::Texts(b) = self.next() {
            let before = b.values().len();
            fill(b.values());
            let any = b.values().len() > before;
            b.append(any);
        }
        self
    }

    pub fn slice(&mut self, slice: &Slice<'_>) -> &mut Self {
        self.str(slice.workload_class).str(slice.model).str(slice.hardware)
    }

    pub fn envelope(&mut self, envelope: &Envelope<'_>) -> &mut Self {
        let Envelope { driver, runtime, model_digest, tokenizer_digest, concurrency } = *envelope;
        self.str(driver).str(runtime).str(model_digest).str(tokenizer_digest).long(concurrency)
    }

    pub fn tokens(&mut self, tokens: &Tokens) -> &mut Self {
        self.long(tokens.input).long(tokens.output).double(tokens.cost_usd)
    }

    pub fn end(&mut self) {
        debug_assert_eq!(self.at, self.columns.len(), "a row of {} is incomplete", self.table.as_str());
        self.at = 0;
        self.rows += 1;
    }

    pub fn finish(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(|column| column.finish(rows)).collect();
        let batch = RecordBatch::try_new(self.table.file_schema(), columns)
            .map_err(StoreError::arrow(format!("rows of {}", self.table.as_str())))?;
        Ok(Some(batch))
    }
}
