//! The runs that objectives speak of, each with what is known of its verdicts: the one definition of *good*.
//!
//! A verdict on a span judges the run that the span belongs to; one that names a response and no span judges the run
//! that made it; one on a trace or a session judges requests only. The latest per target, metric and evaluator counts.

use plimsoll_schemas::objective::Objective;

use super::{Analysis, GroupKey};
use crate::error::QueryError;
use crate::filter::{self, Over, quote};
use crate::rollup::coverage::within;

/// What a run is told apart by: one run may be spoken of by several objectives.
const RUN: &str = "ordinal, tenant, trace_id, root_span_id";
const KEYS: &str = "tenant, workload_class, model, hardware, outcome, driver, runtime, model_digest, tokenizer_digest, concurrency, adjusted_count";
/// Verdicts that say something.
const JUDGED: &str = "judged AS (
  SELECT tenant, trace_id, span_id, response_id, session_id, metric, evaluator, pass FROM latest_verdicts WHERE pass IS NOT NULL
)";
/// What a candidate is without its verdicts.
const FACTS: &str =
    "c.outcome = 'ok' AS is_ok, (c.threshold_ns IS NULL OR c.duration_ns <= c.threshold_ns)
      AND (c.deadline_unix_nano IS NULL OR c.start_unix_nano + c.duration_ns <= c.deadline_unix_nano) AS in_time";

/// Common table expressions that end in `runs`: one row per objective and run in the time range, with the objective's
/// `ordinal`, `objective`, `for_stage` and `target`, the run's keys, and `good_high`, `good_low`, `is_ok`, `late`,
/// `is_judged`, `is_unjudged`, `green_but_wrong`. `None` without objectives.
pub fn runs_sql(
    objectives: &[Objective],
    asked: &Analysis,
    from_unix_nano: i64,
) -> Result<Option<String>, QueryError> {
    runs_within_sql(objectives, asked, &within([(from_unix_nano, asked.range.end.0)]), true)
}

/// The same of the runs of which a condition on `start_unix_nano` holds. Where there are no verdicts at all, nothing is
/// looked for: planning that takes longer than reading an hour's runs.
pub fn runs_within_sql(
    objectives: &[Objective],
    asked: &Analysis,
    within: &str,
    has_verdicts: bool,
) -> Result<Option<String>, QueryError> {
    let mut stages: Vec<String> = objectives.iter().filter_map(|o| o.stage.as_deref().map(quote)).collect();
    stages.sort_unstable();
    stages.dedup();
    let chosen = filters(objectives)?;
    let objective = "ordinal, objective, for_stage, threshold_ns, target, metrics, for_evaluator";
    let mut tables = Vec::new();
    let mut candidates = Vec::new();
    let mut verdicts = Vec::new();
    if !stages.is_empty() {
        let filter = filter::sql(&asked.filter, Over::StageRuns)?;
        tables.push(format!(
            "stage_candidates AS (
  SELECT {objective}, {KEYS}, stage, service, trace_id, root_span_id, span_ids, response_ids, start_unix_nano, duration_ns, deadline_unix_nano, queue_ns, compute_ns
  FROM stage_runs JOIN objectives ON stage = for_stage
  WHERE stage IN ({}) AND {within}{chosen}{filter}
)",
            stages.join(", ")
        ));
        candidates.push("stage_candidates");
        // Few runs are judged: the others' ids need not be unfolded.
        let of_judged = "(SELECT c.* FROM stage_candidates c LEFT SEMI JOIN judged j ON c.tenant = j.tenant AND c.trace_id = j.trace_id)";
        verdicts.push(on_ids(
            "span_id",
            "array_append(span_ids, root_span_id)",
            of_judged,
            "r.trace_id = v.trace_id AND ",
        ));
        verdicts.push(on_ids("response_id", "response_ids", "stage_candidates", "v.span_id IS NULL AND "));
    }
    if objectives.iter().any(|o| o.stage.is_none()) {
        let filter = filter::sql(&asked.filter, Over::Traces)?;
        tables.push(format!(
            "request_candidates AS (
  SELECT {objective}, {KEYS}, 'request' AS stage, root_service AS service, trace_id, root_span_id, session_id, start_unix_nano, duration_ns, deadline_unix_nano, path_queue_ns AS queue_ns, path_compute_ns AS compute_ns
  FROM traces JOIN objectives ON for_stage = 'request'
  WHERE {within}{chosen}{filter}
)"
        ));
        candidates.push("request_candidates");
        let run = "r.ordinal, r.tenant, r.trace_id, r.root_span_id, v.metric, v.pass";
        let evaluator = "(r.for_evaluator IS NULL OR r.for_evaluator = v.evaluator)";
        verdicts.push(format!(
            "SELECT {run} FROM request_candidates r JOIN judged v ON r.tenant = v.tenant AND r.trace_id = v.trace_id
    WHERE {evaluator} AND (v.span_id = r.root_span_id OR (v.span_id IS NULL AND v.response_id IS NULL))"
        ));
        verdicts.push(format!(
            "SELECT {run} FROM request_candidates r JOIN judged v ON r.tenant = v.tenant AND r.session_id = v.session_id
    WHERE {evaluator} AND v.trace_id IS NULL AND v.span_id IS NULL AND v.response_id IS NULL"
        ));
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let of = |table: &&str| {
        format!(
            "SELECT {objective}, {KEYS}, stage, service, trace_id, root_span_id, start_unix_nano, duration_ns, deadline_unix_nano, queue_ns, compute_ns FROM {table}"
        )
    };
    let candidates: Vec<String> = candidates.iter().map(of).collect();
    let (judged, quality) = if has_verdicts {
        let quality = format!(
            "metrics_of AS (
  SELECT {RUN}, metric, bool_and(pass) AS passed FROM (
  {}
  ) GROUP BY {RUN}, metric
),
quality AS (
  SELECT {RUN}, count(*) FILTER (WHERE is_named) AS named,
    bool_or(NOT passed AND is_named) AS failed_named, bool_or(NOT passed) AS failed_any
  FROM (SELECT *, {} AS is_named FROM metrics_of) GROUP BY {RUN}
),
facts AS (
  SELECT c.*, {FACTS},
    coalesce(q.named, 0) >= c.metrics AS is_decided, q.root_span_id IS NOT NULL AS has_verdict,
    coalesce(q.failed_named, false) AS failed_named, coalesce(q.failed_any, false) AS failed_any
  FROM candidates c LEFT JOIN quality q
    ON c.ordinal = q.ordinal AND c.tenant = q.tenant AND c.trace_id = q.trace_id AND c.root_span_id = q.root_span_id
)",
            verdicts.join("\n  UNION ALL\n  "),
            named(objectives),
        );
        (format!("{JUDGED},\n"), quality)
    } else {
        let quality = format!(
            "facts AS (
  SELECT c.*, {FACTS},
    c.metrics = 0 AS is_decided, false AS has_verdict, false AS failed_named, false AS failed_any
  FROM candidates c
)"
        );
        (String::new(), quality)
    };
    Ok(Some(format!(
        "WITH {},
{judged}{},
candidates AS (
  {}
),
{quality},
runs AS (
  SELECT *, is_ok AND in_time AND NOT failed_named AS good_high,
    is_ok AND in_time AND NOT failed_named AND is_decided AS good_low,
    is_ok AND NOT in_time AS late, NOT is_decided AS is_unjudged,
    CASE WHEN metrics = 0 THEN has_verdict ELSE is_decided END AS is_judged,
    is_ok AND in_time AND CASE WHEN metrics = 0 THEN failed_any ELSE failed_named END AS green_but_wrong
  FROM facts
)",
        values(objectives),
        tables.join(",\n"),
        candidates.join("\n  UNION ALL\n  "),
    )))
}

