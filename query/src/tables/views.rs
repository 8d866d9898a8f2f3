//! Views over the raw tables: what a reader should take for the truth.

use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, verdict};

use crate::filter::quote;

/// The names of views that are not tables.
pub const LATEST_VERDICTS: &str = "latest_verdicts";
/// The cells of a rollup that count by objective; under the table's own name are those of all runs.
pub const OBJECTIVE_MINUTES: &str = "objective_minutes";
pub const OBJECTIVE_HOURS: &str = "objective_hours";
/// Views that are no tables.
pub const NAMES: [&str; 3] = [LATEST_VERDICTS, OBJECTIVE_MINUTES, OBJECTIVE_HOURS];

/// What is added to a table's name to see its rows as they lie, superseded ones too.
const EVERY_REVISION: &str = " of every revision";

/// The name, quoted, of a table's rows as they lie.
pub fn every_revision(table: Table) -> String {
    format!("\"{}{EVERY_REVISION}\"", table.as_str())
}

/// The table whose rows are meant as they lie.
pub fn raw(name: &str) -> Option<Table> {
    let name = name.strip_suffix(EVERY_REVISION)?;
    Table::ALL.into_iter().find(|t| t.as_str() == name)
}

/// The SQL of the view of that name over the raw tables; `None` where the raw table is shown as it is. `supersedes` tells of which
/// tables some rows may supersede others.
pub fn sql(name: &str, rules: &Rules, supersedes: impl Fn(Table) -> bool) -> Option<String> {
    match name {
        LATEST_VERDICTS => return Some(latest_verdicts(rules)),
        OBJECTIVE_MINUTES => return Some(cells(Table::StageMinutes, true, supersedes)),
        OBJECTIVE_HOURS => return Some(cells(Table::StageHours, true, supersedes)),
        _ => {}
    }
    let table = Table::ALL.into_iter().find(|t| t.as_str() == name && t.is_derived())?;
    if table.is_rollup() {
        return Some(cells(table, false, supersedes));
    }
    if !supersedes(Table::Traces) {
        return Some(format!("SELECT * FROM {}", table.as_str()));
    }
    // The few that supersede first: a join reads its left side whole before it begins with the other one, and who wants the newest
    // rows would have read all of them.
    Some(format!(
        "SELECT r.* FROM (
             SELECT tenant, trace_id, max(revision) AS newest FROM traces WHERE resettled GROUP BY tenant, trace_id
         ) n RIGHT ANTI JOIN {} r ON r.tenant = n.tenant AND r.trace_id = n.trace_id AND r.revision < n.newest",
        table.as_str()
    ))
}

/// A stretch is always computed whole, so its newest revision counts; a cell that nothing is in any more is only there
/// to supersede.
fn cells(table: Table, by_objective: bool, supersedes: impl Fn(Table) -> bool) -> String {
    let (which, key) = if by_objective { ("IS NOT NULL", ", objective") } else { ("IS NULL", "") };
    let same = if by_objective { " AND r.objective = n.objective" } else { "" };
    let name = table.as_str();
    let newest = if supersedes(table) {
        format!(
            "(
             SELECT tenant, start_unix_nano{key}, max(revision) AS newest FROM {name}
             WHERE rerolled AND objective {which} GROUP BY tenant, start_unix_nano{key}
         ) n RIGHT ANTI JOIN {name} r
         ON r.tenant = n.tenant AND r.start_unix_nano = n.start_unix_nano{same} AND r.revision < n.newest"
        )
    } else {
        format!("{name} r")
    };
    format!("SELECT r.* FROM {newest} WHERE r.objective {which} AND r.runs > 0")
}

/// What a verdict is about and by whom: of those that agree in all of it, the latest counts.
const VERDICT_KEY: [&str; 7] =
    ["tenant", "trace_id", "span_id", "response_id", "session_id", "metric", "evaluator"];

/// Judges change their minds: the latest verdict per target, metric and evaluator counts. As an aggregate, of which only
/// the columns that a query reads are computed; a window over so many small partitions takes twice as long.
pub fn latest_verdicts(rules: &Rules) -> String {
    let schema = Table::Verdicts.sql_schema();
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            key if VERDICT_KEY.contains(&key) => key.to_owned(),
            "pass" => format!("last_value({} ORDER BY judged_unix_nano, wal_seq) AS pass", pass(rules)),
            other => format!("last_value({other} ORDER BY judged_unix_nano, wal_seq) AS {other}"),
        })
        .collect();
    format!("SELECT {} FROM verdicts GROUP BY {}", columns.join(", "), VERDICT_KEY.join(", "))
}

/// Pass or fail, by the configured meanings of labels before the built-in one. What a verdict said outright stays: there its label
/// did not decide.
fn pass(rules: &Rules) -> String {
    if rules.verdict_labels.is_empty() {
        return "pass".into();
    }
    let truth = |pass: Option<bool>| match pass {
        Some(true) => "true",
        Some(false) => "false",
        None => "NULL",
    };
    let cases = rules.verdict_labels.iter().map(|(label, meaning)| {
        let label = label.trim().to_lowercase();
        let built_in = truth(verdict::pass_of_label(&label));
        format!(
            "WHEN lower(trim(label)) = {} AND pass IS NOT DISTINCT FROM {built_in} THEN {}",
            quote(&label),
            truth(meaning.pass())
        )
    });
    format!("CASE {} ELSE pass END", cases.collect::<Vec<_>>().join(" "))
}
