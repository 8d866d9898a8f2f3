//! The experiment envelope of every run and of the trace.
//!
//! A run's is what its own spans say, the first by start, else what the spans above it say: the model server knows its
//! driver, the harness at the root the concurrency. It is never another run's: a tool has no GPU because a model has one.
//! The trace's is its root's; where the root knows nothing, it is that of the first span by start that does.

use plimsoll_schemas::{Envelope, EnvelopeKey};

use crate::present::AttrSet;
use crate::trace::Trace;

#[derive(Debug)]
pub(crate) struct Envelopes<'a> {
    pub trace: Envelope<'a>,
    /// Empty where no span says anything.
    spans: Vec<Envelope<'a>>,
}

/// Whatever any key may come from.
const KEYS: AttrSet = AttrSet::of(EnvelopeKey::Driver.sources())
    .or(AttrSet::of(EnvelopeKey::Runtime.sources()))
    .or(AttrSet::of(EnvelopeKey::ModelDigest.sources()))
    .or(AttrSet::of(EnvelopeKey::TokenizerDigest.sources()))
    .or(AttrSet::of(EnvelopeKey::Concurrency.sources()));

pub(crate) fn resolve<'a>(trace: &Trace<'_, 'a>) -> Envelopes<'a> {
    let mut envelopes = Envelopes { trace: Envelope::default(), spans: Vec::new() };
    if !trace.has_anywhere.meets(KEYS) {
        return envelopes;
    }
    envelopes.spans = vec![Envelope::default(); trace.len()];
    for &i in &trace.tree.order {
        let inherited = trace.parent(i).map_or(Envelope::default(), |parent| envelopes.spans[parent]);
        envelopes.spans[i] =
            if trace.has(i).meets(KEYS) { Envelope::of(&trace.spans[i]).or(inherited) } else { inherited };
    }
    if let Some(root) = trace.tree.root() {
        envelopes.trace = envelopes.spans[root];
        for i in &trace.by_start {
            if envelopes.trace.is_complete() {
                break;
            }
            envelopes.trace = envelopes.trace.or(envelopes.spans[*i]);
        }
    }
    envelopes
}

impl<'a> Envelopes<'a> {
    /// That of the span by which a stage was entered; what it does not know the first of the run's members does.
    pub fn of_run(&self, entry: usize, members: &[usize]) -> Envelope<'a> {
        let Some(mut envelope) = self.spans.get(entry).copied() else { return Envelope::default() };
        for member in members {
            if envelope.is_complete() {
                break;
            }
            envelope = envelope.or(self.spans[*member]);
        }
        envelope
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::{Attr, Rules};

    use crate::analyse;
    use crate::testing::{Build, TestSpan, span};

    /// That of the trace, then that of each run.
    fn check(spans: &[TestSpan], of_trace: &str, of_runs: &[&str]) {
        let rules = Rules::default();
        let analysis = analyse(spans, &rules);
        assert_eq!(analysis.envelope.to_string(), of_trace);
        let runs: Vec<String> = analysis.runs.iter().map(|r| r.envelope.to_string()).collect();
        assert_eq!(runs, of_runs);
    }

    #[test]
    fn a_run_knows_what_its_spans_and_those_above_it_say() {
        check(
            &[
                span(1, 0, 100).stage("agent").with(Attr::PlimsollConcurrency, 8),
                span(2, 10, 50).child_of(1).stage("inference"),
                span(3, 12, 48).child_of(2).with(Attr::HwDriverVersion, "550.54"),
                span(4, 60, 70).child_of(1).stage("execute"),
            ],
            "driver=550.54 concurrency=8",
            &["concurrency=8", "driver=550.54 concurrency=8", "concurrency=8"],
        );
    }

    #[test]
    fn words_of_ours_come_before_conventions_and_text_is_read_as_a_number() {
        check(
            &[span(1, 0, 100)
                .with(Attr::ContainerImageId, "sha256:1")
                .with(Attr::ResourceRuntime, "vllm 0.29")
                .with(Attr::ResourceConcurrency, "64")],
            "runtime=vllm 0.29 concurrency=64",
            &["runtime=vllm 0.29 concurrency=64"],
        );
        check(&[span(1, 0, 100)], "", &[""]);
    }
}
