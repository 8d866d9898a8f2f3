//! The load line: what each stage carries safely, by what it was seen to carry. Fetches windows of arrivals, completions, queues
//! and attainment, and shapes what [`plimsoll_analysis::fleet::load`] finds in them.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};
use futures::FutureExt;
use plimsoll_analysis::fleet::load::{SafeLoad, Sustainable, TREND, Window, safe_load, saturates_first};
use plimsoll_schemas::DurationNs;
use plimsoll_schemas::envelope::COLUMNS;
use serde_json::{Map, Value, json};

use super::definition::{Answer, Definition, Explain, InSql};
use super::judged::runs_sql;
use super::{Analysis, GROUPS_MAX, GroupKey, goodput, number};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;
use crate::time;

/// What ends in a window is exported and settled so much later at the most.
const LATE_NS: i64 = 30_000_000_000;

pub static DEFINITION: Definition = Definition {
    name: "load",
    function: "load_line",
    summary: "Safe load: floor latency, sustainable throughput, recovery, and what saturates first",
    by: Some(&["stage"]),
    parameters: &[],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, asked).await }.boxed(),
    in_sql: InSql::Computed { columns },
};

fn columns() -> Schema {
    let (text, int, double) = (DataType::Utf8, DataType::Int64, DataType::Float64);
    let mut columns: Vec<(&str, DataType)> = super::KEYS.iter().map(|key| (*key, text.clone())).collect();
    columns.extend([
        ("floor_ns", double.clone()),
        ("sustainable", text),
        ("sustainable_per_s", double.clone()),
        ("observed_up_to_per_s", double.clone()),
        ("now_per_s", double.clone()),
        ("mean_concurrency", double.clone()),
        ("recovery_per_s", double.clone()),
        ("target", double),
        ("windows", int.clone()),
        ("overloaded_windows", int),
    ]);
    Schema::new(columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect::<Vec<_>>())
}

/// A stage of a slice: its keys as JSON text, which orders them.
type Key = String;

#[derive(Debug, Default)]
struct Group {
    key: Map<String, Value>,
    windows: Vec<Window>,
    target: Option<f64>,
    envelope: Map<String, Value>,
}

async fn answer(state: &QueryState, view: &View, mut asked: Analysis) -> Result<Answer, QueryError> {
    // A stage is what carries load, whatever else it is grouped by.
    let stage = GroupKey::parse("stage")?;
    if !asked.by.contains(&stage) {
        asked.by.insert(0, stage);
    }
    let count = (asked.range.length().0 / asked.step.0).max(1) as usize;
    // The last ones are not all there yet.
    let settled = (time::now().0 - LATE_NS - asked.range.start.0).div_euclid(asked.step.0).max(0) as usize;
    let count = count.min(settled.max(1));
    let objectives = goodput::in_force(state, view, &asked).await?;
    let mut statements =
        vec![began_sql(&asked)?, ended_sql(&asked)?, requests_sql(&asked)?, envelope_sql(&asked)?];
    if let Some(sql) = attained_sql(&objectives, &asked)? {
        statements.push(sql);
    }
    let mut answers = Vec::new();
    for sql in &statements {
        answers.push(state.objects(view, sql).await?);
    }
    let attained = if answers.len() == 5 { answers.pop().unwrap_or_default() } else { Vec::new() };
    let [began, ended, requests, envelopes] = <[_; 4]>::try_from(answers).unwrap_or_default();
    let groups = groups(&asked, count, [began, ended, attained, envelopes]);
    let offered = rates(&asked, count, &requests);

    let mut busiest: Vec<&Group> = groups.values().collect();
    let arrivals = |g: &Group| g.windows.iter().map(|w| w.arrivals_per_s).sum::<f64>();
    busiest.sort_by(|a, b| arrivals(b).total_cmp(&arrivals(a)));
    busiest.truncate(GROUPS_MAX);
    let shares: Vec<Vec<(f64, f64)>> = busiest
        .iter()
        .map(|g| {
            g.windows.iter().zip(&offered).filter_map(|(w, rate)| Some((*rate, w.queue_share?))).collect()
        })
        .collect();
    let mut more = Map::new();
    more.insert("window_ns".into(), asked.step.0.into());
    more.insert("windows".into(), count.into());
    more.insert(
        "saturates_first".into(),
        saturates_first(&shares).map_or(Value::Null, |rise| {
            json!({
                "key": busiest[rise.stage].key, "requests_per_s": rise.requests_per_s,
                "queue_share_before": rise.before, "queue_share_after": rise.after,
            })
        }),
    );
    let explain = Explain {
        sql: statements,
        method: "Windows of each stage. A stage is overloaded where a queue stands for five windows and grows beyond what chance gathers; runs that were \
                 turned away (outcome overload) count as if they waited. Queues are queue time × completions; where queue time is unknown, the time by which \
                 runs take longer than when the stage is quiet. Sustainable is what was completed per second while overloaded, or the highest arrival rate \
                 at which the stage's objective was met outside overloads (isotonic regression; unjudged counts as good), whichever is lower. Floor is the \
                 median of the least busy tenth of windows in which less than 1 % of the time is queueing. Concurrency is arrivals × mean time (Little's law).",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows: busiest.into_iter().map(|group| row(group, asked.step)).collect(), more, explain })
}

