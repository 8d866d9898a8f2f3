//! Builds the rows of a derived table, one after the other, column by column.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, BooleanBuilder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::Tokens;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Envelope, Slice, SpanId, TraceId, UnixNanos};

use crate::error::StoreError;
use crate::keyword::KeywordBuilder;
use crate::numbers::Numbers;
use crate::text::TextBuilder;

/// Builders of one table, in the order of its file schema.
pub struct Rows {
    pub table: Table,
    columns: Vec<Column>,
    rows_expected: usize,
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
    /// With room for so many rows.
    fn new(field: &Field, rows: usize) -> Self {
        let digits = if field.name() == "trace_id" { TraceId::HEX_DIGITS } else { SpanId::HEX_DIGITS };
        match field.data_type() {
            DataType::Dictionary(..) => Self::Keyword(KeywordBuilder::default()),
            DataType::Int64 => Self::Long(Numbers::with_capacity(rows)),
            DataType::Int32 => Self::Int(Numbers::with_capacity(rows)),
            DataType::Float64 => Self::Double(Numbers::with_capacity(rows)),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Timestamp(..) => Self::Time(Numbers::with_capacity(rows)),
            DataType::List(item) => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(item.clone()))
            }
            _ => Self::Text(TextBuilder::with_capacity(rows, digits)),
        }
    }

    fn finish(self, rows: usize) -> ArrayRef {
        match self {
            Self::Keyword(b) => b.finish(rows),
            Self::Text(b) => b.finish(),
            Self::Long(n) => n.finish(rows, |array| array),
            Self::Int(n) => n.finish(rows, |array| array),
            Self::Double(n) => n.finish(rows, |array| array),
            Self::Bool(mut b) => Arc::new(b.finish()),
            Self::Time(n) => n.finish(rows, |array| array.with_timezone("UTC")),
            Self::Texts(mut b) => Arc::new(b.finish()),
        }
    }
}

fn columns(table: Table, rows: usize) -> Vec<Column> {
    table.file_schema().fields().iter().map(|field| Column::new(field, rows)).collect()
}

/// Appends one row column by column. A value of another type than its column's is a mistake in this file,
/// which the schema check of [`Rows::finish`] turns into an error.
impl Rows {
    /// With room for so many rows.
    pub fn new(table: Table, rows: usize) -> Self {
        Self { table, columns: columns(table, rows), rows_expected: rows, rows: 0, at: 0 }
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
        let row = self.rows;
        if let (Column::Long(n), Some(value)) = (self.next(), value) {
            n.put(row, value);
        }
        self
    }

    pub fn int(&mut self, value: u32) -> &mut Self {
        let row = self.rows;
        if let Column::Int(n) = self.next() {
            n.put(row, i32::try_from(value).unwrap_or(i32::MAX));
        }
        self
    }

    pub fn double(&mut self, value: Option<f64>) -> &mut Self {
        let row = self.rows;
        if let (Column::Double(n), Some(value)) = (self.next(), value) {
            n.put(row, value);
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
        let row = self.rows;
        if let Column::Time(n) = self.next() {
            n.put(row, time.micros());
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
        let columns = std::mem::replace(&mut self.columns, columns(self.table, self.rows_expected));
        let columns = columns.into_iter().map(|column| column.finish(rows)).collect();
        let batch = RecordBatch::try_new(self.table.file_schema(), columns)
            .map_err(StoreError::arrow(format!("rows of {}", self.table.as_str())))?;
        Ok(Some(batch))
    }
}
