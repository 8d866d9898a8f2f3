//! What a comparison answers: a row for each figure, and the verdict with all that it was made under.

use std::collections::BTreeSet;

use plimsoll_analysis::fleet::compare::{Comparison, Status};
use serde_json::{Map, Value, json};

use super::Question;
use super::side::{Fetched, Sliced};

/// Values of one part of the envelope that are listed.
const VALUES_MAX: usize = 10;
const SAMPLES: usize = 5;
/// How far the judged shares of the sides may lie apart unmentioned.
const JUDGED_APART_MAX: f64 = 0.1;

pub fn rows(
    question: &Question,
    stages: &[String],
    comparison: &Comparison,
    baseline: &Fetched,
    candidate: &Fetched,
) -> Vec<Map<String, Value>> {
    let envelopes = [summary(baseline), summary(candidate)];
    let row = |figure: &plimsoll_analysis::fleet::compare::Figure| {
        let stage = &stages[figure.stage];
        let ruling = comparison
            .rulings
            .iter()
            .find(|r| r.stage == *stage && question.rules.rules[r.rule].metric == figure.metric);
        let row = json!({
            "stage": stage,
            "metric": figure.metric.as_str(),
            "unit": figure.metric.unit(),
            "baseline": figure.baseline,
            "candidate": figure.candidate,
            "difference": figure.difference(),
            "low": figure.interval.map(|i| i.low),
            "high": figure.interval.map(|i| i.high),
            "is_worse": figure.is_worse(),
            "is_better": figure.is_better(),
            "baseline_known": figure.known[0],
            "candidate_known": figure.known[1],
            "baseline_runs": figure.runs[0],
            "candidate_runs": figure.runs[1],
            "gained": figure.pairs.map(|p| p.candidate_only),
            "lost": figure.pairs.map(|p| p.baseline_only),
            "mcnemar_p": figure.mcnemar_p(),
            "rule": ruling.map(|r| question.rules.rules[r.rule].tolerance.to_string()),
            "verdict": ruling.map(|r| r.status.as_str()),
            "baseline_envelope": envelopes[0],
            "candidate_envelope": envelopes[1],
        });
        match row {
            Value::Object(row) => row,
            _ => Map::new(),
        }
    };
    comparison.figures.iter().map(row).collect()
}

pub fn more(
    question: &Question,
    comparison: &Comparison,
    baseline: &Fetched,
    candidate: &Fetched,
    pairs: Option<&[(u32, u32)]>,
) -> Map<String, Value> {
    let rulings: Vec<Value> = comparison
        .rulings
        .iter()
        .map(|r| {
            let rule = &question.rules.rules[r.rule];
            json!({
                "rule": r.rule, "metric": rule.metric.as_str(), "stage": r.stage, "tolerance": rule.tolerance.to_string(),
                "status": r.status.as_str(), "reason": r.reason, "runs_missing": r.runs_missing,
                "excess": r.test.map(|t| t.excess), "excess_low": r.test.map(|t| t.interval.low),
                "excess_high": r.test.map(|t| t.interval.high), "p": r.test.map(|t| t.p), "p_adjusted": r.p_adjusted,
            })
        })
        .collect();
    let pairing = pairs.map(|pairs| {
        json!({
            "by": question.pair_by.as_str(), "pairs": pairs.len(),
            "unpaired_baseline": baseline.traces.len() - pairs.len(),
            "unpaired_candidate": candidate.traces.len() - pairs.len(),
        })
    });
    let mut warnings = warnings(question, baseline, candidate);
    warnings.extend(unjudged(baseline, candidate));
    let more = json!({
        "verdict": comparison.verdict.as_str(),
        "exit_code": comparison.verdict.exit_code(),
        "reasons": comparison.reasons,
        "runs_missing": comparison.runs_missing,
        "rules": {
            "digest": format!("sha256:{}", sha256(&question.rules_text)),
            "source": if question.rules_text == plimsoll_schemas::comparison::BUILT_IN { "built in" } else { "given" },
            "confidence": question.rules.confidence,
            "runs_min": question.rules.runs_min,
            "broken": comparison.rulings.iter().filter(|r| r.status == Status::Broken).count(),
        },
        "rulings": rulings,
        "pairing": pairing,
        "quantiles": "the sorted list at index floor(q × runs), exact",
        "baseline": side(&question.baseline, baseline),
        "candidate": side(&question.candidate, candidate),
        "warnings": warnings,
    });
    match more {
        Value::Object(more) => more,
        _ => Map::new(),
    }
}

