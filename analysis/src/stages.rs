//! The stage of every span: configured rules, then built-in evidence, then the parent's, then the service's name.
//!
//! A consumer in another service than its producer has a stage of its own: work that was handed over is not
//! the producer's any more.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{Rules, Span, SpanKind, emitters, stage};

use crate::trace::{Trace, is_same};

/// The stage of a root of which not even the service is known.
const NAMELESS: &str = "unknown_service";

pub(crate) fn resolve<'a>(trace: &Trace<'_, 'a>, rules: &'a Rules) -> Vec<&'a str> {
    let mut stages = vec![NAMELESS; trace.len()];
    for &i in &trace.tree.order {
        let span = &trace.spans[i];
        stages[i] = evident(span, rules).unwrap_or_else(|| match trace.parent(i) {
            Some(parent) if !is_handed_over(span, &trace.spans[parent]) => stages[parent],
            _ if span.service.is_empty() => NAMELESS,
            _ => span.service,
        });
    }
    stages
}

fn evident<'a>(span: &Span<'a>, rules: &'a Rules) -> Option<&'a str> {
    let configured = rules.stages.iter().find(|rule| rule.matches(span)).map(|rule| rule.stage.as_str());
    configured.or_else(|| stage::built_in(span))
}

fn is_handed_over(span: &Span<'_>, parent: &Span<'_>) -> bool {
    !is_same(span.service, parent.service)
        && (span.kind == SpanKind::Consumer || emitters::is_awaited(parent.name, span.name))
}
