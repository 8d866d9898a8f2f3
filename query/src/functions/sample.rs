//! `sample_ids(id, weight)`: the distinct ids of the rows with the greatest weights, so that a number on a screen
//! leads to traces that show it.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

const SAMPLES: usize = 5;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SampleIds {
    signature: Signature,
}

impl Default for SampleIds {
    fn default() -> Self {
        let signature = Signature::exact(vec![DataType::Utf8, DataType::Int64], Volatility::Immutable);
        Self { signature }
    }
}

fn texts() -> DataType {
    DataType::new_list(DataType::Utf8, true)
}

fn longs() -> DataType {
    DataType::new_list(DataType::Int64, true)
}

impl AggregateUDFImpl for SampleIds {
    fn name(&self) -> &str {
        "sample_ids"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(texts())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Top::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![
            Field::new(format!("{}[ids]", args.name), texts(), true).into(),
            Field::new(format!("{}[weights]", args.name), longs(), true).into(),
        ])
    }
}

/// By weight, then id, so that the same rows in any order give the same sample.
#[derive(Debug, Default)]
struct Top(BTreeSet<(i64, String)>);

impl Top {
    fn add(&mut self, weight: i64, id: &str) {
        if self.0.len() == SAMPLES && self.0.first().is_some_and(|(w, i)| (weight, id) <= (*w, i.as_str())) {
            return;
        }
        if let Some(known) = self.0.iter().find(|(_, i)| i == id).cloned() {
            if known.0 >= weight {
                return;
            }
            self.0.remove(&known);
        }
        self.0.insert((weight, id.to_owned()));
        if self.0.len() > SAMPLES {
            self.0.pop_first();
        }
    }

    fn add_all(&mut self, ids: &dyn Array, weights: &dyn Array) -> Result<()> {
        let ids = cast(ids, &DataType::Utf8)?;
        let (ids, weights): (&StringArray, _) = (ids.as_string(), weights.as_primitive::<Int64Type>());
        for i in (0..ids.len()).filter(|i| ids.is_valid(*i)) {
            // An unknown weight comes last.
            self.add(if weights.is_valid(i) { weights.value(i) } else { i64::MIN }, ids.value(i));
        }
        Ok(())
    }

    fn ids(&self) -> ScalarValue {
        let ids: Vec<_> = self.0.iter().rev().map(|(_, id)| ScalarValue::from(id.as_str())).collect();
        ScalarValue::List(ScalarValue::new_list(&ids, &DataType::Utf8, true))
    }
}

impl Accumulator for Top {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], &values[1])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.ids())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.iter().map(|(_, id)| id.capacity() + 32).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let weights: Vec<_> = self.0.iter().rev().map(|(w, _)| ScalarValue::from(*w)).collect();
        let weights = ScalarValue::List(ScalarValue::new_list(&weights, &DataType::Int64, true));
        Ok(vec![self.ids(), weights])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (ids, weights): (&ListArray, &ListArray) = (states[0].as_list(), states[1].as_list());
        for i in (0..ids.len()).filter(|i| ids.is_valid(*i) && weights.is_valid(*i)) {
            self.add_all(&ids.value(i), &weights.value(i))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_distinct_ids_are_kept() {
        let mut top = Top::default();
        for (weight, id) in [(1, "a"), (9, "b"), (3, "c"), (10, "b"), (4, "d"), (5, "e"), (2, "f"), (8, "g")]
        {
            top.add(weight, id);
        }
        let ids: Vec<_> = top.0.iter().rev().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids, ["b", "g", "e", "d", "c"]);
    }
}
