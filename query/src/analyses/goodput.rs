//! How much of what was offered was good: in time, without error, and judged right. An interval, never a guess:
//! low counts unjudged runs as bad, high as good. Alerts use high, so that late verdicts do not page.

use futures::FutureExt;
use plimsoll_schemas::Outcome;
use plimsoll_schemas::objective::{Objective, built_in, parse};
use serde_json::{Map, Value, json};

use super::definition::{Answer, Definition, Explain, InSql, Parameter};
use super::judged::runs_sql;
use super::{Analysis, GROUPS_MAX, number, share, timed};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;
use crate::time;

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
    ],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|state, view, asked| {
        async move {
            let (objectives, _) = objectives(&state, &view, &asked).await?;
            groups_sql(&only(objectives, &asked)?, &asked)
        }
        .boxed()
    }),
};

/// Windows over which the burn of the error budget is stated, up to the end of the range.
const BURN_WINDOWS: [(&str, i64); 5] = [
    ("5m", 300_000_000_000),
    ("30m", 1_800_000_000_000),
    ("1h", 3_600_000_000_000),
    ("6h", 21_600_000_000_000),
    ("3d", 259_200_000_000_000),
];
/// Days are read only where a day's part is asked about: a screen of the last hour need not scan three of them.
const LONG_WINDOW_NS: i64 = 86_400_000_000_000;
const LONG_FROM_RANGE_NS: i64 = 21_600_000_000_000;
/// Who is to be woken: the long window burns this quickly, and the short one still does (SRE workbook, ch. 5).
const ALERTS: [(&str, &str, f64); 3] = [("1h", "5m", 14.4), ("6h", "30m", 6.0), ("3d", "6h", 1.0)];
/// Kinds of runs of which answers name some traces, and the condition for each.
const SAMPLES: [(&str, &str); 5] = [
    ("good", "good_low"),
    ("late", "late"),
    ("failed", "NOT is_ok"),
    ("green_but_wrong", "green_but_wrong"),
    ("unjudged", "is_unjudged"),
];
/// Stages that are judged when nobody says which, the busiest first.
const STAGES_MAX: usize = 20;

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let (objectives, source) = objectives(state, view, asked).await?;
    let objectives = only(objectives, asked)?;
    let (groups_sql, series_sql, burn_sql) =
        (groups_sql(&objectives, asked)?, series_sql(&objectives, asked)?, burn_sql(&objectives, asked)?);
    // One after the other, so that a screen's worth of questions leaves room for others'.
    let groups = state.objects(view, &groups_sql).await?;
    let series = state.objects(view, &series_sql).await?;
    let burns = state.objects(view, &burn_sql).await?;
    let requests = match requests_sql(&objectives, asked)? {
        Some(sql) => state.objects(view, &sql).await?.into_iter().next(),
        None => None,
    };
    let first_failing = state.objects(view, &first_failing_sql(asked)?).await?;
    let watermark = state.objects(view, "SELECT max(ingest_unix_nano) AS at FROM verdicts").await?;
    let rows = groups.into_iter().map(|group| row(asked, group, &series, &burns)).collect();
    let watermark = watermark.first().and_then(|r| r.get("at")).cloned().unwrap_or_default();
    let mut more = Map::new();
    let mut requests = requests.unwrap_or_default();
    requests.insert("first_failing_stage".into(), first_failing.into_iter().map(Value::from).collect());
    more.insert("requests".into(), requests.into());
    more.insert("verdict_watermark_unix_nano".into(), watermark);
    more.insert("objectives_source".into(), source.into());
    more.insert("problems".into(), json!(state.objectives().current().problems));
    more.insert("objectives".into(), objectives.iter().map(described).collect());
    let explain = Explain {
        sql: vec![groups_sql, series_sql, burn_sql],
        method: "Every run that was offered, against its objectives: low counts unjudged runs as bad, high as good.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more, explain })
}

