//! How much of what was offered was good: in time, without error, and judged right. An interval, never a guess:
//! low counts unjudged runs as bad, high as good. Alerts use high, so that late verdicts do not page.

use plimsoll_schemas::Outcome;
use plimsoll_schemas::objective::{Objective, built_in};
use serde_json::{Map, Value, json};

use super::judged::runs_sql;
use super::{Analysis, GROUPS_MAX, number, ratio, timed};
use crate::error::QueryError;
use crate::state::QueryState;
use crate::time;

/// Windows over which the burn of the error budget is stated, up to the end of the range.
const BURN_WINDOWS: [(&str, i64); 3] =
    [("5m", 300_000_000_000), ("1h", 3_600_000_000_000), ("6h", 21_600_000_000_000)];

pub async fn answer(state: &QueryState, asked: &Analysis, only: Option<&str>) -> Result<Value, QueryError> {
    let view = state.view(asked.tenant.clone());
    let (objectives, source) = objectives(state, asked).await?;
    let objectives: Vec<Objective> =
        objectives.into_iter().filter(|o| only.is_none_or(|name| o.name == name)).collect();
    if let (Some(name), true) = (only, objectives.is_empty()) {
        return Err(QueryError::NotFound(format!("no objective is named {name:?}")));
    }
    let mut rows = Vec::new();
    let mut sqls = Vec::new();
    for objective in &objectives {
        let sql = groups_sql(objective, asked)?;
        let series = state.objects(&view, &series_sql(objective, asked)?).await?;
        let burns = state.objects(&view, &burn_sql(objective, asked)?).await?;
        for group in state.objects(&view, &sql).await? {
            if number(&group, "offered").is_some_and(|n| n > 0.0) {
                rows.push(row(objective, asked, group, &series, &burns));
            }
        }
        sqls.push(sql);
    }
    let watermark = state.objects(&view, "SELECT max(ingest_unix_nano) AS at FROM verdicts").await?;
    let watermark = watermark.first().and_then(|r| r.get("at")).cloned().unwrap_or_default();
    let mut answer = asked.head();
    answer.insert("verdict_watermark_unix_nano".into(), watermark);
    answer.insert("objectives_source".into(), source.into());
    answer.insert("problems".into(), json!(state.objectives().current().problems));
    let described = objectives.iter().zip(&sqls).map(|(o, sql)| described(o, sql));
    answer.insert("objectives".into(), described.collect());
    answer.insert("rows".into(), rows.into());
    // One statement runs at a time: the first objective's here, each one's own beside it above.
    answer.insert("sql".into(), sqls.into_iter().next().into());
    Ok(answer.into())
}

/// Those of the folder; without any, one for each stage that ran, and one for the request.
async fn objectives(
    state: &QueryState,
    asked: &Analysis,
) -> Result<(Vec<Objective>, &'static str), QueryError> {
    let set = state.objectives().current();
    if !set.objectives.is_empty() {
        return Ok((set.objectives.clone(), "folder"));
    }
    let view = state.view(asked.tenant.clone());
    let sql = format!(
        "SELECT stage, count(*) AS n FROM stage_runs WHERE {} GROUP BY stage ORDER BY n DESC LIMIT 20",
        asked.within("start_unix_nano")
    );
    let stages = state.objects(&view, &sql).await?;
    let stages = stages.iter().filter_map(|s| s.get("stage")?.as_str());
    let objectives = std::iter::once(built_in(None)).chain(stages.map(|s| built_in(Some(s)))).collect();
    Ok((objectives, "built-in defaults"))
}

fn described(o: &Objective, sql: &str) -> Value {
    json!({
        "name": o.name, "display_name": o.display_name, "stage": o.stage,
        "filter": o.filter.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect::<Map<String, Value>>(),
        "threshold_ns": o.threshold.map(|t| t.0), "target": o.target, "quality": o.quality,
        "evaluator": o.evaluator, "judging": "all", "sql": sql,
    })
}

/// The statement behind the rows of one objective.
pub fn groups_sql(objective: &Objective, asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    let group =
        if keys.is_empty() { String::new() } else { format!("GROUP BY {}\n", keys.trim_end_matches(", ")) };
    let count = |what: &str| format!("count(*) FILTER (WHERE {what}) AS {what}");
    let outcomes: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| format!("count(*) FILTER (WHERE outcome = '{0}') AS outcome_{0}", o.as_str()))
        .collect();
    let samples: Vec<String> = [
        ("good", "good_low"),
        ("late", "late"),
        ("failed", "NOT is_ok"),
        ("green_but_wrong", "green_but_wrong"),
        ("unjudged", "is_unjudged"),
    ]
    .iter()
    .map(|(name, which)| format!("sample_ids(trace_id, duration_ns) FILTER (WHERE {which}) AS sample_{name}"))
    .collect();
    Ok(format!(
        "{}
SELECT {keys}count(*) AS offered, {}, {}, {}, {}, {}, {}, count(*) FILTER (WHERE NOT is_ok) AS failed,
  hdr_quantile(duration_ns, 0.99) AS p99_ns,
  {},
  {}
FROM runs
{group}ORDER BY offered DESC
LIMIT {GROUPS_MAX}",
        runs_sql(objective, asked, asked.range.start.0)?,
        count("good_low"),
        count("good_high"),
        count("is_judged"),
        count("is_unjudged"),
        count("late"),
        count("green_but_wrong"),
        outcomes.join(", "),
        samples.join(",\n  "),
    ))
}

