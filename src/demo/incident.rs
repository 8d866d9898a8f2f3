//! What goes wrong, and when. The same hour comes round and round.

use super::clock::{Nanos, minutes};

/// The incident of a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Incident {
    None,
    /// The CRM's database refuses connections: gateway and agents try again, each on its own.
    RetryStorm,
    /// The warehouse's query tool has a new input schema, and agents still call it by the old one.
    SchemaDrift,
    /// The search tool works ever slower; `severity` grows from 0 to 1. Its queue grows before anything fails.
    SaturatingTool {
        severity: f64,
    },
    /// A part of one tenant's requests goes to a new model revision: quick, without errors, and often wrong.
    Canary,
}

/// How long one round lasts.
pub const ROUND: Nanos = minutes(60);
const RETRY_STORM: (Nanos, Nanos) = (minutes(9), minutes(16));
const SCHEMA_DRIFT: (Nanos, Nanos) = (minutes(17), minutes(22));
const SATURATING_TOOL: (Nanos, Nanos) = (minutes(24), minutes(36));
const CANARY: (Nanos, Nanos) = (minutes(42), minutes(56));

impl Incident {
    /// `since` the fleet began.
    pub fn at(since: Nanos) -> Self {
        let minute = since.rem_euclid(ROUND);
        let within = |(from, until): (Nanos, Nanos)| (from..until).contains(&minute);
        if within(RETRY_STORM) {
            Self::RetryStorm
        } else if within(SCHEMA_DRIFT) {
            Self::SchemaDrift
        } else if within(SATURATING_TOOL) {
            let (from, until) = SATURATING_TOOL;
            Self::SaturatingTool { severity: (minute - from) as f64 / (until - from) as f64 }
        } else if within(CANARY) {
            Self::Canary
        } else {
            Self::None
        }
    }
}
