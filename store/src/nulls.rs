//! Columns without a value. Most columns of spans are such in a given request, and all of them share one array of each type.

use std::sync::LazyLock;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use plimsoll_schemas::table::{attribute_map, keyword};

/// Longer columns get an array of their own.
const SHARED_ROWS: usize = 8192;

static SHARED: LazyLock<Vec<ArrayRef>> = LazyLock::new(|| {
    let scalars =
        [keyword(), DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Float64, DataType::Boolean];
    scalars.iter().chain([&attribute_map()]).map(|t| new_null_array(t, SHARED_ROWS)).collect()
});

/// A column of nulls.
pub fn null_column(data_type: &DataType, rows: usize) -> ArrayRef {
    let shared = SHARED.iter().find(|array| array.data_type() == data_type);
    match shared {
        Some(array) if rows <= SHARED_ROWS => array.slice(0, rows),
        _ => new_null_array(data_type, rows),
    }
}
