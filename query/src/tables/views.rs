//! Views over the raw tables: what a reader should take for the truth.

use plimsoll_schemas::table::Table;

/// The names of views that are not tables.
pub const LATEST_VERDICTS: &str = "latest_verdicts";

/// The SQL of the view of that name over the raw tables; `None` where the raw table is shown as it is.
pub fn sql(name: &str) -> Option<String> {
    if name == LATEST_VERDICTS {
        return Some(LATEST.to_owned());
    }
    let table = Table::ALL.into_iter().find(|t| t.as_str() == name && t.is_derived())?;
    Some(format!(
        "SELECT r.* FROM {} r LEFT ANTI JOIN (
             SELECT tenant, trace_id, max(revision) AS newest FROM traces WHERE resettled GROUP BY tenant, trace_id
         ) n ON r.tenant = n.tenant AND r.trace_id = n.trace_id AND r.revision < n.newest",
        table.as_str()
    ))
}

/// Judges change their minds: the latest verdict per target, metric and evaluator counts.
const LATEST: &str = "SELECT * EXCLUDE (age) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY tenant, trace_id, span_id, response_id, session_id, metric, evaluator
        ORDER BY judged_unix_nano DESC, wal_seq DESC
    ) AS age FROM verdicts
) WHERE age = 1";
