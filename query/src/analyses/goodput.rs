//! How much of what was offered was good: in time, without error, and judged right. An interval, never a guess:
//! low counts unjudged runs as bad, high as good. Alerts use high, so that late verdicts do not page.

mod statements;

use futures::FutureExt;
use plimsoll_schemas::Outcome;
use plimsoll_schemas::objective::{Objective, built_in, parse};
use plimsoll_schemas::table::CELL_SAMPLES;
use serde_json::{Map, Value, json};

use super::definition::{Answer, Definition, Explain, InSql, Parameter};
use super::{Analysis, number, timed};
use crate::engine::View;
use crate::error::QueryError;
use crate::rollup::coverage::{ALL_RUNS, Coverage, within};
use crate::rollup::{self, relation};
use crate::state::QueryState;
use crate::tables::catalog::Computed;
use crate::time;
use statements::Statements;

pub static DEFINITION: Definition = Definition {
    name: "goodput",
    function: "goodput",
    summary: "How much of what was offered was good: in time, without error, judged right",
    by: Some(&[]),
    parameters: &[
        Parameter { name: "objective", value: "NAME", help: "Only this objective" },
        Parameter {
            name: "document",
            value: "FILE",
            help: "OpenSLO documents in place of those in force: what they would have said of this range",
        },
        Parameter {
            name: "requests",
            value: "BOOL",
            help: "Whether to judge requests by all their stages; unless said, only where few runs are in the range",
        },
    ],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|state, view, asked| {
        async move {
            let coverage = coverage(&state, &view, &asked).await?;
            let (objectives, _) = objectives(&state, &view, &asked, coverage.as_ref()).await?;
            let objectives = only(objectives, &asked)?;
            Ok(Statements::new(&objectives, &asked, coverage.as_ref(), true).groups()?.shown)
        }
        .boxed()
    }),
};

/// Who is to be woken: the long window burns this quickly, and the short one still does (SRE workbook, ch. 5).
const ALERTS: [(&str, &str, f64); 3] = [("1h", "5m", 14.4), ("6h", "30m", 6.0), ("3d", "6h", 1.0)];
/// Stages that are judged when nobody says which, the busiest first.
const STAGES_MAX: usize = 20;

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let coverage = coverage(state, view, asked).await?;
    let (objectives, source) = objectives(state, view, asked, coverage.as_ref()).await?;
    let objectives = only(objectives, asked)?;
    let statements = Statements::new(&objectives, asked, coverage.as_ref(), view.has_verdicts());
    let (by_group, by_point, by_window) = (statements.groups()?, statements.series()?, statements.burn()?);
    let counted = async {
        let held = statements.held()?;
        if held.is_empty() {
            // One after the other, so that a screen's worth of questions leaves room for others'.
            let groups = state.objects(view, &by_group.read).await?;
            let series = state.objects(view, &by_point.read).await?;
            return Ok((groups, series, state.objects(view, &by_window.read).await?));
        }
        // What is left is as much planning as reading, by one thread each.
        let none = Computed::new();
        let read = held.into_iter().map(|(table, sql)| {
            let rows = state.ours_with(view, sql, &none);
            async move { Ok::<_, QueryError>((table.to_owned(), rows.await?.whole()?)) }
        });
        let tables: Computed = futures::future::try_join_all(read).await?.into_iter().collect();
        let [groups, series, burns] =
            [&by_group, &by_point, &by_window].map(|sql| state.objects_with(view, &sql.read, &tables));
        futures::try_join!(groups, series, burns)
    };
    let watermark = async {
        match view.has_verdicts() {
            true => state.objects(view, "SELECT max(ingest_unix_nano) AS at FROM verdicts").await,
            false => Ok(Vec::new()),
        }
    };
    let ((groups, series, burns), watermark) = futures::try_join!(counted, watermark)?;
    let offered: f64 = groups.iter().filter_map(|group| number(group, "offered")).sum();
    let requests =
        if requests_too(asked, offered)? { requests(state, view, &statements).await? } else { Value::Null };
    let rows = groups.into_iter().map(|group| row(asked, group, &series, &burns)).collect();
    let watermark = watermark.first().and_then(|r| r.get("at")).cloned().unwrap_or_default();
    let mut more = Map::new();
    more.insert("requests".into(), requests);
    more.insert("verdict_watermark_unix_nano".into(), watermark);
    more.insert("objectives_source".into(), source.into());
    more.insert("problems".into(), json!(state.objectives().current().problems));
    more.insert("objectives".into(), objectives.iter().map(described).collect());
    let explain = Explain {
        sql: [by_group, by_point, by_window].map(|statement| statement.shown).to_vec(),
        method: "Every run that was offered, against its objectives: low counts unjudged runs as bad, high as good.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more, explain })
}

