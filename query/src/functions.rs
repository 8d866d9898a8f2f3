//! The functions that Plimsoll adds to SQL.
//!
//! `hdr_quantile(value, q)`, `hdr_histogram(value)`, `hdr_merge(histogram)` and `sample_ids(id, weight)` aggregate,
//! `attr(attributes, 'key')` looks into a map, `canonical_json(text)` takes the accidents out of JSON.

mod attr;
mod canonical;
mod hdr;
mod sample;

use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Adds the functions that need no snapshot.
pub fn register(state: &mut SessionState) -> Result<()> {
    state.register_udaf(AggregateUDF::from(hdr::HdrQuantile::default()).into())?;
    state.register_udaf(AggregateUDF::from(hdr::merge::Histograms::of_values()).into())?;
    state.register_udaf(AggregateUDF::from(hdr::merge::Histograms::merged()).into())?;
    state.register_udaf(AggregateUDF::from(sample::SampleIds::default()).into())?;
    state.register_udf(ScalarUDF::from(attr::Attr::default()).into())?;
    state.register_udf(ScalarUDF::from(canonical::CanonicalJson::default()).into())?;
    Ok(())
}
