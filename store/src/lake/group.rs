//! A row group of a file, column after column.

use std::vec::IntoIter;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::DataType;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::{Table, attribute_map};

use super::bloom::collect_ids;
use super::chunk::{Chunk, Compressors, keywords, lists, numbers, texts};
use super::gather::{Column, Gather, Lists, Texts};
use super::tokens::{Tokenized, Tokens};
use super::upload::Upload;
use crate::error::StoreError;

/// Rows that are taken and encoded at a time: they stay in the cache from one to the other.
const ROWS_AT_A_TIME: usize = 16 * 1024;

pub struct GroupWriter<'f> {
    pub table: Table,
    pub group: SerializedRowGroupWriter<'f, Upload>,
    pub writers: IntoIter<ArrowColumnWriter>,
    /// The columns that are still to come, as Parquet has them.
    pub leaves: IntoIter<ColumnDescPtr>,
    pub properties: WriterPropertiesPtr,
    /// Of the file, for its bloom filter.
    pub trace_ids: &'f mut Vec<TraceId>,
    /// Of the file, likewise.
    pub tokens: Option<&'f mut Tokens>,
    pub context: String,
}

impl GroupWriter<'_> {
    /// Appends the next column: these rows of the batches' column at `index`.
    pub fn append(
        &mut self,
        all: &Gather<'_>,
        index: usize,
        column: &Column<'_>,
        rows: &UInt32Array,
        compressors: &mut Compressors,
    ) -> Result<(), StoreError> {
        let name = all.schema.field(index).name();
        match column {
            Column::Keywords(keywords) => {
                if let Some(tokens) = &mut self.tokens {
                    tokens.add_words(name, || keywords.used(rows.values()));
                }
                let leaf = &self.leaves.as_slice()[0];
                let (rows, properties) = (rows.values(), &self.properties);
                let chunk = keywords::encode(leaf, keywords, rows, properties, compressors);
                // They may repeat too little for a dictionary.
                let texts = || texts::encode_keywords(leaf, keywords, rows, properties, compressors);
                let chunk = chunk.and_then(|chunk| chunk.map_or_else(texts, Ok));
                self.append_chunk(Some(chunk)).map(|_| ())
            }
            Column::Texts(texts) => {
                self.note(name, texts, rows.values());
                let leaf = &self.leaves.as_slice()[0];
                let chunk = texts::encode(leaf, texts, rows.values(), &self.properties, compressors);
                self.append_chunk(Some(chunk)).map(|_| ())
            }
            Column::Lists(leaves) => {
                self.note_entries(name, leaves, rows.values());
                for items in leaves {
                    let leaf = &self.leaves.as_slice()[0];
                    let chunk = lists::encode(leaf, items, rows.values(), &self.properties, compressors);
                    self.append_chunk(Some(chunk))?;
                }
                Ok(())
            }
            Column::Other(array) => {
                if let Some(tokens) = &mut self.tokens {
                    tokens.give_up(name);
                }
                let leaf = &self.leaves.as_slice()[0];
                let chunk = numbers_or_bytes(array, leaf, rows.values(), &self.properties, compressors);
                if self.append_chunk(chunk)? {
                    return Ok(());
                }
                self.append_array(all, index, array, rows)
            }
        }
    }

    /// Appends a chunk that is encoded already; false where there is none.
    fn append_chunk(&mut self, chunk: Option<ParquetResult<Chunk>>) -> Result<bool, StoreError> {
        let failed = |e| StoreError::parquet(self.context.as_str())(e);
        let Some(chunk) = chunk.transpose().map_err(failed)? else { return Ok(false) };
        self.group.append_column(&chunk.bytes, chunk.close).map_err(failed)?;
        self.writers.next();
        self.leaves.next();
        Ok(true)
    }

    /// Notes the texts of a column for the file's filters.
    fn note(&mut self, column: &str, texts: &Texts<'_>, rows: &[u32]) {
        let has_text = |row: &&u32| texts.nulls().is_none_or(|nulls| nulls.is_valid(**row as usize));
        let values = || rows.iter().filter(has_text).map(|row| texts.get(*row));
        if self.table == Table::Spans && column == "trace_id" {
            collect_ids(values(), self.trace_ids);
        }
        if let Some(tokens) = self.tokens.as_deref_mut().filter(|_| Tokenized::of(column).is_some()) {
            tokens.add_texts(column, values());
        }
    }

    /// Notes the entries of a column of maps likewise.
    fn note_entries(&mut self, column: &str, leaves: &[Lists<'_>], rows: &[u32]) {
        if let Some(tokens) = &mut self.tokens
            && let [keys, values] = leaves
        {
            let entries = rows.iter().flat_map(|row| keys.items(*row).zip(values.items(*row)));
            let entries = entries.flat_map(|(keys, values)| keys.zip(values));
            tokens.add_entries(column, entries.filter_map(|(key, value)| key.zip(value)));
        }
    }

    fn append_array(
        &mut self,
        all: &Gather<'_>,
        index: usize,
        array: &ArrayRef,
        rows: &UInt32Array,
    ) -> Result<(), StoreError> {
        let failed = |e| StoreError::parquet(self.context.as_str())(e);
        let field = all.schema.field(index);
        let mut writers: Vec<ArrowColumnWriter> = Vec::new();
        for at in (0..rows.len()).step_by(ROWS_AT_A_TIME) {
            let array = all.rows(index, array, &rows.slice(at, ROWS_AT_A_TIME.min(rows.len() - at)))?;
            let leaves = compute_leaves(field, &array).map_err(failed)?;
            if writers.is_empty() {
                writers.extend(self.writers.by_ref().take(leaves.len()));
            }
            for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                writer.write(leaf).map_err(failed)?;
            }
        }
        for writer in writers {
            let appended = writer.close().and_then(|chunk| chunk.append_to_row_group(&mut self.group));
            appended.map_err(failed)?;
            self.leaves.next();
        }
        Ok(())
    }

    pub fn close(self) -> Result<(), StoreError> {
        self.group.close().map_err(StoreError::parquet(self.context))?;
        Ok(())
    }
}

/// How [`super::chunk`] encodes columns of a type: all but structs in lists, and types that few columns have.
enum Encoded {
    Keywords,
    Texts,
    Lists,
    Bytes,
    Numbers,
}

impl Encoded {
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Dictionary(..) => Some(Self::Keywords),
            DataType::Utf8 => Some(Self::Texts),
            DataType::List(items) => (items.data_type() == &DataType::Utf8).then_some(Self::Lists),
            other if *other == attribute_map() => Some(Self::Lists),
            DataType::Binary => Some(Self::Bytes),
            other => numbers::has_type(other).then_some(Self::Numbers),
        }
    }
}

/// Whether columns of a type are encoded by [`super::chunk`].
pub fn is_encoded(data_type: &DataType) -> bool {
    Encoded::of(data_type).is_some()
}

/// The chunk of a column that comes as an array; `None` where the library encodes it.
fn numbers_or_bytes(
    array: &ArrayRef,
    column: &ColumnDescPtr,
    rows: &[u32],
    properties: &WriterProperties,
    compressors: &mut Compressors,
) -> Option<ParquetResult<Chunk>> {
    match Encoded::of(array.data_type())? {
        Encoded::Bytes => Some(texts::encode_bytes(column, array.as_binary(), rows, properties, compressors)),
        Encoded::Numbers => Some(numbers::encode(column, array, rows, properties, compressors)),
        // They come as [`Column::Keywords`], if their words are texts, [`Column::Texts`] and [`Column::Lists`].
        Encoded::Keywords | Encoded::Texts | Encoded::Lists => None,
    }
}
