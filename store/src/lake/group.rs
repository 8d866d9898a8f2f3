//! The one row group of a file, column after column.

use std::vec::IntoIter;

use arrow::array::{ArrayRef, UInt32Array};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::Table;

use super::bloom::collect_ids;
use super::gather::{Column, Gather, Keywords};
use super::keyword_chunk;
use super::properties::DICTIONARY_BYTES_MAX;
use super::tokens::Tokens;
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
    pub trace_ids: Vec<TraceId>,
    /// Of the file, likewise.
    pub tokens: Option<Tokens>,
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
    ) -> Result<(), StoreError> {
        match column {
            Column::Keywords(keywords) => {
                if let Some(tokens) = &mut self.tokens {
                    tokens.add_words(all.schema.field(index).name(), || keywords.used(rows.values()));
                }
                if self.append_keywords(keywords, rows)? {
                    return Ok(());
                }
                self.append_array(all, index, &keywords.to_array(), rows, None)
            }
            Column::Other(array) => {
                let mut tokens = self.tokens.take();
                let appended = self.append_array(all, index, array, rows, tokens.as_mut());
                self.tokens = tokens;
                appended
            }
        }
    }

    /// False where the words repeat too little.
    fn append_keywords(&mut self, keywords: &Keywords<'_>, rows: &UInt32Array) -> Result<bool, StoreError> {
        let failed = |e| StoreError::parquet(self.context.as_str())(e);
        let leaf = &self.leaves.as_slice()[0];
        let chunk =
            keyword_chunk::encode(leaf, keywords, rows.values(), &self.properties, DICTIONARY_BYTES_MAX);
        let Some(chunk) = chunk.map_err(failed)? else { return Ok(false) };
        self.group.append_column(&chunk.bytes, chunk.close).map_err(failed)?;
        self.writers.next();
        self.leaves.next();
        Ok(true)
    }

    fn append_array(
        &mut self,
        all: &Gather<'_>,
        index: usize,
        array: &ArrayRef,
        rows: &UInt32Array,
        mut tokens: Option<&mut Tokens>,
    ) -> Result<(), StoreError> {
        let failed = |e| StoreError::parquet(self.context.as_str())(e);
        let field = all.schema.field(index);
        let mut writers: Vec<ArrowColumnWriter> = Vec::new();
        for at in (0..rows.len()).step_by(ROWS_AT_A_TIME) {
            let array = all.rows(index, array, &rows.slice(at, ROWS_AT_A_TIME.min(rows.len() - at)))?;
            if self.table == Table::Spans && field.name() == "trace_id" {
                collect_ids(&array, &mut self.trace_ids);
            }
            if let Some(tokens) = &mut tokens {
                tokens.add(field.name(), &array);
            }
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

    /// Ends the row group, and answers the traces whose spans it has, and their attributes.
    pub fn close(self) -> Result<(Vec<TraceId>, Option<Tokens>), StoreError> {
        self.group.close().map_err(StoreError::parquet(self.context))?;
        Ok((self.trace_ids, self.tokens))
    }
}
