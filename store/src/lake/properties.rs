//! How a table's Parquet files are encoded. The reasons stand at the constants.

use arrow::datatypes::{DataType, Schema};
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use plimsoll_schemas::table::Table;

use super::stats;
use crate::error::StoreError;

/// For how long a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Until the next merge: a flush should be quick.
    Quick,
    /// For good.
    Thorough,
}

impl Effort {
    const fn zstd_level(self) -> i32 {
        match self {
            Self::Quick => 1,
            // Above it, time for a few percent of bytes.
            Self::Thorough => 3,
        }
    }
}

/// A lookup by trace decodes one page of each column.
const PAGE_ROWS_MAX: usize = 4 * 1024;
/// Readers decode the whole dictionary of a column for a single row of it.
pub const DICTIONARY_BYTES_MAX: usize = 256 * 1024;

/// The writer properties of a table's files with these columns.
pub fn writer_properties(
    table: Table,
    effort: Effort,
    schema: &Schema,
    parquet: &SchemaDescriptor,
) -> Result<WriterProperties, StoreError> {
    let level = ZstdLevel::try_new(effort.zstd_level()).map_err(StoreError::parquet("zstd level"))?;
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("plimsoll ", env!("CARGO_PKG_VERSION")).to_string())
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        // In all columns but the sorted ones every page spans about the whole range of values.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(sorting_columns(table, parquet)));
    for name in table.sort_columns() {
        builder = builder.set_column_statistics_enabled((*name).into(), EnabledStatistics::Page);
    }
    for field in schema.fields() {
        let column = match field.data_type() {
            DataType::List(items) => {
                ColumnPath::new(vec![field.name().clone(), "list".into(), items.name().clone()])
            }
            _ => field.name().as_str().into(),
        };
        if let Some(encoding) = encoding(field.name(), field.data_type()) {
            // All spans of a request have them in common, and nearly always all of a trace's.
            let repeats = matches!(field.name().as_str(), "wal_seq" | "ingest_unix_nano");
            builder = builder.set_column_dictionary_enabled(column.clone(), repeats);
            builder = builder.set_column_encoding(column.clone(), encoding);
        }
        // The range of ids says nothing, and to find it every one is compared.
        let is_id = matches!(field.data_type(), DataType::Utf8 | DataType::List(_));
        if is_id && !stats::columns(table).any(|name| name == field.name()) {
            builder = builder.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
    }
    let mut properties = builder.build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    Ok(properties)
}

/// The encoding of a column whose values do not repeat enough for a dictionary.
fn encoding(name: &str, data_type: &DataType) -> Option<Encoding> {
    let is_time = matches!(data_type, DataType::Timestamp(..))
        || name.ends_with("_unix_nano")
        || name.ends_with("_ns")
        || matches!(name, "wal_seq" | "revision");
    match data_type {
        // Neighbours share a prefix where rows are sorted by it, and all of it within a trace.
        DataType::Utf8 if name == "trace_id" => Some(Encoding::DELTA_BYTE_ARRAY),
        // The lengths apart, so that the digits alone are compressed.
        DataType::Utf8 | DataType::Binary => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        DataType::List(items) if *items.data_type() == DataType::Utf8 => {
            Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)
        }
        _ if is_time => Some(Encoding::DELTA_BINARY_PACKED),
        _ => None,
    }
}

/// Parquet numbers leaves, not fields.
fn sorting_columns(table: Table, parquet: &SchemaDescriptor) -> Vec<SortingColumn> {
    let leaf = |name: &str| parquet.columns().iter().position(|c| c.path().string() == name);
    let leaves = table.sort_columns().iter().filter_map(|name| i32::try_from(leaf(name)?).ok());
    leaves.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false }).collect()
}
