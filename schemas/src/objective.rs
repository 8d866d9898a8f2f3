//! Service level objectives as OpenSLO documents (`openslo/v1`, kind `SLO`).
//!
//! What a document cannot say in OpenSLO's own fields stands in `metadata.annotations` under `plimsoll.dev/`.

use serde::Deserialize;

use crate::DurationNs;

/// An objective in force: what makes a run of a stage good.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    pub name: String,
    pub display_name: String,
    /// The stage that it speaks of; `None` is the request as a whole.
    pub stage: Option<String>,
    /// Slice keys that a run must have, as (key, value).
    pub filter: Vec<(String, String)>,
    /// A run that takes longer is not good.
    pub threshold: Option<DurationNs>,
    /// The share of runs that should be good, in (0, 1).
    pub target: f64,
    /// Verdict metrics of which none may have failed.
    pub quality: Vec<String>,
    /// Whose verdicts count; `None` is everyone's.
    pub evaluator: Option<String>,
    pub judging: Judging,
}

/// Which runs somebody means to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judging {
    /// Each of them: what has no verdict yet will have one.
    All,
    /// This share of them, drawn by chance: what is judged stands for what is not.
    Sampled(f64),
}

impl Judging {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("sampled(").and_then(|rest| rest.strip_suffix(')')) {
            Some(share) => {
                share.trim().parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).map(Self::Sampled)
            }
            None => (text == "all").then_some(Self::All),
        }
    }
}

impl std::fmt::Display for Judging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Sampled(share) => write!(f, "sampled({share})"),
        }
    }
}

/// Why a document is not an objective.
#[derive(Debug, thiserror::Error)]
pub enum ObjectiveError {
    #[error("{0}")]
    Yaml(#[from] serde_norway::Error),
    #[error("line {line} column {column}: {field}: {problem}")]
    Field { line: usize, column: usize, field: String, problem: String },
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    objectives: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    target: Option<f64>,
    #[serde(default)]
    target_percent: Option<f64>,
}

const PREFIX: &str = "plimsoll.dev/";
const ANNOTATIONS: [&str; 6] = ["stage", "filter", "latency", "quality", "evaluator", "judging"];

/// The objectives of one file, which may hold several YAML documents. Documents of other OpenSLO kinds are passed over.
pub fn parse(text: &str) -> Result<Vec<Objective>, ObjectiveError> {
    let mut objectives = Vec::new();
    for (number, document) in serde_norway::Deserializer::from_str(text).enumerate() {
        // Straight from the text, so that errors of the format say where.
        let Some(document) = Option::<Document>::deserialize(document)? else { continue };
        let placed = |mistake: Mistake| {
            let (line, column) = place(text, number, &mistake.field);
            ObjectiveError::Field { line, column, field: mistake.field, problem: mistake.problem }
        };
        if !document.api_version.starts_with("openslo/v1") {
            let problem = format!("expected openslo/v1, got {}", document.api_version);
            return Err(placed(field("apiVersion", problem)));
        }
        if document.kind == "SLO" {
            objectives.push(objective(document).map_err(placed)?);
        }
    }
    Ok(objectives)
}

/// What is wrong with a field, before it is known where that stands.
struct Mistake {
    field: String,
    problem: String,
}

/// Where the last part of a field's path stands in the document of that number, else where the document begins; from 1.
fn place(text: &str, number: usize, field: &str) -> (usize, usize) {
    let key = match field.split_once(PREFIX) {
        Some((_, key)) => format!("{PREFIX}{key}"),
        None => field.rsplit('.').next().unwrap_or(field).to_owned(),
    };
    let lines: Vec<&str> = text.lines().collect();
    let ends = lines.iter().enumerate().filter(|(_, line)| line.starts_with("---")).map(|(at, _)| at + 1);
    // A separator before the first document opens it, and ends none.
    let leads = lines.iter().take_while(|l| l.trim().is_empty() || l.starts_with('#')).count();
    let begins: Vec<usize> = std::iter::once(0).chain(ends.filter(|at| *at > leads + 1)).collect();
    let begin = begins.get(number).copied().unwrap_or(0);
    let end = begins.get(number + 1).copied().unwrap_or(lines.len());
    // As a key, not within a value, a comment or a longer key.
    let column = |line: &str| {
        let rest = line.trim_start_matches([' ', '-']);
        let after = rest.trim_start_matches(['"', '\'']).strip_prefix(&key)?;
        let is_key = after.trim_start_matches(['"', '\'']).starts_with(':');
        is_key.then(|| line.chars().count() - rest.chars().count() + 1)
    };
    let mut within = lines[begin..end].iter().enumerate();
    let found = within.find_map(|(at, line)| Some((begin + at + 1, column(line)?)));
    found.unwrap_or((begin + 1, 1))
}

fn objective(document: Document) -> Result<Objective, Mistake> {
    let Metadata { name, display_name, annotations } = document.metadata;
    for key in annotations.keys().filter_map(|k| k.strip_prefix(PREFIX)) {
        if !ANNOTATIONS.contains(&key) {
            let problem = format!("unknown; known are {}", ANNOTATIONS.join(", "));
            return Err(field(&format!("metadata.annotations.{PREFIX}{key}"), problem));
        }
    }
    let annotation = |key: &str| annotations.get(&format!("{PREFIX}{key}")).map(|v| v.trim().to_owned());
    let list = |key: &str| -> Vec<String> {
        let text = annotation(key).unwrap_or_default();
        text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
    };
    let filter = list("filter")
        .into_iter()
        .map(|term| match term.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(field(
                "metadata.annotations.plimsoll.dev/filter",
                format!("expected key=value, got {term:?}"),
            )),
        })
        .collect::<Result<_, _>>()?;
    let threshold = annotation("latency")
        .map(|text| {
            duration(&text).ok_or_else(|| {
                field(
                    "metadata.annotations.plimsoll.dev/latency",
                    format!("expected a duration such as 250ms or 2s, got {text:?}"),
                )
            })
        })
        .transpose()?;
    let judging = match annotation("judging") {
        None => Judging::All,
        Some(text) => Judging::parse(&text).ok_or_else(|| {
            field(
                "metadata.annotations.plimsoll.dev/judging",
                format!("expected all or sampled(SHARE), such as sampled(0.1), got {text:?}"),
            )
        })?,
    };
    let targets = document.spec.map(|s| s.objectives).unwrap_or_default();
    let [only] = targets.as_slice() else {
        return Err(field("spec.objectives", format!("expected exactly one, got {}", targets.len())));
    };
    let target = only
        .target
        .or(only.target_percent.map(|p| p / 100.0))
        .ok_or_else(|| field("spec.objectives[0].target", "missing".into()))?;
    if !(target > 0.0 && target < 1.0) {
        return Err(field(
            "spec.objectives[0].target",
            format!("expected a share between 0 and 1, got {target}"),
        ));
    }
    Ok(Objective {
        display_name: display_name.unwrap_or_else(|| name.clone()),
        name,
        stage: annotation("stage").filter(|s| s != "request"),
        filter,
        threshold,
        target,
        quality: list("quality"),
        evaluator: annotation("evaluator"),
        judging,
    })
}