fn side(of: &Sliced, fetched: &Fetched) -> Value {
    let mut envelope = Map::new();
    for (key, counts) in &fetched.envelope {
        let mut values: Vec<_> = counts.iter().collect();
        values.sort_by_key(|(value, traces)| (std::cmp::Reverse(**traces), *value));
        let values = values.into_iter().take(VALUES_MAX);
        envelope.insert(
            (*key).into(),
            values.map(|(value, traces)| json!({"value": value, "traces": traces})).collect(),
        );
    }
    json!({
        "slice": of.terms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "start_unix_nano": of.range.start.0.to_string(), "end_unix_nano": of.range.end.0.to_string(),
        "traces": fetched.all_traces, "traces_compared": fetched.traces.len(), "envelope": envelope,
    })
}

/// `model=a hardware=H100|A100`: what is known of the envelope, on one line.
fn summary(of: &Fetched) -> String {
    let part = |(key, counts): &(&str, std::collections::BTreeMap<Option<String>, usize>)| {
        let known: Vec<&str> = counts.keys().flatten().take(VALUES_MAX).map(String::as_str).collect();
        (!known.is_empty()).then(|| format!("{key}={}", known.join("|")))
    };
    of.envelope.iter().filter_map(part).collect::<Vec<_>>().join(" ")
}

fn warnings(question: &Question, baseline: &Fetched, candidate: &Fetched) -> Vec<String> {
    let mut warnings = Vec::new();
    let sides = [(&question.baseline, baseline, "baseline"), (&question.candidate, candidate, "candidate")];
    for ((key, here), (_, there)) in baseline.envelope.iter().zip(&candidate.envelope) {
        let meant = sides.iter().any(|(of, ..)| of.terms.iter().any(|t| t.key() == *key));
        if !meant && !here.keys().eq(there.keys()) {
            warnings.push(format!("{key} differs between the sides: the difference may be its own"));
        }
    }
    for (_, fetched, name) in sides {
        if fetched.traces.is_empty() {
            warnings.push(format!(
                "{name}: no settled trace is in its slice and window; traces settle some seconds after their last span"
            ));
        }
        if fetched.all_traces > fetched.traces.len() as u64 {
            let (some, all) = (fetched.traces.len(), fetched.all_traces);
            warnings
                .push(format!("{name}: {some} of its {all} traces were compared, those with the lowest ids"));
        }
    }
    let ids: BTreeSet<&str> = baseline.traces.iter().map(|t| t.trace_id.as_str()).collect();
    let both = candidate.traces.iter().filter(|t| ids.contains(t.trace_id.as_str())).count();
    if both > 0 {
        warnings.push(format!("{both} traces are on both sides: the slices overlap"));
    }
    warnings
}

/// Verdicts come late, and unjudged runs count as good: a side of which less is judged looks better than it is.
fn unjudged(baseline: &Fetched, candidate: &Fetched) -> Option<String> {
    let share = |of: &Fetched| {
        let requests = of.side.runs.iter().filter(|r| r.stage == 0);
        let judged = requests.filter(|r| r.passed.is_some()).count();
        judged as f64 / of.traces.len().max(1) as f64
    };
    let (baseline, candidate) = (share(baseline), share(candidate));
    ((baseline - candidate).abs() > JUDGED_APART_MAX).then(|| {
        format!(
            "{:.0} % of the baseline is judged and {:.0} % of the candidate, and what is not counts as good",
            baseline * 100.0,
            candidate * 100.0
        )
    })
}

/// Of the candidate, the slowest.
pub fn samples(candidate: &Fetched) -> Vec<String> {
    let mut requests: Vec<_> = candidate.side.runs.iter().filter(|r| r.stage == 0).collect();
    requests.sort_by_key(|run| std::cmp::Reverse(run.duration));
    requests.iter().take(SAMPLES).map(|run| candidate.traces[run.trace as usize].trace_id.clone()).collect()
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
