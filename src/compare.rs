//! `plimsoll compare`: the verdict and its reasons before the figures, and an exit code for the pipeline that asked.

use plimsoll_schemas::DurationNs;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::Format;
use crate::client::Api;
use crate::{sql, terminal};

/// The answer, as far as a terminal shows it.
#[derive(Debug, Deserialize)]
struct Answer {
    verdict: String,
    exit_code: u8,
    reasons: Vec<String>,
    warnings: Vec<String>,
    runs_missing: Option<u64>,
    rules: Rules,
    baseline: Side,
    candidate: Side,
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
struct Rules {
    digest: String,
    source: String,
}

#[derive(Debug, Deserialize)]
struct Side {
    slice: Vec<String>,
    traces: u64,
}

#[derive(Debug, Deserialize)]
struct Figure {
    stage: String,
    metric: String,
    unit: String,
    baseline: Option<f64>,
    candidate: Option<f64>,
    difference: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    is_worse: bool,
    is_better: bool,
    rule: Option<String>,
    verdict: Option<String>,
    baseline_envelope: String,
    candidate_envelope: String,
    baseline_runs: u64,
    candidate_runs: u64,
}

/// Asks, prints, and answers what the process is to end with.
pub async fn ask(
    api: &Api,
    path: &str,
    statement: &str,
    format: Format,
) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    let body = api.get(path).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|e| {
        format!("the server's answer is not what was expected: {e}; are both of one version?")
    })?;
    match format {
        Format::Json => println!("{}", String::from_utf8_lossy(&body)),
        Format::Csv => sql::ask(api, statement, format).await?,
        Format::Table => print(&answer),
    }
    Ok(answer.exit_code)
}

fn print(answer: &Answer) {
    let missing =
        answer.runs_missing.map_or(String::new(), |n| format!(": about {n} more runs of each side"));
    println!("{}{missing}", answer.verdict);
    answer.reasons.iter().for_each(|reason| println!("  {reason}"));
    answer.warnings.iter().for_each(|warning| println!("  mind: {warning}"));
    let envelope = |of: fn(&Figure) -> &str| answer.figures.first().map_or("", of);
    let sides = [
        ("baseline", &answer.baseline, envelope(|f| &f.baseline_envelope)),
        ("candidate", &answer.candidate, envelope(|f| &f.candidate_envelope)),
    ];
    for (name, Side { slice, traces }, envelope) in sides {
        println!("  {name}: {}, {traces} traces; {envelope}", slice.join(" and "));
    }
    println!("  rules: {}, {}\n", answer.rules.source, answer.rules.digest);
    let heading = [
        "stage",
        "metric",
        "runs",
        "baseline",
        "candidate",
        "difference",
        "interval",
        "",
        "tolerated",
        "rule",
    ];
    let rows: Vec<Vec<String>> = answer.figures.iter().map(row).collect();
    let numeric = [false, false, true, true, true, true, true, false, true, false];
    println!("{}", terminal::columns(&heading.map(str::to_owned), &rows, &numeric));
}

fn row(of: &Figure) -> Vec<String> {
    let amount = |value: Option<f64>| value.map_or("·".to_owned(), |v| amount(&of.unit, v));
    let change = if of.is_worse {
        "worse"
    } else if of.is_better {
        "better"
    } else {
        ""
    };
    vec![
        of.stage.clone(),
        of.metric.clone(),
        format!("{}/{}", of.baseline_runs, of.candidate_runs),
        amount(of.baseline),
        amount(of.candidate),
        amount(of.difference),
        format!("{} to {}", amount(of.low), amount(of.high)),
        change.to_owned(),
        of.rule.clone().unwrap_or_default(),
        of.verdict.clone().unwrap_or_default(),
    ]
}

fn amount(unit: &str, value: f64) -> String {
    match unit {
        "ns" => terminal::duration(DurationNs(value as i64)),
        "tokens" => format!("{value:.0}"),
        _ => Value::from((value * 1e4).round() / 1e4).to_string(),
    }
}
