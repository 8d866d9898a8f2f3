//! The cells of a rollup, as SQL: what is counted of the runs of one stretch, slice, stage and objective. The one list of
//! what a cell holds, for those that are stored and for those that an answer makes of single runs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Outcome;
use plimsoll_schemas::table::{CELL_COUNTS, CELL_HISTOGRAMS, CELL_SAMPLES, Table};

use crate::error::QueryError;

/// The keys of a slice, which every cell has, and how many runs each of its runs stands for.
pub const SLICE: &str = "tenant, stage, workload_class, model, hardware, adjusted_count";
/// Of which of the kinds of runs in [`CELL_SAMPLES`] a run is.
const SAMPLED: [(&str, &str); CELL_SAMPLES.len()] = [
    ("good", "good_low"),
    ("late", "late"),
    ("failed", "NOT is_ok"),
    ("green_but_wrong", "green_but_wrong"),
    ("unjudged", "is_unjudged"),
];

/// The column of `runs` that says whether a run counts.
pub fn counted(count: &str) -> &str {
    match count {
        "judged" => "is_judged",
        "unjudged" => "is_unjudged",
        other => other,
    }
}

/// Which runs samples of a kind are taken from.
pub fn sampled() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAMPLED.into_iter()
}

/// What is counted of `runs` (see `analyses::judged`).
pub fn of_runs() -> String {
    let outcomes = Outcome::ALL
        .iter()
        .map(|o| format!("count(*) FILTER (WHERE outcome = '{0}') AS outcome_{0}", o.as_str()));
    let counts = CELL_COUNTS.iter().map(|c| format!("count(*) FILTER (WHERE {}) AS {c}", counted(c)));
    let histograms =
        CELL_HISTOGRAMS.iter().map(|h| format!("hdr_histogram({}) AS {h}", h.replace("_hdr", "_ns")));
    let samples = sampled().map(|(kind, which)| {
        format!(
            "first_value(trace_id ORDER BY duration_ns DESC, trace_id) FILTER (WHERE {which}) AS sample_{kind}"
        )
    });
    listed(
        "count(*) AS runs",
        "max(duration_ns) AS duration_max_ns",
        [outcomes.collect(), counts.collect(), histograms.collect(), samples.collect()],
    )
}

/// What cells count together.
pub fn of_cells() -> String {
    let sums = |names: Vec<String>| names.into_iter().map(|n| format!("sum({n}) AS {n}")).collect();
    let outcomes = Outcome::ALL.iter().map(|o| format!("outcome_{}", o.as_str())).collect();
    let counts = CELL_COUNTS.iter().map(|c| (*c).to_owned()).collect();
    let histograms = CELL_HISTOGRAMS.iter().map(|h| format!("hdr_merge({h}) AS {h}"));
    let samples = CELL_SAMPLES.iter().map(|kind| {
        format!("first_value(sample_{kind} ORDER BY duration_max_ns DESC) FILTER (WHERE sample_{kind} IS NOT NULL) AS sample_{kind}")
    });
    listed(
        "sum(runs) AS runs",
        "max(duration_max_ns) AS duration_max_ns",
        [sums(outcomes), sums(counts), histograms.collect(), samples.collect()],
    )
}

/// Nothing.
pub fn of_nothing() -> String {
    let zeros = |names: Vec<String>| names.into_iter().map(|n| format!("0 AS {n}")).collect();
    let outcomes = Outcome::ALL.iter().map(|o| format!("outcome_{}", o.as_str())).collect();
    let counts = CELL_COUNTS.iter().map(|c| (*c).to_owned()).collect();
    listed("0 AS runs", "NULL AS duration_max_ns", [zeros(outcomes), zeros(counts), Vec::new(), Vec::new()])
}

fn listed(runs: &str, longest: &str, others: [Vec<String>; 4]) -> String {
    let [outcomes, counts, histograms, samples] = others;
    let first = std::iter::once(runs.to_owned()).chain(outcomes).chain(counts);
    first.chain([longest.to_owned()]).chain(histograms).chain(samples).collect::<Vec<_>>().join(",\n  ")
}

/// The names of what an answer reads of a cell, in one order: of its histograms only that of durations, since to read one takes
/// as long as to read all counts.
pub fn names() -> String {
    let fields = Table::StageMinutes.file_schema();
    let first = fields.index_of("runs").unwrap_or(0);
    let names = fields.fields().iter().skip(first).map(|f| f.name().as_str());
    let unread = |name: &&str| name.ends_with("_hdr") && *name != "duration_hdr";
    names.filter(|n| !matches!(*n, "revision" | "rerolled") && !unread(n)).collect::<Vec<_>>().join(", ")
}

/// An answer's columns as rows of the table: what it lacks is null.
pub fn rows(
    table: Table,
    batch: &RecordBatch,
    revision: i64,
    rerolled: bool,
) -> Result<RecordBatch, QueryError> {
    let schema = table.file_schema();
    let n = batch.num_rows();
    let column = |name: &str, to: &arrow::datatypes::DataType| -> Result<ArrayRef, QueryError> {
        Ok(match (name, batch.column_by_name(name)) {
            ("revision", _) => Arc::new(arrow::array::Int64Array::from_value(revision, n)),
            ("rerolled", _) => Arc::new(arrow::array::BooleanArray::from(vec![rerolled; n])),
            ("start_time", _) => {
                let starts =
                    batch.column_by_name("start_unix_nano").map(|c| c.as_primitive::<Int64Type>().values());
                let micros = starts.into_iter().flatten().map(|ns| ns / 1_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
            }
            (_, Some(column)) if column.data_type() == to => column.clone(),
            (_, Some(column)) => cast(column, to).map_err(datafusion::error::DataFusionError::from)?,
            (_, None) => arrow::array::new_null_array(to, n),
        })
    };
    let columns =
        schema.fields().iter().map(|f| column(f.name(), f.data_type())).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns).map_err(|e| datafusion::error::DataFusionError::from(e).into())
}