fn series_sql(objective: &Objective, asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    Ok(format!(
        "{}
SELECT {keys}{point} AS point, count(*) AS offered, count(*) FILTER (WHERE good_low) AS good_low,
  count(*) FILTER (WHERE good_high) AS good_high, count(*) FILTER (WHERE is_unjudged) AS unjudged,
  count(*) FILTER (WHERE green_but_wrong) AS green_but_wrong
FROM runs GROUP BY {keys}point ORDER BY point",
        runs_sql(objective, asked, asked.range.start.0)?,
        point = asked.point("start_unix_nano"),
    ))
}

fn burn_sql(objective: &Objective, asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    let end = asked.range.end.0;
    let longest = BURN_WINDOWS.iter().map(|(_, ns)| *ns).max().unwrap_or(0);
    let windows: Vec<String> = BURN_WINDOWS
        .iter()
        .map(|(name, ns)| {
            let within = format!("start_unix_nano >= {}", end - ns);
            format!("count(*) FILTER (WHERE {within}) AS offered_{name}, count(*) FILTER (WHERE {within} AND good_high) AS good_{name}")
        })
        .collect();
    let group =
        if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.trim_end_matches(", ")) };
    let runs = runs_sql(objective, asked, end - longest)?;
    Ok(format!("{runs}\nSELECT {keys}{} FROM runs{group}", windows.join(", ")))
}

fn row(
    objective: &Objective,
    asked: &Analysis,
    mut group: Map<String, Value>,
    series: &[Map<String, Value>],
    burns: &[Map<String, Value>],
) -> Value {
    let same =
        |other: &&Map<String, Value>| asked.by.iter().all(|k| other.get(k.column()) == group.get(k.column()));
    let points: Vec<Value> = series
        .iter()
        .filter(same)
        .cloned()
        .map(|point| {
            let mut point = timed(point);
            asked.key(&mut point);
            point.into()
        })
        .collect();
    let burn = burns.iter().find(same).map_or(Value::Null, |b| burn(b, objective.target));
    let key = asked.key(&mut group);
    let n = |column: &str| number(&group, column);
    let take = |column: &str| group.get(column).cloned().unwrap_or_default();
    let seconds = asked.range.length().0 as f64 / 1e9;
    let offered = n("offered");
    let high = ratio(n("good_high"), offered);
    let left = high.as_f64().map(|a| 1.0 - (1.0 - a) / (1.0 - objective.target));
    let outcomes: Map<String, Value> = Outcome::ALL
        .iter()
        .map(|o| (o.as_str().to_owned(), take(&format!("outcome_{}", o.as_str()))))
        .collect();
    let samples: Map<String, Value> = ["good", "late", "failed", "green_but_wrong", "unjudged"]
        .iter()
        .map(|name| ((*name).to_owned(), some_list(take(&format!("sample_{name}")))))
        .collect();
    // Work in flight exports only at its end: what started within the last p99 is not all there yet.
    let incomplete = n("p99_ns").is_some_and(|p99| asked.range.end.0 as f64 > time::now().0 as f64 - p99);
    json!({
        "objective": objective.name, "stage": objective.stage, "key": key,
        "offered": take("offered"), "good_low": take("good_low"), "good_high": take("good_high"),
        "judged": take("is_judged"), "unjudged": take("is_unjudged"),
        "judged_share": ratio(n("is_judged"), offered),
        "attainment_low": ratio(n("good_low"), offered), "attainment_high": high,
        "goodput_low_per_s": ratio(n("good_low"), Some(seconds)),
        "goodput_high_per_s": ratio(n("good_high"), Some(seconds)),
        "late": take("late"), "failed": take("failed"), "outcomes": outcomes,
        "green_but_wrong": take("green_but_wrong"),
        "green_but_wrong_share": ratio(n("green_but_wrong"), n("is_judged")),
        "target": objective.target, "breached": high.as_f64().is_some_and(|a| a < objective.target),
        "burn": burn, "budget_remaining": left, "incomplete": incomplete,
        "series": points, "sample_trace_ids": samples,
    })
}

/// burn(w) = (1 − attainment over w) ÷ (1 − target), as the SRE workbook has it.
fn burn(counts: &Map<String, Value>, target: f64) -> Value {
    let of = |name: &str| {
        let attainment =
            ratio(number(counts, &format!("good_{name}")), number(counts, &format!("offered_{name}")));
        attainment.as_f64().map(|a| (1.0 - a) / (1.0 - target))
    };
    BURN_WINDOWS.iter().map(|(name, _)| ((*name).to_owned(), json!(of(name)))).collect::<Map<_, _>>().into()
}

fn some_list(value: Value) -> Value {
    if value.is_null() { Value::Array(Vec::new()) } else { value }
}