/// Verdicts that name one of a run's ids.
fn on_ids(id: &str, ids: &str, candidates: &str, condition: &str) -> String {
    format!(
        "SELECT r.ordinal, r.tenant, r.trace_id, r.root_span_id, v.metric, v.pass
    FROM (SELECT {RUN}, for_evaluator, unnest({ids}) AS {id} FROM {candidates}) r
    JOIN judged v ON r.tenant = v.tenant AND r.{id} = v.{id}
    WHERE {condition}(r.for_evaluator IS NULL OR r.for_evaluator = v.evaluator)"
    )
}

/// The objectives as a relation.
pub fn values(objectives: &[Objective]) -> String {
    let rows: Vec<String> = objectives
        .iter()
        .enumerate()
        .map(|(ordinal, o)| {
            let stage = o.stage.as_deref().unwrap_or("request");
            let threshold = o.threshold.map_or("NULL".to_owned(), |t| t.0.to_string());
            let evaluator = o.evaluator.as_deref().map_or("NULL".to_owned(), quote);
            format!(
                "({ordinal}, {}, {}, CAST({threshold} AS BIGINT), CAST({:?} AS DOUBLE), {}, CAST({evaluator} AS VARCHAR))",
                quote(&o.name),
                quote(stage),
                o.target,
                o.quality.len()
            )
        })
        .collect();
    format!(
        "objectives (ordinal, objective, for_stage, threshold_ns, target, metrics, for_evaluator) AS (VALUES
  {}
)",
        rows.join(",\n  ")
    )
}

/// `AND …` for the runs that an objective's own filter leaves; empty where none has one.
fn filters(objectives: &[Objective]) -> Result<String, QueryError> {
    let mut cases = String::new();
    for (ordinal, objective) in objectives.iter().enumerate().filter(|(_, o)| !o.filter.is_empty()) {
        let terms = objective
            .filter
            .iter()
            .map(|(key, value)| Ok(format!("{} = {}", GroupKey::parse(key)?.column(), quote(value))))
            .collect::<Result<Vec<_>, QueryError>>()?;
        cases.push_str(&format!(" WHEN {ordinal} THEN {}", terms.join(" AND ")));
    }
    Ok(if cases.is_empty() { cases } else { format!(" AND CASE ordinal{cases} ELSE true END") })
}

/// Whether a metric is one that its objective names.
fn named(objectives: &[Objective]) -> String {
    let cases: String = objectives
        .iter()
        .enumerate()
        .filter(|(_, o)| !o.quality.is_empty())
        .map(|(ordinal, o)| {
            let metrics: Vec<String> = o.quality.iter().map(|q| quote(q)).collect();
            format!(" WHEN {ordinal} THEN metric IN ({})", metrics.join(", "))
        })
        .collect();
    if cases.is_empty() { "false".to_owned() } else { format!("CASE ordinal{cases} ELSE false END") }
}
