//! The configured rules that the analyses apply, gathered.

use serde::Deserialize;

use crate::DurationNs;
use crate::outcome::OutcomeRule;
use crate::stage::StageRule;

/// What turns spans into stages and attempts. The default is the built-in rules alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Tried in order, before the built-in rules.
    pub stages: Vec<StageRule>,
    /// Tried in order, before the built-in table.
    pub outcomes: Vec<OutcomeRule>,
}

impl Rules {
    /// Width of the windows by which attempts are counted per edge.
    pub const EDGE_WINDOW: DurationNs = DurationNs(10_000_000_000);

    /// Whether any rule names an attribute that is not a column of its own.
    pub fn needs_other_attributes(&self) -> bool {
        let of_stages = self.stages.iter().filter_map(|r| r.attribute.as_deref());
        of_stages
            .chain(self.outcomes.iter().filter_map(|r| r.attribute.as_deref()))
            .any(|name| crate::Attr::span(name).is_none() && crate::Attr::resource(name).is_none())
    }
}