fn window(asked: &Analysis, column: &str) -> String {
    format!("({column} - {}) / {}", asked.range.start.0, asked.step.0)
}

fn began_sql(asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    Ok(format!(
        "SELECT {keys}{window} AS window, count(*) AS runs, sum(duration_ns) AS duration_ns, sum(queue_ns) AS queue_ns,
  count(queue_ns) AS queue_known, sum(duration_ns) FILTER (WHERE queue_ns IS NOT NULL) AS known_ns,
  hdr_quantile(duration_ns, 0.5) AS p50_ns
FROM stage_runs WHERE {within}{filter} GROUP BY {keys}window",
        window = window(asked, "start_unix_nano"),
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::StageRuns)?,
    ))
}

fn ended_sql(asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    Ok(format!(
        "SELECT {keys}{window} AS window, count(*) AS runs, count(*) FILTER (WHERE outcome = 'overload') AS refused
FROM stage_runs WHERE {within}{filter} GROUP BY {keys}window",
        window = window(asked, "start_unix_nano + duration_ns"),
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::StageRuns)?,
    ))
}

fn requests_sql(asked: &Analysis) -> Result<String, QueryError> {
    let terms = filter::sql(&asked.filter, Over::Traces).unwrap_or_default();
    Ok(format!(
        "SELECT {window} AS window, count(*) AS runs FROM traces WHERE {within}{terms} GROUP BY window",
        window = window(asked, "start_unix_nano"),
        within = asked.within("start_unix_nano"),
    ))
}

/// Under what the work was done: stated with every figure.
fn envelope_sql(asked: &Analysis) -> Result<String, QueryError> {
    let by: Vec<&str> = asked.by.iter().map(|k| k.column()).collect();
    let parts: Vec<String> = COLUMNS
        .iter()
        .filter(|column| !by.contains(column))
        .map(|column| format!("array_agg(DISTINCT CAST({column} AS VARCHAR)) FILTER (WHERE {column} IS NOT NULL) AS {column}"))
        .collect();
    Ok(format!(
        "SELECT {}{} FROM stage_runs WHERE {}{} {}",
        asked.keys(),
        parts.join(", "),
        asked.within("start_unix_nano"),
        filter::sql(&asked.filter, Over::StageRuns)?,
        asked.group(),
    ))
}

fn attained_sql(
    objectives: &[plimsoll_schemas::objective::Objective],
    asked: &Analysis,
) -> Result<Option<String>, QueryError> {
    let of_stages: Vec<_> = objectives.iter().filter(|o| o.stage.is_some()).cloned().collect();
    let Some(runs) = runs_sql(&of_stages, asked, asked.range.start.0)? else { return Ok(None) };
    let keys = asked.keys();
    Ok(Some(format!(
        "{runs}
SELECT ordinal, target, {keys}{window} AS window, count(*) AS runs, count(*) FILTER (WHERE good_high) AS good
FROM runs GROUP BY ordinal, target, {keys}window ORDER BY ordinal DESC",
        window = window(asked, "start_unix_nano"),
    )))
}

/// What a row says of its group, in the window that it names.
type Put<'a> = dyn Fn(&mut Group, Option<usize>, Map<String, Value>) + 'a;

