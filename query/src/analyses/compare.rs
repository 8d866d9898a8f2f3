//! Whether a candidate is worse than its baseline, in which stage, and with what certainty: two slices in one window, or one
//! slice before and after. The statistics and the verdict are `analysis::fleet::compare`; here rows are fetched, paired and shown.

mod columns;
mod shape;
mod side;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use futures::FutureExt;
use plimsoll_analysis::fleet::compare::{self, Comparison, Experiment};
use plimsoll_schemas::comparison::{BUILT_IN, REQUEST, RolloutRules, parse};

use super::definition::{Answer, Definition, Explain, InSql, Parameter};
use super::{Analysis, goodput};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Term};
use crate::state::QueryState;
use crate::time::{self, TimeRange};
use side::{Fetched, Key, PairBy, Sliced};

pub static DEFINITION: Definition = Definition {
    name: "compare",
    function: "compare_slices",
    summary: "Whether a candidate is worse than its baseline, where, and with what certainty",
    by: None,
    parameters: &[
        Parameter {
            name: "baseline",
            value: "TERMS",
            help: "The slice that is known, as model=a [default: the candidate's, before]",
        },
        Parameter { name: "candidate", value: "TERMS", help: "The slice that is judged, as model=b" },
        Parameter {
            name: "baseline_start",
            value: "TIME",
            help: "From when the baseline is [default: start; of the same slice, as long before it as it lasts]",
        },
        Parameter {
            name: "baseline_end",
            value: "TIME",
            help: "Until when the baseline is [default: end; start, if baseline_start is given]",
        },
        Parameter {
            name: "pair_by",
            value: "KEY",
            help: "Compare in pairs of the same task, session or attributes.NAME, or not: none [default: task, where most have one]",
        },
        Parameter {
            name: "rules",
            value: "FILE",
            help: "What may be worse by how much, in YAML [default: built in; docs/concepts/compare.md]",
        },
    ],
    rows: "figures",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Computed { columns },
};

fn columns() -> Schema {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    let text = |name: &str| field(name, DataType::Utf8);
    let double = |name: &str| field(name, DataType::Float64);
    let int = |name: &str| field(name, DataType::Int64);
    Schema::new(vec![
        text("stage"),
        text("metric"),
        text("unit"),
        double("baseline"),
        double("candidate"),
        double("difference"),
        double("low"),
        double("high"),
        field("is_worse", DataType::Boolean),
        field("is_better", DataType::Boolean),
        int("baseline_known"),
        int("candidate_known"),
        int("baseline_runs"),
        int("candidate_runs"),
        int("gained"),
        int("lost"),
        double("mcnemar_p"),
        text("rule"),
        text("verdict"),
        text("baseline_envelope"),
        text("candidate_envelope"),
    ])
}

/// Stages that are compared, the busiest first.
const STAGES_MAX: usize = 20;

/// What is compared with what.
#[derive(Debug)]
struct Question {
    baseline: Sliced,
    candidate: Sliced,
    pair_by: PairBy,
    /// Whether that was asked for, or is what is done where nobody says.
    pairs_asked: bool,
    rules: RolloutRules,
    rules_text: String,
}

