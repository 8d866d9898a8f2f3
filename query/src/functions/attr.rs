//! `attr(attributes, 'key')`: the text of one attribute that has no column of its own; null where there is none.

use std::sync::Arc;

use arrow::array::{Array, AsArray, MapArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Attr {
    signature: Signature,
}

impl Default for Attr {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Attr {
    fn name(&self) -> &str {
        "attr"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::Map(..)) => Ok(DataType::Utf8),
            other => plan_err!(
                "attr(map, 'key'): the first argument must be a map such as attributes, got {}",
                other.map_or_else(String::new, ToString::to_string)
            ),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Scalar(key)) = args.args.get(1) else {
            return exec_err!("attr(map, 'key'): the key must be a constant");
        };
        let Some(Some(key)) = key.try_as_str() else {
            return exec_err!("attr(map, 'key'): the key must be text");
        };
        let maps = args.args[0].to_array(args.number_rows)?;
        let maps: &MapArray = maps.as_map();
        let (keys, values) = (maps.keys().as_string::<i32>(), maps.values().as_string::<i32>());
        let mut found = StringBuilder::new();
        for row in 0..maps.len() {
            let entries = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
            let entry = entries.filter(|_| maps.is_valid(row)).find(|i| keys.value(*i) == key);
            found.append_option(entry.filter(|i| values.is_valid(*i)).map(|i| values.value(i)));
        }
        if matches!(args.args[0], ColumnarValue::Scalar(_)) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found.finish(), 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}
