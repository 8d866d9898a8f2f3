//! The configured rules that the analyses apply, gathered.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::emitters::Reading;
use crate::outcome::OutcomeRule;
use crate::stage::StageRule;
use crate::verdict::Meaning;
use crate::{Attr, AttrType, DurationNs, Value};

/// What turns spans into stages and attempts. The default is the built-in rules alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Tried in order, before the built-in rules.
    pub stages: Vec<StageRule>,
    /// Tried in order, before the built-in table.
    pub outcomes: Vec<OutcomeRule>,
    /// Attributes of one's own that say what the analysis reads under another name.
    pub attributes: Vec<AttributeRule>,
    /// What labels of verdicts mean, whatever their case, instead of what the built-in table says.
    pub verdict_labels: BTreeMap<String, Meaning>,
}

/// An attribute that says what another one says, where a span has not that one itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeRule {
    /// As it is sent.
    pub name: String,
    /// One of the attributes that are columns of `spans`, such as `plimsoll.deadline_unix_nano`.
    #[serde(rename = "as", deserialize_with = "promoted")]
    pub target: Attr,
}

fn promoted<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Attr, D::Error> {
    let name = String::deserialize(deserializer)?;
    Attr::span(&name).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "{name:?} is no attribute that has a column of its own in spans, such as plimsoll.deadline_unix_nano or idempotency.key"
        ))
    })
}

impl AttributeRule {
    /// The value as the other attribute's; `None` where it cannot be one.
    pub fn read<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        match self.target.info().kind {
            AttrType::Keyword | AttrType::Text => Reading::Text.read(value, self.target),
            AttrType::Int | AttrType::Double => Reading::Number.read(value, self.target),
            AttrType::Bool => match value {
                Value::Bool(_) => Some(value),
                Value::Str(text) => text.trim().parse().ok().map(Value::Bool),
                _ => None,
            },
        }
    }
}

impl Rules {
    /// Width of the windows by which attempts are counted per edge.
    pub const EDGE_WINDOW: DurationNs = DurationNs(10_000_000_000);

    /// Whether any rule names an attribute that is not a column of its own.
    pub fn needs_other_attributes(&self) -> bool {
        let of_stages = self.stages.iter().filter_map(|r| r.attribute.as_deref());
        let of_outcomes = self.outcomes.iter().filter_map(|r| r.attribute.as_deref());
        let mut all = of_stages.chain(of_outcomes).chain(self.attributes.iter().map(|r| r.name.as_str()));
        all.any(|name| Attr::span(name).is_none() && Attr::resource(name).is_none())
    }

    /// Whether any rule names this attribute, as what it reads or as what it says.
    pub fn mention(&self, attr: Attr) -> bool {
        let name = attr.info().name;
        self.stages.iter().any(|rule| rule.attribute.as_deref() == Some(name))
            || self.outcomes.iter().any(|rule| rule.attribute.as_deref() == Some(name))
            || self.attributes.iter().any(|rule| rule.name == name || rule.target == attr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_what_they_read_and_what_they_say() {
        for named in [
            "stages: [{ stage: pay, attribute: http.route }]",
            "outcomes: [{ outcome: deadline, attribute: http.route }]",
            "attributes: [{ name: http.route, as: plimsoll.task.id }]",
            "attributes: [{ name: acme.route, as: http.route }]",
        ] {
            let rules = serde_norway::from_str::<Rules>(named).expect("rules");
            assert!(rules.mention(Attr::HttpRoute) && !rules.mention(Attr::ServerPort), "{named}");
        }
        assert!(!Rules::default().mention(Attr::HttpRoute));
    }

    #[test]
    fn an_attribute_is_read_as_what_the_other_is() {
        let rules: Rules = serde_norway::from_str(
            "attributes: [{ name: acme.deadline, as: plimsoll.deadline_unix_nano }]\nverdict_labels: { Needs review: fail }",
        )
        .expect("rules");
        assert!(rules.needs_other_attributes());
        let rule = &rules.attributes[0];
        assert_eq!(rule.read(Value::Str("17")), Some(Value::Int(17)));
        assert_eq!(rule.read(Value::Str("soon")), None);
        let unknown = serde_norway::from_str::<Rules>("attributes: [{ name: a, as: no.such }]");
        assert!(unknown.is_err_and(|e| e.to_string().contains("no.such")));
    }
}