fn field(field: &str, problem: String) -> Mistake {
    Mistake { field: field.to_owned(), problem }
}

/// A duration with its unit: `250ms`, `1.5s`, `2m`, `1h`, `10us`, `5ns`, `1d`.
pub fn duration(text: &str) -> Option<DurationNs> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..split].parse().ok()?;
    let unit_seconds = match &text[split..] {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    DurationNs::from_seconds(number * unit_seconds)
}

/// What is judged when nobody configured anything: every stage and request should end well;
/// no latency is promised on anyone's behalf. Nobody named a metric, so that failed verdicts show as green but wrong, and do not
/// lower attainment.
pub fn built_in(stage: Option<&str>) -> Objective {
    Objective {
        name: stage.unwrap_or("request").to_owned(),
        display_name: stage.unwrap_or("request").to_owned(),
        stage: stage.map(str::to_owned),
        filter: Vec::new(),
        threshold: None,
        target: 0.99,
        quality: Vec::new(),
        evaluator: None,
        judging: Judging::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: inference-chat
  displayName: Inference, interactive
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/filter: workload_class=chat
    plimsoll.dev/latency: 2.5s
    plimsoll.dev/quality: task_success, relevance
    plimsoll.dev/judging: sampled(0.25)
spec:
  budgetingMethod: Occurrences
  objectives:
    - target: 0.95
";

    #[test]
    fn a_document_becomes_an_objective() {
        let objectives = parse(SLO).expect("valid");
        assert_eq!(objectives.len(), 1);
        let o = &objectives[0];
        assert_eq!(o.stage.as_deref(), Some("inference"));
        assert_eq!(o.threshold, Some(DurationNs(2_500_000_000)));
        assert_eq!((o.judging, o.judging.to_string()), (Judging::Sampled(0.25), "sampled(0.25)".to_owned()));
        assert_eq!(o.quality, ["task_success", "relevance"]);
        assert_eq!(o.filter, [("workload_class".to_owned(), "chat".to_owned())]);
    }

    #[test]
    fn mistakes_are_named_by_field() {
        for (from, to, part) in [
            ("2.5s", "fast", "latency"),
            ("sampled(0.25)", "sampled(25)", "judging"),
            ("0.95", "95", "target"),
            ("plimsoll.dev/stage", "plimsoll.dev/stag", "stag"),
            ("openslo/v1", "v9", "apiVersion"),
        ] {
            let error = parse(&SLO.replace(from, to)).expect_err("invalid").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mistakes_are_named_by_line_and_column() {
        let two = format!("{SLO}---{}", SLO.replace("2.5s", "fast"));
        let line = two.lines().position(|l| l.contains("fast")).expect("it is there") + 1;
        let error = parse(&two).expect_err("invalid").to_string();
        assert!(
            error.starts_with(&format!("line {line} column 5: metadata.annotations.plimsoll.dev/latency")),
            "{error}"
        );
        let error = parse(&SLO.replace("target: 0.95", "target: 95")).expect_err("invalid").to_string();
        assert!(error.contains("line 16 column 7"), "{error}");
        // Neither in a value nor in a comment.
        let named = SLO.replace("name: inference-chat", "# target is a share\n  name: target-chat");
        let error = parse(&named.replace("0.95", "95")).expect_err("invalid").to_string();
        assert!(error.contains("line 17 column 7"), "{error}");
        let error = parse(&SLO.replace("target: 0.95", "target: fast")).expect_err("invalid").to_string();
        assert!(error.contains("line 16"), "{error}");
    }
}
