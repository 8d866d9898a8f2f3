//! The runs that an objective speaks of, each with what is known of its verdicts: the one definition of *good*.
//!
//! A verdict on a span judges the run that the span belongs to; one that names a response judges the run that made it;
//! one on a trace judges the request only. The latest per target, metric and evaluator counts.

use plimsoll_schemas::objective::Objective;

use super::Analysis;
use crate::error::QueryError;
use crate::filter::{self, Over, quote};

/// Common table expressions that end in `runs`: one row per run in the time range, with its keys and
/// `good_high`, `good_low`, `ok`, `late`, `is_judged`, `is_unjudged`, `green_but_wrong`.
pub fn runs_sql(objective: &Objective, asked: &Analysis, from_unix_nano: i64) -> Result<String, QueryError> {
    let end = asked.range.end.0;
    let mut conditions = format!("start_unix_nano >= {from_unix_nano} AND start_unix_nano < {end}");
    for (key, value) in &objective.filter {
        let key = super::GroupKey::parse(key)?.column();
        conditions.push_str(&format!(" AND {key} = {}", quote(value)));
    }
    let keys = "tenant, workload_class, model, hardware, outcome";
    let candidates = match &objective.stage {
        Some(stage) => format!(
            "SELECT {keys}, stage, service, trace_id, root_span_id, span_ids, response_ids, start_unix_nano, duration_ns
  FROM stage_runs WHERE stage = {} AND {conditions}{}",
            quote(stage),
            filter::sql(&asked.filter, Over::StageRuns)?
        ),
        None => format!(
            "SELECT {keys}, 'request' AS stage, root_service AS service, trace_id, root_span_id, start_unix_nano, duration_ns
  FROM traces WHERE {conditions}{}",
            filter::sql(&asked.filter, Over::Traces)?
        ),
    };
    let evaluator =
        objective.evaluator.as_ref().map(|e| format!(" AND evaluator = {}", quote(e))).unwrap_or_default();
    let id = "r.tenant, r.trace_id, r.root_span_id";
    let on_trace = "r.tenant = v.tenant AND r.trace_id = v.trace_id";
    let verdicts = match &objective.stage {
        // The conditions are apart so that each join is on equal keys.
        Some(_) => format!(
            "SELECT {id}, v.metric, v.pass FROM candidates r JOIN judged v ON {on_trace} AND v.span_id = r.root_span_id
  UNION ALL
  SELECT {id}, v.metric, v.pass FROM (SELECT tenant, trace_id, root_span_id, unnest(span_ids) AS span_id FROM candidates) r
    JOIN judged v ON {on_trace} AND v.span_id = r.span_id
  UNION ALL
  SELECT {id}, v.metric, v.pass FROM (SELECT tenant, trace_id, root_span_id, unnest(response_ids) AS response_id FROM candidates) r
    JOIN judged v ON r.tenant = v.tenant AND v.response_id = r.response_id AND v.span_id IS NULL"
        ),
        None => format!(
            "SELECT {id}, v.metric, v.pass FROM candidates r JOIN judged v ON {on_trace}
    AND (v.span_id = r.root_span_id OR (v.span_id IS NULL AND v.response_id IS NULL))"
        ),
    };
    let named = if objective.quality.is_empty() {
        "false".to_owned()
    } else {
        let list: Vec<String> = objective.quality.iter().map(|q| quote(q)).collect();
        format!("metric IN ({})", list.join(", "))
    };
    let metrics = objective.quality.len();
    let in_time = objective.threshold.map_or("true".to_owned(), |t| format!("c.duration_ns <= {}", t.0));
    Ok(format!(
        "WITH candidates AS (
  {candidates}
), judged AS (
  SELECT tenant, trace_id, span_id, response_id, metric, pass FROM latest_verdicts WHERE pass IS NOT NULL{evaluator}
), verdicts_of AS (
  {verdicts}
), metrics_of AS (
  SELECT tenant, trace_id, root_span_id, metric, bool_and(pass) AS passed
  FROM verdicts_of GROUP BY tenant, trace_id, root_span_id, metric
), quality AS (
  SELECT tenant, trace_id, root_span_id, count(*) FILTER (WHERE {named}) AS named,
    bool_or(NOT passed AND {named}) AS failed_named, bool_or(NOT passed) AS failed_any
  FROM metrics_of GROUP BY tenant, trace_id, root_span_id
), facts AS (
  SELECT c.*, c.outcome = 'ok' AS is_ok, {in_time} AS in_time,
    coalesce(q.named, 0) >= {metrics} AS is_decided, q.root_span_id IS NOT NULL AS has_verdict,
    coalesce(q.failed_named, false) AS failed_named,
    coalesce({wrong}, false) AS is_wrong
  FROM candidates c LEFT JOIN quality q
    ON c.tenant = q.tenant AND c.trace_id = q.trace_id AND c.root_span_id = q.root_span_id
), runs AS (
  SELECT *, is_ok AND in_time AND NOT failed_named AS good_high,
    is_ok AND in_time AND NOT failed_named AND is_decided AS good_low,
    is_ok AND NOT in_time AS late, {judged} AS is_judged, NOT is_decided AS is_unjudged,
    is_ok AND in_time AND is_wrong AS green_but_wrong
  FROM facts
)",
        wrong = if metrics == 0 { "q.failed_any" } else { "q.failed_named" },
        judged = if metrics == 0 { "has_verdict" } else { "is_decided" },
    ))
}