/// What of the rollups an answer to this may read at this instant.
async fn coverage(state: &QueryState, view: &View, asked: &Analysis) -> Result<Option<Coverage>, QueryError> {
    if view.rolled.is_empty() || !relation::tells(asked) {
        return Ok(None);
    }
    let mut coverage = (*view.rolled).clone();
    coverage.uncover(&rollup::since(state, view, &coverage).await?);
    Ok(Some(coverage))
}

/// A request is judged by single runs, those of all its stages.
const RUNS_OF_REQUESTS_MAX: f64 = 200_000.0;

fn requests_too(asked: &Analysis, offered: f64) -> Result<bool, QueryError> {
    match asked.parameter("requests") {
        None => Ok(offered <= RUNS_OF_REQUESTS_MAX),
        Some(text) => text
            .parse()
            .map_err(|_| QueryError::Invalid(format!("requests: expected true or false, got {text:?}"))),
    }
}

async fn requests(state: &QueryState, view: &View, statements: &Statements<'_>) -> Result<Value, QueryError> {
    let mut requests = match statements.requests()? {
        Some(sql) => state.objects(view, &sql).await?.into_iter().next().unwrap_or_default(),
        None => Map::new(),
    };
    let failing = state.objects(view, &statements.first_failing()).await?;
    requests.insert("first_failing_stage".into(), failing.into_iter().map(Value::from).collect());
    Ok(requests.into())
}

/// The objectives that runs of the range are judged by.
pub async fn in_force(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
) -> Result<Vec<Objective>, QueryError> {
    Ok(objectives(state, view, asked, None).await?.0)
}

/// The objectives that are asked for.
fn only(mut objectives: Vec<Objective>, asked: &Analysis) -> Result<Vec<Objective>, QueryError> {
    let Some(name) = asked.parameter("objective") else { return Ok(objectives) };
    objectives.retain(|o| o.name == name);
    if objectives.is_empty() {
        return Err(QueryError::NotFound(format!("no objective is named {name:?}")));
    }
    Ok(objectives)
}

/// Those of the folder; without any, one for each stage that ran, and one for the request.
async fn objectives(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
    coverage: Option<&Coverage>,
) -> Result<(Vec<Objective>, &'static str), QueryError> {
    if let Some(text) = asked.parameter("document") {
        let objectives = parse(text).map_err(|e| QueryError::Invalid(format!("document: {e}")))?;
        return match objectives.len() {
            0 => Err(QueryError::Invalid("document: no OpenSLO document of kind SLO is in it".into())),
            _ => Ok((objectives, "document")),
        };
    }
    let set = state.objectives().current();
    if !set.objectives.is_empty() {
        return Ok((set.objectives.clone(), "folder"));
    }
    let stages = busiest(state, view, asked, coverage).await?;
    let objectives =
        std::iter::once(built_in(None)).chain(stages.iter().map(|s| built_in(Some(s)))).collect();
    Ok((objectives, "built-in defaults"))
}

/// Stages that ran, the busiest first.
async fn busiest(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
    coverage: Option<&Coverage>,
) -> Result<Vec<String>, QueryError> {
    let (start, end) = (asked.range.start.0, asked.range.end.0);
    let none = Coverage::default();
    let cover = coverage.unwrap_or(&none).cover(&[ALL_RUNS.to_owned()], start, end, true);
    let mut parts = vec![format!(
        "SELECT stage, count(*) AS n FROM stage_runs WHERE {} GROUP BY stage",
        within(cover.runs.iter().copied())
    )];
    for (view, minutes) in [("stage_hours", &cover.hours), ("stage_minutes", &cover.minutes)] {
        if !minutes.is_empty() {
            let within = within(minutes.stretches());
            parts.push(format!("SELECT stage, sum(runs) AS n FROM {view} WHERE {within} GROUP BY stage"));
        }
    }
    let sql = format!(
        "SELECT stage, sum(n) AS n FROM (\n{}\n) WHERE stage <> 'request'
GROUP BY stage ORDER BY n DESC, stage LIMIT {STAGES_MAX}",
        parts.join("\nUNION ALL\n")
    );
    let stages = state.objects(view, &sql).await?;
    Ok(stages.iter().filter_map(|s| s.get("stage")?.as_str()).map(str::to_owned).collect())
}

