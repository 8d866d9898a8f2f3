//! `hdr_quantile(value, q)`: a quantile by an HDR histogram, exact to three significant digits, in bounded memory.
//! Of histograms instead of values it is the quantile of all that they counted.

mod histogram;
pub mod merge;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, TypeSignature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use hdrhistogram::Histogram;

pub const SIGNIFICANT_DIGITS: u8 = 3;
/// Up to here values are kept as they are: a histogram takes a hundred kilobytes, and most groups are small.
const PLAIN_MAX: usize = 1_024;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HdrQuantile {
    signature: Signature,
}

impl Default for HdrQuantile {
    fn default() -> Self {
        let of = |what| TypeSignature::Exact(vec![what, DataType::Float64]);
        let signature =
            Signature::one_of(vec![of(DataType::Int64), of(DataType::Binary)], Volatility::Immutable);
        Self { signature }
    }
}

impl AggregateUDFImpl for HdrQuantile {
    fn name(&self) -> &str {
        "hdr_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let literal = args.exprs.get(1).and_then(|e| e.downcast_ref::<Literal>());
        let Some(ScalarValue::Float64(Some(q))) = literal.map(Literal::value) else {
            return plan_err!("hdr_quantile(value, q): q must be a constant number, such as 0.95");
        };
        if !(0.0..=1.0).contains(q) {
            return plan_err!("hdr_quantile(value, q): q must lie between 0 and 1, got {q}");
        }
        Ok(Box::new(Quantile { q: *q, sketch: Sketch::Plain(Vec::new()) }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Field::new(format!("{}[hdr]", args.name), DataType::Binary, true).into()])
    }
}

#[derive(Debug)]
struct Quantile {
    q: f64,
    sketch: Sketch,
}

#[derive(Debug)]
enum Sketch {
    Plain(Vec<u64>),
    Hdr(Histogram<u64>),
    /// Places and counts, as stored histograms have them; in any order.
    Few(Vec<(u32, u64)>),
    /// Counts by their places.
    Places(Vec<u64>),
}

impl Sketch {
    fn add(&mut self, value: u64, count: u64) -> Result<()> {
        match self {
            Self::Plain(values) if count == 1 && values.len() < PLAIN_MAX => values.push(value),
            Self::Hdr(histogram) => record(histogram, value, count)?,
            Self::Few(_) | Self::Places(_) => self.add_at(histogram::index(value), count),
            Self::Plain(values) => {
                let mut histogram = histogram(values)?;
                record(&mut histogram, value, count)?;
                *self = Self::Hdr(histogram);
            }
        }
        Ok(())
    }

    /// Adds what a stored histogram counted.
    fn count(&mut self, bytes: &[u8]) -> Result<()> {
        if let Self::Plain(values) = self
            && values.is_empty()
        {
            *self = Self::Few(Vec::new());
        }
        match self {
            Self::Few(_) | Self::Places(_) => histogram::decode_places(bytes, |place, count| {
                self.add_at(place, count);
                Ok(())
            }),
            _ => histogram::decode(bytes, |value, count| self.add(value, count)),
        }
    }

    fn add_at(&mut self, place: u32, count: u64) {
        match self {
            Self::Few(pairs) if pairs.len() < PLAIN_MAX => pairs.push((place, count)),
            Self::Few(pairs) => {
                let pairs = std::mem::take(pairs);
                *self = Self::Places(Vec::new());
                pairs.into_iter().for_each(|(place, count)| self.add_at(place, count));
                self.add_at(place, count);
            }
            Self::Places(counts) => {
                let place = place as usize;
                if place >= counts.len() {
                    counts.resize(place + 1, 0);
                }
                counts[place] += count;
            }
            Self::Plain(_) | Self::Hdr(_) => {}
        }
    }