fn groups(asked: &Analysis, count: usize, answers: [Vec<Map<String, Value>>; 4]) -> BTreeMap<Key, Group> {
    let seconds = asked.step.0 as f64 / 1e9;
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    let mut each = |rows: Vec<Map<String, Value>>, put: &Put<'_>| {
        for mut row in rows {
            let key = asked.key(&mut row);
            let group = groups.entry(Value::from(key.clone()).to_string()).or_insert_with(|| Group {
                key,
                windows: vec![Window::default(); count],
                ..Group::default()
            });
            let window = number(&row, "window").map(|w| w as usize);
            put(group, window, row);
        }
    };
    let [began, ended, attained, envelopes] = answers;
    each(began, &|group, at, row| {
        let Some(window) = at.and_then(|at| group.windows.get_mut(at)) else { return };
        let n = |column: &str| number(&row, column).unwrap_or(0.0);
        window.arrivals_per_s = n("runs") / seconds;
        window.concurrency = n("duration_ns") / (seconds * 1e9);
        window.queue_age_ns = (n("queue_known") > 0.0).then(|| n("queue_ns") / n("queue_known"));
        window.queue_share = (n("known_ns") > 0.0).then(|| n("queue_ns") / n("known_ns"));
        window.duration_p50_ns = number(&row, "p50_ns");
    });
    each(ended, &|group, at, row| {
        if let Some(window) = at.and_then(|at| group.windows.get_mut(at)) {
            window.completions_per_s = number(&row, "runs").unwrap_or(0.0) / seconds;
            window.refused_per_s = number(&row, "refused").unwrap_or(0.0) / seconds;
        }
    });
    // The first objective of a stage comes last, and counts.
    each(attained, &|group, at, row| {
        group.target = number(&row, "target");
        if let Some(window) = at.and_then(|at| group.windows.get_mut(at)) {
            let (good, runs) = (number(&row, "good"), number(&row, "runs"));
            window.attainment =
                good.zip(runs).filter(|(_, runs)| *runs > 0.0).map(|(good, runs)| good / runs);
        }
    });
    each(envelopes, &|group, _, row| {
        group.envelope =
            row.into_iter().filter(|(_, value)| value.as_array().is_some_and(|v| !v.is_empty())).collect();
    });
    groups
}

fn rates(asked: &Analysis, count: usize, rows: &[Map<String, Value>]) -> Vec<f64> {
    let mut rates = vec![0.0; count];
    for row in rows {
        if let Some(slot) = number(row, "window").and_then(|w| rates.get_mut(w as usize)) {
            *slot = number(row, "runs").unwrap_or(0.0) / (asked.step.0 as f64 / 1e9);
        }
    }
    rates
}

fn row(group: &Group, window: DurationNs) -> Map<String, Value> {
    let SafeLoad { floor, sustainable, recovery, overloaded } =
        safe_load(&group.windows, window, group.target.unwrap_or(0.0));
    let (word, rate, observed) = match sustainable {
        Sustainable::UpTo(rate) => ("observed", Some(rate), None),
        Sustainable::NotObservedUpTo(rate) => ("not observed up to", None, Some(rate)),
        Sustainable::NotEven(rate) => ("not even", None, Some(rate)),
        Sustainable::Unknown => ("unknown", None, None),
    };
    let latest = &group.windows[group.windows.len().saturating_sub(TREND)..];
    let mean = |of: fn(&Window) -> f64| latest.iter().map(of).sum::<f64>() / latest.len().max(1) as f64;
    let now = mean(|w| w.arrivals_per_s);
    // Keys stand alone too, so that SQL has them as columns.
    let mut row = group.key.clone();
    let figures = json!({
        "key": group.key, "floor_ns": floor.map(|f| f.0), "floor_windows": floor.map(|f| f.1),
        "sustainable": word, "sustainable_per_s": rate, "observed_up_to_per_s": observed,
        "now_per_s": now, "mean_concurrency": mean(|w| w.concurrency), "headroom": rate.map(|rate| 1.0 - now / rate),
        "recovery_per_s": recovery.map(|r| r.0), "recovery_windows": recovery.map(|r| r.1),
        "target": group.target, "windows": group.windows.len(), "overloaded_windows": overloaded, "envelope": group.envelope,
        "series": group.windows.iter().map(|w| json!({
            "arrivals_per_s": w.arrivals_per_s, "completions_per_s": w.completions_per_s, "refused_per_s": w.refused_per_s, "mean_concurrency": w.concurrency,
            "queue_share": w.queue_share, "attainment": w.attainment,
        })).collect::<Value>(),
    });
    row.extend(figures.as_object().cloned().unwrap_or_default());
    row
}
