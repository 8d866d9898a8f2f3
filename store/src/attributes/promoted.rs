//! What an attribute costs that has a column of its own.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Attr;
use plimsoll_schemas::attr::Scope;

use super::{AttributeUse, Distinct};
use crate::error::StoreError;

/// An attribute that has a column; `None` where no row has it.
pub fn promoted(attr: Attr, batches: &[RecordBatch]) -> Result<Option<AttributeUse>, StoreError> {
    let info = attr.info();
    let (mut rows, mut value_bytes) = (0, 0);
    let mut values = Distinct::default();
    let mut types = "";
    for column in batches.iter().filter_map(|batch| batch.column_by_name(info.column)) {
        let nulls = column.logical_null_count();
        if nulls == column.len() {
            continue;
        }
        rows += (column.len() - nulls) as u64;
        types = match column.data_type() {
            DataType::Int64 => "int",
            DataType::Float64 => "double",
            DataType::Boolean => "bool",
            _ => "string",
        };
        value_bytes += match column.data_type() {
            DataType::Boolean => (column.len() - nulls) as u64,
            DataType::Int64 | DataType::Float64 => (size_of::<u64>() * (column.len() - nulls)) as u64,
            _ => 0,
        };
        if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>()
            && let Some(words) = dictionary.values().as_string_opt::<i32>()
        {
            let mut used = vec![0_u64; words.len()];
            dictionary.keys().iter().flatten().for_each(|key| used[key as usize] += 1);
            for (word, times) in words.iter().zip(used).filter(|(_, times)| *times > 0) {
                let word = word.unwrap_or_default();
                values.add(word);
                value_bytes += times * word.len() as u64;
            }
            continue;
        }
        let is_text = *column.data_type() == DataType::Utf8;
        let texts: ArrayRef = if is_text {
            column.clone()
        } else {
            cast(column, &DataType::Utf8).map_err(StoreError::arrow(format!("column {}", info.column)))?
        };
        for text in texts.as_string::<i32>().iter().flatten() {
            values.add(text);
            value_bytes += if is_text { text.len() as u64 } else { 0 };
        }
    }
    Ok((rows > 0).then(|| AttributeUse {
        scope: match info.scope {
            Scope::Span => "span",
            Scope::Resource => "resource",
        },
        key: info.name.to_owned(),
        types: types.to_owned(),
        column: Some(info.column),
        rows,
        value_bytes,
        distinct: values.count(),
        promotion_saves_bytes: None,
    }))
}
