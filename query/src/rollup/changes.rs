//! In which minutes something changed since a coverage was true: where runs settled, where runs of traces that settled
//! again used to be, and where runs are that verdicts speak of.
//!
//! More minutes than needed do no harm.

use plimsoll_schemas::table::Table;
use serde_json::{Map, Value};

use super::coverage::Coverage;
use super::minutes::{MINUTE_NS, Minutes};
use crate::engine::View;
use crate::error::QueryError;
use crate::state::QueryState;
use crate::tables::every_revision;

/// The minutes in which `view` shows other runs, traces or verdicts than `coverage` accounts for.
pub async fn since(state: &QueryState, view: &View, coverage: &Coverage) -> Result<Minutes, QueryError> {
    let mut starts = Vec::new();
    if coverage.settled != Some(view.snapshot.settled) {
        starts.extend(settled(state, view, coverage).await?);
    }
    let verdicts = view.snapshot.table(Table::Verdicts);
    let newest = verdicts.files.iter().map(|file| file.wal_seq_max).max();
    if !verdicts.tail.is_empty() || newest.is_some_and(|seq| seq > coverage.through) {
        starts.extend(judged(state, view, coverage.through).await?);
    }
    if starts.is_empty() {
        return Ok(Minutes::default());
    }
    let sql = format!(
        "SELECT DISTINCT start_unix_nano / {MINUTE_NS} AS minute FROM (\n{}\n) WHERE start_unix_nano >= 0",
        starts.join("\nUNION ALL\n")
    );
    let rows = state.objects(view, &sql).await?;
    let minutes = rows.iter().filter_map(|row| row.get("minute")?.as_i64());
    Ok(minutes.map(|minute| (minute, minute + 1)).collect())
}

/// Where runs settled, and where those of traces that settled again used to be. A pass of settling may have the sequence
/// of one that was accounted for.
async fn settled(state: &QueryState, view: &View, coverage: &Coverage) -> Result<Vec<String>, QueryError> {
    let tables = [Table::StageRuns, Table::Traces].map(every_revision);
    let newer = format!("revision {} {}", if coverage.is_final { ">" } else { ">=" }, coverage.through);
    let mut starts: Vec<String> =
        tables.iter().map(|t| format!("SELECT start_unix_nano FROM {t} WHERE {newer}")).collect();
    let again = format!("SELECT DISTINCT tenant, trace_id FROM {} WHERE {newer} AND resettled", tables[1]);
    let any = state.objects(view, &format!("SELECT count(*) AS n FROM ({again})")).await?;
    if count(&any, "n") > 0 {
        starts
            .extend(tables.iter().map(|t| of(t, &again, "r.tenant = w.tenant AND r.trace_id = w.trace_id")));
    }
    Ok(starts)
}

/// Where the runs are that new verdicts speak of; what did not settle yet will show when it does.
async fn judged(state: &QueryState, view: &View, through: u64) -> Result<Vec<String>, QueryError> {
    let newer = format!("FROM verdicts WHERE wal_seq > {through}");
    let named = state
        .objects(
            view,
            &format!(
                "SELECT count(trace_id) AS traces, count(session_id) AS sessions, count(response_id) AS responses {newer}"
            ),
        )
        .await?;
    let mut starts = Vec::new();
    if count(&named, "traces") > 0 {
        let which = format!("SELECT DISTINCT tenant, trace_id {newer}");
        let same = "r.tenant = w.tenant AND r.trace_id = w.trace_id";
        starts.extend(["stage_runs", "traces"].map(|table| of(table, &which, same)));
    }
    if count(&named, "sessions") > 0 {
        let which = format!("SELECT DISTINCT tenant, session_id {newer}");
        starts.push(of("traces", &which, "r.tenant = w.tenant AND r.session_id = w.session_id"));
    }
    if count(&named, "responses") > 0 {
        let which = format!("SELECT DISTINCT tenant, response_id {newer}");
        let made = "(SELECT tenant, start_unix_nano, unnest(response_ids) AS response_id FROM stage_runs)";
        starts.push(of(made, &which, "r.tenant = w.tenant AND r.response_id = w.response_id"));
    }
    Ok(starts)
}

fn of(table: &str, which: &str, same: &str) -> String {
    format!("SELECT r.start_unix_nano FROM {table} r JOIN ({which}) w ON {same}")
}

fn count(rows: &[Map<String, Value>], column: &str) -> i64 {
    rows.first().and_then(|row| row.get(column)?.as_i64()).unwrap_or(0)
}