/// Those of the folder, and the built-in one for the request and each stage of which it says nothing.
pub(super) async fn for_every_stage(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
) -> Result<Vec<Objective>, QueryError> {
    let mut objectives = state.objectives().current().objectives.clone();
    let stages = busiest(state, view, asked, None).await?;
    for stage in std::iter::once(None).chain(stages.iter().map(|s| Some(s.as_str()))) {
        if !objectives.iter().any(|o| o.stage.as_deref() == stage) {
            objectives.push(built_in(stage));
        }
    }
    Ok(objectives)
}

fn described(o: &Objective) -> Value {
    json!({
        "name": o.name, "display_name": o.display_name, "stage": o.stage,
        "filter": o.filter.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect::<Map<String, Value>>(),
        "threshold_ns": o.threshold.map(|t| t.0), "target": o.target, "quality": o.quality,
        "evaluator": o.evaluator, "judging": o.judging.to_string(),
    })
}

fn row(
    asked: &Analysis,
    mut group: Map<String, Value>,
    series: &[Map<String, Value>],
    burns: &[Map<String, Value>],
) -> Map<String, Value> {
    let same = |other: &&Map<String, Value>| {
        other.get("ordinal") == group.get("ordinal")
            && asked.by.iter().all(|k| other.get(k.column()) == group.get(k.column()))
    };
    let points: Vec<Value> = series
        .iter()
        .filter(same)
        .cloned()
        .map(|point| {
            let mut point = timed(point);
            asked.key(&mut point);
            ["ordinal", "objective", "for_stage", "target"].iter().for_each(|c| drop(point.remove(*c)));
            point.into()
        })
        .collect();
    let burn: Map<String, Value> = statements::burn_windows(asked)
        .iter()
        .map(|(name, _)| {
            let of = burns.iter().find(same).and_then(|b| b.get(*name));
            ((*name).to_owned(), of.cloned().unwrap_or_default())
        })
        .collect();
    let burns_at = |name: &str, factor: f64| number(&burn, name).map(|rate| rate >= factor);
    let stated = ALERTS.iter().filter(|(long, ..)| burn.contains_key(*long));
    let alerts = stated.map(|(long, short, factor)| {
        let firing = burns_at(long, *factor).zip(burns_at(short, *factor)).map(|(long, short)| long && short);
        json!({"long": long, "short": short, "burn_rate": factor, "firing": firing})
    });
    let alerts: Value = alerts.collect();
    let key = asked.key(&mut group);
    let n = |column: &str| number(&group, column);
    let take = |column: &str| group.get(column).cloned().unwrap_or_default();
    let stage = Some(take("for_stage")).filter(|s| s != "request");
    let seconds = asked.range.length().0 as f64 / 1e9;
    let (target, high) = (n("target"), n("attainment_high"));
    let left = high.zip(target).map(|(a, target)| 1.0 - (1.0 - a) / (1.0 - target));
    let outcomes: Map<String, Value> = Outcome::ALL
        .iter()
        .map(|o| (o.as_str().to_owned(), take(&format!("outcome_{}", o.as_str()))))
        .collect();
    let samples: Map<String, Value> = CELL_SAMPLES
        .iter()
        .map(|kind| ((*kind).to_owned(), some_list(take(&format!("sample_{kind}")))))
        .collect();
    // Work in flight exports only at its end: what started within the last p99 is not all there yet.
    let incomplete = n("p99_ns").is_some_and(|p99| asked.range.end.0 as f64 > time::now().0 as f64 - p99);
    let row = json!({
        "objective": take("objective"), "stage": stage, "key": key,
        "runs": take("runs"), "sampling_known_share": take("sampling_known_share"),
        "offered": take("offered"), "good_low": take("good_low"), "good_high": take("good_high"),
        "judged": take("judged"), "unjudged": take("unjudged"), "judged_share": take("judged_share"),
        "attainment_low": take("attainment_low"), "attainment_high": high,
        "attainment_estimate": take("attainment_estimate"), "attainment_estimate_low": take("attainment_estimate_low"),
        "attainment_estimate_high": take("attainment_estimate_high"),
        "goodput_low_per_s": n("good_low").map(|n| n / seconds),
        "goodput_high_per_s": n("good_high").map(|n| n / seconds),
        "late": take("late"), "failed": take("failed"), "outcomes": outcomes,
        "green_but_wrong": take("green_but_wrong"), "green_but_wrong_share": take("green_but_wrong_share"),
        "target": target, "breached": high.zip(target).is_some_and(|(a, target)| a < target),
        "burn": burn, "alerts": alerts, "budget_remaining": left, "incomplete": incomplete,
        "series": points, "sample_trace_ids": samples,
    });
    match row {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

fn some_list(value: Value) -> Value {
    if value.is_null() { Value::Array(Vec::new()) } else { value }
}
