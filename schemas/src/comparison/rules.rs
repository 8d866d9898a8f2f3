//! The rules of a rollout: a YAML file that is written before it.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{Kind, Metric, REQUEST};
use crate::objective::duration;

/// How much worse a figure may be, in its own unit or as a share of the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    Absolute(f64),
    Relative(f64),
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(value) => write!(f, "{value}"),
            Self::Relative(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

/// One condition of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub metric: Metric,
    pub stage: RuledStage,
    pub tolerance: Tolerance,
    /// Whether it is passed over where nothing is known of its metric; else that holds the rollout.
    pub optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuledStage {
    Named(String),
    /// `"*"`: every stage, and the request.
    Every,
}

impl fmt::Display for RuledStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named(stage) => stage,
            Self::Every => "*",
        })
    }
}

/// The rules of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutRules {
    /// Of every interval, two-sided.
    pub confidence: f64,
    /// Runs of each side, below which no rule is decided.
    pub runs_min: u32,
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default = "confidence", deserialize_with = "share")]
    confidence: f64,
    #[serde(default = "runs_min")]
    runs_min: u32,
    #[serde(deserialize_with = "some")]
    rules: Vec<Rule>,
}

fn confidence() -> f64 {
    0.95
}

fn runs_min() -> u32 {
    20
}

/// A rollout that is decided without a rule is not decided; and nobody writes more.
const RULES_MAX: usize = 64;

fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rule>, D::Error> {
    let rules = Vec::deserialize(from)?;
    match rules.len() {
        1..=RULES_MAX => Ok(rules),
        n => Err(de::Error::custom(format!("expected 1 to {RULES_MAX} rules, got {n}"))),
    }
}

/// A check within the visitor, where the reader still knows the line.
fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    struct Share;
    impl de::Visitor<'_> for Share {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a share from 0.5 to 0.999")
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
            let valid = (0.5..=0.999).contains(&value);
            if valid { Ok(value) } else { Err(E::invalid_value(de::Unexpected::Float(value), &self)) }
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
            self.visit_f64(value as f64)
        }
    }
    from.deserialize_any(Share)
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            metric: Metric,
            #[serde(default)]
            stage: Option<String>,
            tolerance: Said,
            #[serde(default)]
            optional: bool,
        }
        let Fields { metric, stage, tolerance, optional } = Fields::deserialize(from)?;
        let is_duration = matches!(metric.kind(), Kind::Quantile(_));
        let tolerance = match tolerance {
            Said::Share(share) => Tolerance::Relative(share),
            Said::Duration(ns) if is_duration => Tolerance::Absolute(ns),
            Said::Number(0.0) => Tolerance::Absolute(0.0),
            Said::Number(value) if !is_duration => Tolerance::Absolute(value),
            _ => {
                let example = if is_duration { "250ms or 10%" } else { "0.05 or 10%" };
                let metric = metric.as_str();
                return Err(de::Error::custom(format!("tolerance of {metric}: expected {example}")));
            }
        };
        let stage = match stage.as_deref() {
            Some("*") => RuledStage::Every,
            Some(stage) => RuledStage::Named(stage.to_owned()),
            None => RuledStage::Named(REQUEST.to_owned()),
        };
        if metric == Metric::LoopIndex && stage != RuledStage::Named(REQUEST.to_owned()) {
            return Err(de::Error::custom("loop_index is of stage request only"));
        }
        Ok(Self { metric, stage, tolerance, optional })
    }
}

/// A tolerance as written.
enum Said {
    Number(f64),
    Share(f64),
    Duration(f64),
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 0 or more such as 0.05, a share of the baseline such as 10%, or a duration such as 250ms")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Said, E> {
                let valid = value.is_finite() && value >= 0.0;
                if valid {
                    Ok(Said::Number(value))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(value), &self))
                }
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Said, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Said, E> {
                self.visit_f64(value as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Said, E> {
                let invalid = || E::invalid_value(de::Unexpected::Str(text), &self);
                if let Some(percent) = text.strip_suffix('%') {
                    let percent: f64 = percent.trim().parse().map_err(|_| invalid())?;
                    let valid = percent.is_finite() && percent >= 0.0;
                    return if valid { Ok(Said::Share(percent / 100.0)) } else { Err(invalid()) };
                }
                duration(text).filter(|d| d.0 >= 0).map(|d| Said::Duration(d.0 as f64)).ok_or_else(invalid)
            }
        }
        from.deserialize_any(Words)
    }
}

/// The rules in force when none are given.
pub const BUILT_IN: &str = include_str!("built_in.yaml");

/// Reads a rules file; mistakes are named with line and column.
pub fn parse(text: &str) -> Result<RolloutRules, serde_norway::Error> {
    let Document { confidence, runs_min, rules } = serde_norway::from_str(text)?;
    Ok(RolloutRules { confidence, runs_min, rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_rules() {
        let rules = parse(BUILT_IN).expect("valid");
        assert_eq!(rules.confidence, 0.95);
        assert_eq!(rules.runs_min, 20);
        assert_eq!(rules.rules[3].stage, RuledStage::Every);
        assert_eq!(rules.rules[4].metric, Metric::DurationP50);
        assert_eq!(rules.rules[4].tolerance, Tolerance::Relative(0.1));
    }

    #[test]
    fn a_tolerance_is_in_the_metrics_unit_or_a_share_of_the_baseline() {
        let read = |metric: &str, tolerance: &str| {
            parse(&format!("rules: [{{metric: {metric}, tolerance: {tolerance}}}]"))
                .map(|r| r.rules[0].clone())
        };
        let rule = read("duration_p99", "250ms").expect("valid");
        assert_eq!(rule.tolerance, Tolerance::Absolute(250e6));
        assert_eq!(rule.stage, RuledStage::Named("request".into()));
        assert_eq!(read("tokens", "5%").expect("valid").tolerance, Tolerance::Relative(0.05));
        assert_eq!(read("duration_p50", "0").expect("valid").tolerance, Tolerance::Absolute(0.0));
        assert!(read("duration_p50", "5").is_err());
        assert!(read("quality", "250ms").is_err());
    }

    #[test]
    fn mistakes_are_named_with_line_and_column() {
        let check = |text: &str, parts: &[&str]| {
            let error = parse(text).expect_err(text).to_string();
            parts.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in {error:?}"));
        };
        check("rules: []", &["1 to 64"]);
        check("rules:\n  - metric: speed\n    tolerance: 1\n", &["speed", "line 2 column 13"]);
        check("rules:\n  - metric: cost\n    tolerance: -1\n", &["-1", "line 3 column 16"]);
        check("rules:\n  - metric: cost\n    tolerance: fast\n", &["fast", "line 3 column 16"]);
        check("rules:\n  - metric: cost\n    tolerance: 5s\n", &["tolerance of cost", "line 2"]);
        check("rules:\n  - metric: cost\n    limit: 1\n", &["limit", "line 3"]);
        check("confidence: 95\nrules:\n  - {metric: cost, tolerance: 1}\n", &["0.999", "line 1"]);
        check("rules:\n  - {metric: loop_index, stage: plan, tolerance: 1}\n", &["request only"]);
    }
}