/// The objectives that runs of the range are judged by.
pub async fn in_force(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
) -> Result<Vec<Objective>, QueryError> {
    Ok(objectives(state, view, asked).await?.0)
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
) -> Result<(Vec<Objective>, &'static str), QueryError> {
    if let Some(text) = asked.parameter("document") {
        let objectives = parse(text).map_err(|e| QueryError::Invalid(format!("document: {e}")))?;
        return match objectives.len() {
            0 => Err(QueryError::Invalid("document: no OpenSLO document of kind SLO is in it".into())),
            _ => Ok((objectives, "document")),
        };
    }
    let within = asked.within("start_unix_nano");
    let set = state.objectives().current();
    if !set.objectives.is_empty() {
        return Ok((set.objectives.clone(), "folder"));
    }
    let stages = busiest(state, view, &within).await?;
    let objectives =
        std::iter::once(built_in(None)).chain(stages.iter().map(|s| built_in(Some(s)))).collect();
    Ok((objectives, "built-in defaults"))
}

/// Stages that ran, the busiest first.
async fn busiest(state: &QueryState, view: &View, within: &str) -> Result<Vec<String>, QueryError> {
    let sql = format!(
        "SELECT stage, count(*) AS n FROM stage_runs WHERE {within} AND stage <> 'request'
GROUP BY stage ORDER BY n DESC, stage LIMIT {STAGES_MAX}"
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
    let stages = busiest(state, view, &asked.within("start_unix_nano")).await?;
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
        "evaluator": o.evaluator, "judging": "all",
    })
}

/// The statement behind the rows.
pub fn groups_sql(objectives: &[Objective], asked: &Analysis) -> Result<String, QueryError> {
    let outcomes: String = Outcome::ALL
        .iter()
        .map(|o| format!(", count(*) FILTER (WHERE outcome = '{0}') AS outcome_{0}", o.as_str()))
        .collect();
    let samples: String = SAMPLES
        .iter()
        .map(|(name, which)| {
            format!(",\n  sample_ids(trace_id, duration_ns) FILTER (WHERE {which}) AS sample_{name}")
        })
        .collect();
    let counts = format!(
        "count(*) AS offered, {good_low} AS good_low, {good_high} AS good_high, {judged} AS judged,
  count(*) FILTER (WHERE is_unjudged) AS unjudged, {judged_share} AS judged_share,
  {low} AS attainment_low, {high} AS attainment_high,
  count(*) FILTER (WHERE late) AS late, count(*) FILTER (WHERE NOT is_ok) AS failed,
  {wrong} AS green_but_wrong, {wrong_share} AS green_but_wrong_share{outcomes},
  hdr_quantile(duration_ns, 0.99) AS p99_ns{samples}",
        good_low = count("good_low"),
        good_high = count("good_high"),
        judged = count("is_judged"),
        judged_share = share(&count("is_judged"), "count(*)"),
        low = share(&count("good_low"), "count(*)"),
        high = share(&count("good_high"), "count(*)"),
        wrong = count("green_but_wrong"),
        wrong_share = share(&count("green_but_wrong"), &count("is_judged")),
    );
    let limit = GROUPS_MAX * objectives.len().max(1);
    over_runs(
        objectives,
        asked,
        asked.range.start.0,
        &counts,
        "",
        &format!("ORDER BY ordinal, offered DESC\nLIMIT {limit}"),
    )
}

fn series_sql(objectives: &[Objective], asked: &Analysis) -> Result<String, QueryError> {
    let counts = format!(
        "{point} AS point, count(*) AS offered, {} AS good_low, {} AS good_high,
  count(*) FILTER (WHERE is_unjudged) AS unjudged, {} AS green_but_wrong",
        count("good_low"),
        count("good_high"),
        count("green_but_wrong"),
        point = asked.point("start_unix_nano"),
    );
    over_runs(objectives, asked, asked.range.start.0, &counts, ", point", "ORDER BY point")
}

