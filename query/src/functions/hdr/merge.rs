//! `hdr_histogram(value)` makes a histogram of a column, `hdr_merge(histogram)` one of several: what counts in parts
//! counts in the whole, so that quantiles of any stretch of time come from those of its minutes.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::histogram::{Histogram, decode};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Histograms {
    name: &'static str,
    signature: Signature,
}

impl Histograms {
    pub fn of_values() -> Self {
        Self::new("hdr_histogram", DataType::Int64)
    }

    pub fn merged() -> Self {
        Self::new("hdr_merge", DataType::Binary)
    }

    fn new(name: &'static str, of: DataType) -> Self {
        Self { name, signature: Signature::exact(vec![of], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Histograms {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counting::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Field::new(format!("{}[hdr]", args.name), DataType::Binary, true).into()])
    }
}

#[derive(Debug, Default)]
struct Counting(Histogram);

impl Counting {
    fn merge(&mut self, histograms: &dyn Array) -> Result<()> {
        for bytes in histograms.as_binary::<i32>().iter().flatten() {
            decode(bytes, |value, count| {
                self.0.add(value, count);
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Accumulator for Counting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values[0].as_primitive_opt::<Int64Type>() else { return self.merge(&values[0]) };
        for value in values.iter().flatten() {
            // A clock that ran backwards counts as zero, as in hdr_quantile.
            self.0.add(u64::try_from(value).unwrap_or(0), 1);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.0.encode()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(&states[0])
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int64Array};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_make_the_whole(parts in prop::collection::vec(prop::collection::vec(0_i64..1 << 50, 0..50), 0..6)) {
            let column = |values: &[i64]| -> ArrayRef { std::sync::Arc::new(Int64Array::from(values.to_vec())) };
            let mut whole = Counting::default();
            whole.update_batch(&[column(&parts.concat())]).expect("values");
            let stored: Vec<Option<Vec<u8>>> = parts
                .iter()
                .map(|part| {
                    let mut counting = Counting::default();
                    counting.update_batch(&[column(part)]).expect("values");
                    counting.0.encode()
                })
                .collect();
            let stored: BinaryArray = stored.iter().map(|bytes| bytes.as_deref()).collect();
            let mut merged = Counting::default();
            merged.update_batch(&[std::sync::Arc::new(stored)]).expect("histograms");
            prop_assert_eq!(merged.evaluate().expect("bytes"), whole.evaluate().expect("bytes"));
        }
    }
}
