//! `canonical_json(text)`: JSON without its accidents, the order of keys and white space; other text as it is.

use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::cast::as_string_array;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use plimsoll_analysis::canonical_json;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CanonicalJson {
    signature: Signature,
}

impl Default for CanonicalJson {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CanonicalJson {
    fn name(&self) -> &str {
        "canonical_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = args.args[0].to_array(args.number_rows)?;
        let mut canonical = StringBuilder::new();
        for text in as_string_array(&texts)? {
            canonical.append_option(text.map(canonical_json));
        }
        Ok(ColumnarValue::Array(Arc::new(canonical.finish())))
    }
}
