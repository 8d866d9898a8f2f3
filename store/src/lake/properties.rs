//! How a table's Parquet files are encoded. The reasons stand at the constants.

use arrow::datatypes::{DataType, Schema};
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use plimsoll_schemas::table::Table;

use super::group::is_encoded;
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
    pub const fn zstd_level(self) -> i32 {
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
const DICTIONARY_BYTES_MAX: usize = 256 * 1024;

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
        // Other chunks are compressed before the library has them (see `chunk`): of columns that it compresses it makes a context each.
        if !is_encoded(field.data_type()) {
            let leaves = parquet.columns().iter().map(|leaf| leaf.path());
            for leaf in leaves.filter(|leaf| leaf.parts().first() == Some(field.name())) {
                builder = builder.set_column_compression(leaf.clone(), Compression::ZSTD(level));
            }
        }
        // Ids do not repeat.
        if matches!(field.data_type(), DataType::List(items) if *items.data_type() == DataType::Utf8) {
            builder = builder.set_column_dictionary_enabled(column.clone(), false);
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

/// Parquet numbers leaves, not fields.
fn sorting_columns(table: Table, parquet: &SchemaDescriptor) -> Vec<SortingColumn> {
    let leaf = |name: &str| parquet.columns().iter().position(|c| c.path().string() == name);
    let leaves = table.sort_columns().iter().filter_map(|name| i32::try_from(leaf(name)?).ok());
    leaves.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false }).collect()
}