    /// Pairs of value and count, little-endian.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pair = |value: u64, count: u64| {
            bytes.extend_from_slice(&value.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
        };
        match self {
            Self::Plain(values) => values.iter().for_each(|v| pair(*v, 1)),
            Self::Hdr(h) => h.iter_recorded().for_each(|v| pair(v.value_iterated_to(), v.count_at_value())),
            Self::Few(pairs) => {
                pairs.iter().for_each(|(place, count)| pair(histogram::highest(*place), *count))
            }
            Self::Places(counts) => {
                counted(counts).for_each(|(place, count)| pair(histogram::highest(place), count))
            }
        }
        bytes
    }

    fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let number = |b: &[u8]| b.try_into().map(u64::from_le_bytes).unwrap_or_default();
        for pair in bytes.chunks_exact(16) {
            self.add(number(&pair[..8]), number(&pair[8..]))?;
        }
        Ok(())
    }

    fn quantile(&self, q: f64) -> Result<Option<i64>> {
        let value = match self {
            Self::Plain(values) if values.is_empty() => return Ok(None),
            Self::Plain(values) => histogram(values)?.value_at_quantile(q),
            Self::Hdr(h) => h.value_at_quantile(q),
            Self::Few(pairs) => {
                let mut pairs = pairs.clone();
                pairs.sort_unstable();
                return Ok(quantile(pairs.into_iter(), q));
            }
            Self::Places(counts) => return Ok(quantile(counted(counts), q)),
        };
        Ok(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

/// A quantile of counts in the order of their places, as the library has it.
fn quantile(counts: impl Iterator<Item = (u32, u64)> + Clone, q: f64) -> Option<i64> {
    let rank = (q * counts.clone().map(|(_, count)| count).sum::<u64>() as f64).ceil() as u64;
    let mut before = 0;
    let (place, _) = counts.into_iter().find(|(_, count)| {
        before += count;
        before >= rank
    })?;
    // The least of those values that are not told apart, if the least is asked for.
    let is_least = q == 0.0 && place > 0;
    let value = if is_least { histogram::highest(place - 1) + 1 } else { histogram::highest(place) };
    Some(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Places with a count.
fn counted(counts: &[u64]) -> impl Iterator<Item = (u32, u64)> + Clone {
    counts.iter().zip(0_u32..).filter(|(count, _)| **count > 0).map(|(count, place)| (place, *count))
}

fn histogram(values: &[u64]) -> Result<Histogram<u64>> {
    let mut histogram =
        Histogram::new(SIGNIFICANT_DIGITS).map_err(|e| exec_datafusion_err!("hdr_quantile: {e}"))?;
    histogram.auto(true);
    for value in values {
        record(&mut histogram, *value, 1)?;
    }
    Ok(histogram)
}

fn record(histogram: &mut Histogram<u64>, value: u64, count: u64) -> Result<()> {
    histogram.record_n(value, count).map_err(|e| exec_datafusion_err!("hdr_quantile: {e}"))
}

impl Accumulator for Quantile {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(histograms) = values[0].as_binary_opt::<i32>() {
            for bytes in histograms.iter().flatten() {
                self.sketch.count(bytes)?;
            }
            return Ok(());
        }
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            // Durations and counts are not negative; a clock that ran backwards counts as zero.
            self.sketch.add(u64::try_from(value).unwrap_or(0), 1)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(self.sketch.quantile(self.q)?))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.sketch {
                Sketch::Plain(values) => values.capacity() * size_of::<u64>(),
                Sketch::Hdr(h) => h.distinct_values() * size_of::<u64>(),
                Sketch::Few(pairs) => pairs.capacity() * size_of::<(u32, u64)>(),
                Sketch::Places(counts) => counts.capacity() * size_of::<u64>(),
            }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.sketch.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states[0].as_binary::<i32>();
        for i in (0..states.len()).filter(|i| states.is_valid(*i)) {
            self.sketch.merge(states.value(i))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    fn accumulator(q: f64) -> Quantile {
        Quantile { q, sketch: Sketch::Plain(Vec::new()) }
    }

    fn exact(values: &[i64], q: f64) -> i64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        sorted[rank - 1]
    }

    proptest! {
        #[test]
        fn it_is_exact_to_three_digits_however_it_is_split(
            values in prop::collection::vec(0_i64..10_000_000_000_000, 1..3_000),
            q in prop::sample::select(vec![0.0, 0.5, 0.95, 0.99, 1.0]),
            parts in 1_usize..5,
        ) {
            let mut whole = accumulator(q);
            for part in values.chunks(values.len().div_ceil(parts)) {
                let mut partial = accumulator(q);
                let array: ArrayRef = std::sync::Arc::new(Int64Array::from(part.to_vec()));
                partial.update_batch(&[array]).expect("update");
                let state = partial.state().expect("state")[0].to_array().expect("array");
                whole.merge_batch(&[state]).expect("merge");
            }
            let ScalarValue::Int64(Some(got)) = whole.evaluate().expect("value") else { panic!("null") };
            let want = exact(&values, q);
            prop_assert!((got - want).abs() as f64 <= want as f64 * 1e-3 + 1.0, "{got} is not {want}");
        }
    }

    proptest! {
        #[test]
        fn of_histograms_it_is_that_of_their_values(
            parts in prop::collection::vec(prop::collection::vec(0_i64..10_000_000_000_000, 0..900), 1..4),
            q in prop::sample::select(vec![0.0, 0.5, 0.95, 0.99, 1.0]),
        ) {
            let mut of_values = accumulator(q);
            let all: ArrayRef = std::sync::Arc::new(Int64Array::from(parts.concat()));
            of_values.update_batch(&[all]).expect("update");
            let (mut of_histograms, mut merged) = (accumulator(q), accumulator(q));
            for part in &parts {
                let mut stored = histogram::Histogram::default();
                part.iter().for_each(|value| stored.add(value.unsigned_abs(), 1));
                let stored = arrow::array::BinaryArray::from(vec![stored.encode().as_deref()]);
                let column: ArrayRef = std::sync::Arc::new(stored);
                of_histograms.update_batch(std::slice::from_ref(&column)).expect("update");
                let mut partial = accumulator(q);
                partial.update_batch(&[column]).expect("update");
                let state = partial.state().expect("state")[0].to_array().expect("array");
                merged.merge_batch(&[state]).expect("merge");
            }
            let want = of_values.evaluate().expect("value");
            prop_assert_eq!(of_histograms.evaluate().expect("value"), want.clone());
            prop_assert_eq!(merged.evaluate().expect("value"), want);
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(accumulator(0.5).evaluate().expect("value"), ScalarValue::Int64(None));
    }
}