/// burn(w) = (1 − attainment over w) ÷ (1 − target), as the SRE workbook has it.
fn burn_sql(objectives: &[Objective], asked: &Analysis) -> Result<String, QueryError> {
    let end = asked.range.end.0;
    let windows = burn_windows(asked);
    let longest = windows.iter().map(|(_, ns)| *ns).max().unwrap_or(0);
    let windows: Vec<String> = windows
        .iter()
        .map(|(name, ns)| {
            let within = format!("start_unix_nano >= {}", end - ns);
            let attainment = share(
                &count(&format!("{within} AND good_high")),
                &format!("count(*) FILTER (WHERE {within})"),
            );
            format!("(1 - {attainment}) / (1 - target) AS \"{name}\"")
        })
        .collect();
    over_runs(objectives, asked, end - longest, &windows.join(",\n  "), "", "")
}

fn burn_windows(asked: &Analysis) -> Vec<(&'static str, i64)> {
    let is_long = asked.range.length().0 >= LONG_FROM_RANGE_NS;
    BURN_WINDOWS.into_iter().filter(|(_, ns)| is_long || *ns < LONG_WINDOW_NS).collect()
}

/// A request is good only if every stage of it is: by all objectives that speak of any of its runs.
fn requests_sql(objectives: &[Objective], asked: &Analysis) -> Result<Option<String>, QueryError> {
    let Some(runs) = runs_sql(objectives, asked, asked.range.start.0)? else { return Ok(None) };
    Ok(Some(format!(
        "{runs}
SELECT count(*) AS offered, {} AS good_low, {} AS good_high
FROM (SELECT bool_and(good_low) AS good_low, bool_and(good_high) AS good_high FROM runs GROUP BY tenant, trace_id)",
        count("good_low"),
        count("good_high"),
    )))
}

/// Of requests that did not end well, the stage whose run was the first that ended badly.
fn first_failing_sql(asked: &Analysis) -> Result<String, QueryError> {
    let terms = filter::sql(&asked.filter, Over::Traces).unwrap_or_default();
    Ok(format!(
        "SELECT stage, count(*) AS requests, sample_ids(trace_id, duration_ns) AS sample_trace_ids
FROM (
  SELECT r.trace_id, t.duration_ns, first_value(r.stage ORDER BY r.start_unix_nano + r.duration_ns, r.start_unix_nano DESC) AS stage
  FROM stage_runs r JOIN (SELECT * FROM traces WHERE outcome <> 'ok' AND {within}{terms}) t ON r.tenant = t.tenant AND r.trace_id = t.trace_id
  WHERE r.outcome <> 'ok'
  GROUP BY r.tenant, r.trace_id, t.duration_ns
)
GROUP BY stage ORDER BY requests DESC, stage",
        within = asked.within("start_unix_nano"),
    ))
}

fn count(which: &str) -> String {
    format!("count(*) FILTER (WHERE {which})")
}

/// `what` of each objective's runs, by the grouping columns.
fn over_runs(
    objectives: &[Objective],
    asked: &Analysis,
    from_unix_nano: i64,
    what: &str,
    also_by: &str,
    end: &str,
) -> Result<String, QueryError> {
    let keys = asked.keys();
    let by: String = asked.by.iter().map(|k| format!(", {}", k.column())).collect();
    let Some(runs) = runs_sql(objectives, asked, from_unix_nano)? else {
        return Err(QueryError::NotFound("there is no objective".into()));
    };
    Ok(format!(
        "{runs}
SELECT ordinal, objective, for_stage, target, {keys}{what}
FROM runs
GROUP BY ordinal, objective, for_stage, target{by}{also_by}
{end}"
    ))
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
    let burn: Map<String, Value> = burn_windows(asked)
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
    let samples: Map<String, Value> = SAMPLES
        .iter()
        .map(|(name, _)| ((*name).to_owned(), some_list(take(&format!("sample_{name}")))))
        .collect();
    // Work in flight exports only at its end: what started within the last p99 is not all there yet.
    let incomplete = n("p99_ns").is_some_and(|p99| asked.range.end.0 as f64 > time::now().0 as f64 - p99);
    let row = json!({
        "objective": take("objective"), "stage": stage, "key": key,
        "offered": take("offered"), "good_low": take("good_low"), "good_high": take("good_high"),
        "judged": take("judged"), "unjudged": take("unjudged"), "judged_share": take("judged_share"),
        "attainment_low": take("attainment_low"), "attainment_high": high,
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
