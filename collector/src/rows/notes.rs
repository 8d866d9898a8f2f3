//! What a client should know of its request: one short text, however many items it concerns.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Counts by what happened.
#[derive(Debug, Default)]
pub struct Notes {
    pub rejected: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Notes {
    /// An item that is not kept.
    pub fn reject(&mut self, why: &'static str) {
        self.rejected += 1;
        self.warn(why);
    }

    /// Something odd about an item that is kept.
    pub fn warn(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn message(&self) -> Option<String> {
        let mut text = String::new();
        for (what, count) in &self.counts {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{count} × {what}");
        }
        (!text.is_empty()).then_some(text)
    }
}
