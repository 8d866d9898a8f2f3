//! Where work waits and where it is done, from settled stage runs.
//!
//! Queue time that no evidence tells is unknown, not zero: `queue_share` speaks of the runs whose queue is known,
//! and `queue_coverage` says which share of the time that is.

use serde_json::{Map, Value, json};

use super::{Analysis, GROUPS_MAX, number, share, timed};
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

const SUMS: &str = "sum(duration_ns) AS duration_ns, sum(queue_ns) AS queue_ns, sum(load_ns) AS load_ns,
  sum(compute_ns) AS compute_ns, sum(transit_ns) AS transit_ns, sum(backoff_ns) AS backoff_ns,
  sum(blocked_ns) AS blocked_ns, sum(unattributed_ns) AS unattributed_ns";

/// Time of the runs whose queue is known.
const KNOWN_NS: &str = "sum(duration_ns) FILTER (WHERE queue_ns IS NOT NULL)";

/// The statement behind the groups.
pub fn groups_sql(asked: &Analysis) -> Result<String, QueryError> {
    let filter = filter::sql(&asked.filter, Over::StageRuns)?;
    let keys = asked.keys();
    let quantiles: String = ["duration", "queue"]
        .into_iter()
        .flat_map(|column| [("50", "0.5"), ("95", "0.95"), ("99", "0.99")].map(|(p, q)| (column, p, q)))
        .map(|(column, p, q)| format!(",\n  hdr_quantile({column}_ns, {q}) AS {column}_p{p}_ns"))
        .collect();
    Ok(format!(
        "SELECT {keys}count(*) AS runs, count(*) FILTER (WHERE outcome <> 'ok') AS errors,
  {SUMS},
  {queue_share} AS queue_share, {queue_coverage} AS queue_coverage,
  sum(path_ns) AS critical_path_ns{quantiles},
  sample_ids(trace_id, duration_ns) AS sample_trace_ids
FROM stage_runs
WHERE {within}{filter}
{group}ORDER BY critical_path_ns DESC
LIMIT {GROUPS_MAX}",
        queue_share = share("sum(queue_ns)", KNOWN_NS),
        queue_coverage = share(&format!("coalesce({KNOWN_NS}, 0)"), "sum(duration_ns)"),
        within = asked.within("start_unix_nano"),
        group = asked.group(),
    ))
}

fn series_sql(asked: &Analysis) -> Result<String, QueryError> {
    let filter = filter::sql(&asked.filter, Over::StageRuns)?;
    let keys = asked.keys();
    Ok(format!(
        "SELECT {keys}{point} AS point, count(*) AS runs, {SUMS}
FROM stage_runs WHERE {within}{filter} GROUP BY {keys}point ORDER BY point",
        point = asked.point("start_unix_nano"),
        within = asked.within("start_unix_nano"),
    ))
}

pub async fn answer(state: &QueryState, asked: &Analysis) -> Result<Value, QueryError> {
    let view = state.view(asked.tenant.clone());
    let sql = groups_sql(asked)?;
    let groups = state.objects(&view, &sql).await?;
    let mut series = state.objects(&view, &series_sql(asked)?).await?;
    let mut keyed: Vec<(Map<String, Value>, Vec<Value>)> = Vec::new();
    for row in &mut series {
        let key = asked.key(row);
        let point = timed(std::mem::take(row)).into();
        match keyed.iter_mut().find(|(k, _)| *k == key) {
            Some((_, points)) => points.push(point),
            None => keyed.push((key, vec![point])),
        }
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .filter(|g| number(g, "runs").is_some_and(|n| n > 0.0))
        .map(|mut group| {
            let key = asked.key(&mut group);
            let points = keyed.iter().find(|(k, _)| *k == key).map(|(_, p)| p.clone()).unwrap_or_default();
            group.insert("series".into(), points.into());
            group.insert("key".into(), key.into());
            group.into()
        })
        .collect();
    let mut answer = asked.head();
    answer.insert("groups".into(), groups.into());
    answer.insert("sql".into(), json!(sql));
    Ok(answer.into())
}
