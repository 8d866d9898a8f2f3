//! One trace before it is told: spans with their times, and what will be judged of it later.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::clock::Nanos;
use super::world::{Service, Tenant};

/// A span to come. Its parent stands before it in the story.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub service: Service,
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    pub parent: Option<usize>,
    pub start: Nanos,
    pub end: Nanos,
    pub attributes: Vec<KeyValue>,
    pub events: Vec<(Nanos, &'static str)>,
    /// The status message of a span that failed.
    pub error: Option<&'static str>,
}

/// What an evaluator will say of the whole request, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub at: Nanos,
    pub pass: bool,
    pub score: f64,
    pub explanation: &'static str,
}

#[derive(Debug)]
pub struct Story {
    pub tenant: &'static Tenant,
    /// The first is the root.
    pub drafts: Vec<Draft>,
    pub judgement: Option<Judgement>,
}

impl Story {
    pub fn new(tenant: &'static Tenant) -> Self {
        Self { tenant, drafts: Vec::new(), judgement: None }
    }

    /// Begins a span; [`Story::close`] says how it ended.
    pub fn open(
        &mut self,
        service: Service,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        parent: Option<usize>,
        start: Nanos,
    ) -> usize {
        let (attributes, events) = (Vec::new(), Vec::new());
        let name = name.into();
        self.drafts.push(Draft {
            service,
            name,
            kind,
            parent,
            start,
            end: start,
            attributes,
            events,
            error: None,
        });
        self.drafts.len() - 1
    }

    pub fn note<const N: usize>(&mut self, span: usize, attributes: [KeyValue; N]) {
        self.drafts[span].attributes.extend(attributes);
    }

    pub fn mark(&mut self, span: usize, at: Nanos, event: &'static str) {
        self.drafts[span].events.push((at, event));
    }

    pub fn close(&mut self, span: usize, end: Nanos) {
        self.drafts[span].end = end;
    }

    pub fn fail(&mut self, span: usize, message: &'static str) {
        self.drafts[span].error = Some(message);
    }
}
