//! The tools of a fleet: who serves and calls them, in which edition, whose they are, and what breaks with them.
//!
//! A tool's calls, retries and failures are those of `edges`; its server, version, schema and credentials are what the spans of its
//! server say. The catalogue says which tools there should be.

mod catalogue;
mod drift;
mod inventory;
mod maturity;

use arrow::datatypes::{DataType, Field, Schema};
use futures::FutureExt;
use serde_json::{Map, Value, json};

use super::Analysis;
use super::definition::{Answer, Definition, Explain, InSql};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;
use catalogue::Catalogue;

/// Tools in one answer, the most called first.
const TOOLS_MAX: usize = 1_000;

pub static DEFINITION: Definition = Definition {
    name: "tools",
    function: "tools",
    summary: "Tools: servers, editions, owners, shadow tools, drift, blast radius, and the fleet's maturity",
    by: None,
    parameters: &[],
    rows: "tools",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Computed { columns },
};

fn columns() -> Schema {
    let texts = DataType::List(std::sync::Arc::new(Field::new("element", DataType::Utf8, true)));
    let columns = [
        ("tool", DataType::Utf8),
        ("server", DataType::Utf8),
        ("owner", DataType::Utf8),
        ("catalogued", DataType::Utf8),
        ("callers", texts.clone()),
        ("versions", texts.clone()),
        ("schema_digests", texts.clone()),
        ("auth_kinds", texts.clone()),
        ("logical_calls", DataType::Int64),
        ("attempts", DataType::Int64),
        ("retries", DataType::Int64),
        ("failed_attempts", DataType::Int64),
        ("traces", DataType::Int64),
        ("trace_share", DataType::Float64),
        ("failed_traces", DataType::Int64),
        ("requests_lost", DataType::Int64),
        ("drifted", DataType::Boolean),
        ("sample_trace_ids", texts),
    ];
    Schema::new(columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect::<Vec<_>>())
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let catalogue = Catalogue::read(state.store().home()).await;
    let filter = filter::sql(&asked.filter, Over::Edges)?;
    let statements = inventory::Statements::of(asked, &filter);
    let calls = state.objects(view, &statements.calls).await?;
    let editions = state.objects(view, &statements.editions).await?;
    let traces = state.objects(view, &statements.traces).await?;
    let traces = traces.into_iter().next().unwrap_or_default();
    let policies = state.objects(view, &statements.policies).await?;
    let gateways = state.objects(view, &statements.gateways).await?;
    let context = state.objects(view, &statements.context).await?;

    let mut rows = inventory::rows(calls, &editions, &traces, &catalogue);
    rows.truncate(TOOLS_MAX);
    let drifts = drift::of(&editions);
    for row in &mut rows {
        let name = |of: &Map<String, Value>| of.get("tool").cloned();
        let mine: Vec<Value> =
            drifts.iter().filter(|d| name(d) == name(row)).cloned().map(Value::from).collect();
        row.insert("drifted".into(), (!mine.is_empty()).into());
        row.insert("drift".into(), mine.into());
    }
    let gateways = gateways.into_iter().next().unwrap_or_default();
    let mut more = Map::new();
    more.insert("catalogue".into(), catalogue.describe());
    more.insert("maturity".into(), maturity::of(&rows, &editions, &gateways, &catalogue));
    more.insert("policy_decisions".into(), policies.into_iter().map(Value::from).collect());
    more.insert("context_tax".into(), context.into_iter().next().map_or(Value::Null, inventory::context_tax));
    more.insert("traces".into(), traces.get("traces").cloned().unwrap_or_default());
    let explain = Explain {
        sql: vec![
            statements.calls,
            statements.editions,
            statements.traces,
            statements.policies,
            statements.gateways,
            statements.context,
        ],
        method: "Calls of tools from edges; servers, versions, schema digests and kinds of credentials from the spans of tool servers; owners from the \
                 catalogue. A tool that is called and not in the catalogue is shadow. Drift is a change of schema digest or version, with the rates of \
                 failed calls and failed verdicts before and after it.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more, explain })
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    let mut texts: Vec<String> = items.filter_map(Value::as_str).map(str::to_owned).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn ratio_of(a: f64, b: f64) -> Value {
    if b > 0.0 { json!(a / b) } else { Value::Null }
}