impl Question {
    fn of(asked: &Analysis) -> Result<Self, QueryError> {
        let slice = |name: &str| -> Result<Option<Vec<Term>>, QueryError> {
            let Some(text) = asked.parameter(name) else { return Ok(None) };
            filter::parse(text).map(Some).map_err(|e| QueryError::Invalid(format!("{name}: {e}")))
        };
        let now = time::now();
        let instant = |name: &str| -> Result<Option<_>, QueryError> {
            let Some(text) = asked.parameter(name) else { return Ok(None) };
            time::instant(text, now).map(Some).ok_or_else(|| time::bad_instant(name, text))
        };
        let (start, end) = (instant("baseline_start")?, instant("baseline_end")?);
        let (baseline, candidate) = match (slice("baseline")?, slice("candidate")?) {
            (Some(baseline), Some(candidate)) => (baseline, candidate),
            (only, None) | (None, only) => (only.clone().unwrap_or_default(), only.unwrap_or_default()),
        };
        let TimeRange { start: from, end: until } = asked.range;
        let before = match (start, end) {
            // One slice in one window says nothing: it is compared with what was before.
            (None, None) if baseline == candidate => TimeRange { start: from - (until - from), end: from },
            (None, end) => TimeRange { start: from, end: end.unwrap_or(until) },
            (Some(start), end) => TimeRange { start, end: end.unwrap_or(from) },
        };
        if before.start >= before.end {
            return Err(QueryError::Invalid("baseline_end: expected a time after baseline_start".into()));
        }
        let side = |own: Vec<Term>, range: TimeRange| Sliced {
            terms: own.into_iter().chain(asked.filter.iter().cloned()).collect(),
            range,
        };
        let rules_text = asked.parameter("rules").unwrap_or(BUILT_IN).to_owned();
        let rules = parse(&rules_text).map_err(|e| QueryError::Invalid(format!("rules: {e}")))?;
        Ok(Self {
            baseline: side(baseline, before),
            candidate: side(candidate, asked.range),
            pair_by: PairBy::parse(asked.parameter("pair_by"))?,
            pairs_asked: asked.parameter("pair_by").is_some(),
            rules,
            rules_text,
        })
    }
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let question = Question::of(asked)?;
    let permit = state.permit_to_compare().await?;
    let mut statements = Vec::new();
    let mut stages = BTreeMap::new();
    let mut sides = Vec::with_capacity(2);
    for of in [&question.baseline, &question.candidate] {
        let of_range = Analysis { range: of.range, filter: Vec::new(), ..asked.clone() };
        let objectives = goodput::for_every_stage(state, view, &of_range).await?;
        sides.push(
            side::fetch(state, view, &of_range, of, &objectives, &question.pair_by, &mut statements).await?,
        );
    }
    let [mut baseline, mut candidate] = <[Fetched; 2]>::try_from(sides)
        .map_err(|_| QueryError::Internal("a comparison has two sides".into()))?;
    for fetched in [&baseline, &candidate] {
        for stage in &fetched.stages {
            *stages.entry(stage.clone()).or_insert(0_usize) += fetched.runs_of(stage);
        }
    }
    let names = busiest(stages);
    baseline.number(&names);
    candidate.number(&names);
    let pairs = pairs(&question, &baseline, &candidate)?;
    let rules = question.rules.clone();
    let (sides, chosen) = ([baseline.side.clone(), candidate.side.clone()], pairs.clone());
    let names = Arc::new(names);
    let compared = {
        let names = names.clone();
        // Resampling takes up to seconds.
        tokio::task::spawn_blocking(move || -> Comparison {
            // Kept also when nobody waits for the answer any more.
            let _permit = permit;
            let [baseline, candidate] = &sides;
            let experiment = Experiment { stages: &names, baseline, candidate, pairs: chosen.as_deref() };
            compare::compare(&experiment, &rules)
        })
    };
    let comparison = compared.await.map_err(|e| QueryError::Internal(format!("comparing: {e}")))?;
    let rows = shape::rows(&question, &names, &comparison, &baseline, &candidate);
    let more = shape::more(&question, &comparison, &baseline, &candidate, pairs.as_deref());
    let sample_trace_ids = shape::samples(&candidate);
    let explain = Explain {
        sql: statements,
        method: "Shares by Newcombe's intervals (in pairs with McNemar's exact test), quantiles and ratios by resampling whole traces, \
                 stages of one rule under Holm's correction; docs/concepts/compare.md.",
        sample_trace_ids,
    };
    Ok(Answer { rows, more, explain })
}

/// The request, then the stages by how many runs they have.
fn busiest(stages: BTreeMap<String, usize>) -> Vec<String> {
    let mut stages: Vec<(String, usize)> = stages.into_iter().collect();
    stages.sort_by_key(|(name, runs)| (name != REQUEST, std::cmp::Reverse(*runs)));
    stages.truncate(1 + STAGES_MAX);
    stages.into_iter().map(|(name, _)| name).collect()
}

/// Traces of both sides that were given the same task, the first with the first; `None`: as independent samples.
fn pairs(
    question: &Question,
    baseline: &Fetched,
    candidate: &Fetched,
) -> Result<Option<Vec<(u32, u32)>>, QueryError> {
    if question.pair_by == PairBy::None {
        return Ok(None);
    }
    // A task's number is its workload's own, unless the sides differ in just that.
    let by_class = |of: &Sliced| !of.terms.iter().any(|t| t.key() == "workload_class");
    let by_class = by_class(&question.baseline) && by_class(&question.candidate);
    let of_baseline = baseline.by_key(by_class);
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for (key, traces) in candidate.by_key(by_class) {
        let others: &[u32] = of_baseline.get(&key as &Key<'_>).map_or(&[], Vec::as_slice);
        pairs.extend(others.iter().copied().zip(traces));
    }
    pairs.sort_unstable();
    if question.pairs_asked && pairs.is_empty() {
        return Err(QueryError::NotFound(format!(
            "pair_by: no {} is on both sides; pair_by=none compares them as independent samples",
            question.pair_by.as_str()
        )));
    }
    let smaller = baseline.traces.len().min(candidate.traces.len());
    Ok((question.pairs_asked || 2 * pairs.len() >= smaller && !pairs.is_empty()).then_some(pairs))
}
