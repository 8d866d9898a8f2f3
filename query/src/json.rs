//! Arrow as JSON: numbers as numbers up to 2^53, beyond that as text; what has no JSON form as readable text.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value, json};

/// Above it a double cannot tell neighbours apart.
const EXACT_MAX: u64 = 1 << 53;

/// One cell.
pub fn cell(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => {
            let n = array.as_primitive::<Int64Type>().value(row);
            if n.unsigned_abs() > EXACT_MAX { n.to_string().into() } else { n.into() }
        }
        DataType::UInt64 => {
            let n = array.as_primitive::<UInt64Type>().value(row);
            if n > EXACT_MAX { n.to_string().into() } else { n.into() }
        }
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let key = usize::try_from(dictionary.keys().value(row)).unwrap_or(0);
            cell(dictionary.values().as_ref(), key)
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|i| cell(items.as_ref(), i)).collect()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let entries = fields.iter().zip(columns).map(|(f, c)| (f.name().clone(), cell(c.as_ref(), row)));
            Value::Object(entries.collect())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let key = |i| match cell(keys.as_ref(), i) {
                Value::String(key) => key,
                other => other.to_string(),
            };
            Value::Object((0..entries.len()).map(|i| (key(i), cell(values.as_ref(), i))).collect())
        }
        _ => {
            let options = FormatOptions::default().with_display_error(true);
            ArrayFormatter::try_new(array, &options).map_or(Value::Null, |f| f.value(row).to_string().into())
        }
    }
}

/// Rows as objects by column name.
pub fn objects(batches: &[RecordBatch]) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let columns = schema.fields().iter().zip(batch.columns());
            rows.push(columns.map(|(f, c)| (f.name().clone(), cell(c.as_ref(), row))).collect());
        }
    }
    rows
}

/// The name under which a column's type is shown.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(_, value) => type_name(value),
        other => other.to_string(),
    }
}
