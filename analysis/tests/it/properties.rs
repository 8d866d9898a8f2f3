//! What holds for every trace, however broken.

use plimsoll_analysis::{PASSED_OVER, StageRun, TraceAnalysis, analyse, edges, reads};
use plimsoll_schemas::{Attr, AttrType, DurationNs, Rules, Span, SpanKind, TimeClass, Value};
use proptest::prelude::*;
use proptest::sample::select;

use crate::oracle::Oracle;
use crate::testing::{Build, TestSpan, id, span};

/// Small, dense and often broken: ids repeat, parents are missing, later, or the span itself.
fn any_span() -> impl Strategy<Value = TestSpan> {
    let shape = (1..10_u64, prop::option::weighted(0.85, 1..12_u64), 0..50_i64, -4..40_i64);
    let kinds =
        [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];
    let words = (
        select(kinds.to_vec()),
        select(vec!["a", "b"]),
        select(vec!["op", "call", "other"]),
        prop::option::weighted(0.2, select(vec!["s1", "s2"])),
        prop::option::weighted(0.3, select(vec![200_i64, 400, 503])),
        prop::option::weighted(0.3, select(vec!["h1", "h2"])),
    );
    let extra = (
        prop::option::weighted(0.2, (0..20_i64, 0..20_i64)),
        prop::option::weighted(0.1, 1..12_u64),
        prop::option::weighted(0.1, select(vec!["k1", "k2"])),
        prop::option::weighted(0.2, 0..3_i64),
        prop::option::weighted(0.2, 0..100_i64),
    );
    (shape, words, extra).prop_map(|(shape, words, (engine, link, key, resend, tokens))| {
        let (id, parent, start, duration) = shape;
        let (kind, service, name, stage, status, host) = words;
        let mut span = span(id, start, start + duration).kind(kind).on(service).named(name);
        if let Some(parent) = parent {
            span = span.child_of(parent);
        }
        if let Some(stage) = stage {
            span = span.stage(stage);
        }
        if let Some(status) = status {
            span = span.with(Attr::HttpStatusCode, status);
        }
        if let Some(host) = host {
            span = span.with(Attr::HostName, host);
        }
        if let Some((queue, compute)) = engine {
            span = span
                .with(Attr::TimeInQueue, queue as f64 * 1e-9)
                .with(Attr::TimeInModelPrefill, compute as f64 * 1e-9)
                .with(Attr::TimeInModelDecode, 1e-9);
        }
        if let Some(link) = link {
            span = span.linked_to(link);
        }
        if let Some(key) = key {
            span = span.with(Attr::IdempotencyKey, key);
        }
        if let Some(resend) = resend {
            span = span.with(Attr::HttpResendCount, resend);
        }
        if let Some(tokens) = tokens {
            span = span.with(Attr::GenAiUsageInputTokens, tokens);
        }
        span
    })
}

pub fn any_trace() -> impl Strategy<Value = Vec<TestSpan>> {
    prop_oneof![prop::collection::vec(any_span(), 0..14), nested_trace()]
}

/// Every span has an id of its own and a parent that comes before it, and mostly lies within it.
fn nested_trace() -> impl Strategy<Value = Vec<TestSpan>> {
    let places = (any::<prop::sample::Index>(), 0..100_i64, 0..110_i64);
    prop::collection::vec((any_span(), places), 1..20).prop_map(|spans| {
        let mut nested: Vec<TestSpan> = Vec::new();
        for (n, (mut span, (parent, from, share))) in (1..).zip(spans) {
            span.span_id = id(n);
            span.parent_span_id = None;
            (span.start.0, span.duration.0) = (0, 300);
            if !nested.is_empty() {
                let parent = parent.get(&nested);
                span.parent_span_id = Some(parent.span_id);
                span.start.0 = parent.start.0 + parent.duration.0 * from / 100;
                span.duration.0 = (parent.start.0 + parent.duration.0 - span.start.0) * share / 100;
            }
            nested.push(span);
        }
        nested
    })
}

/// The answer without the indices, which are the input's: spans stand for themselves.
fn told(spans: &[Span<'_>], answer: &TraceAnalysis<'_>) -> (Vec<String>, Vec<String>, Vec<String>, String) {
    let name = |i: usize| format!("{:?}", spans[i]);
    let mut each: Vec<String> = (0..spans.len())
        .map(|i| {
            let a = &answer.spans[i];
            let (parent, segments) = (a.parent.map(name), answer.segments(i));
            let ended = (a.stage, a.depth, a.outcome, a.attempt, a.flags);
            let waited = (a.time, a.queue_source, a.queue_before, a.queue_clipped);
            format!("{} {parent:?} {segments:?} {ended:?} {waited:?}", name(i))
        })
        .collect();
    each.sort();
    let path = answer
        .critical_path
        .iter()
        .map(|p| format!("{} {} {:?} {:?} {:?}", name(p.span), p.stage, p.class, p.start, p.duration));
    let runs = answer.runs.iter().map(|run| {
        let mut members: Vec<String> = answer.members(run).map(name).collect();
        members.sort();
        let ended = (run.stage, run.is_request, run.outcome, run.deadline, run.attempts, run.errors);
        let waited = (run.start, run.duration, run.time, run.queue_source, run.path);
        let about = (answer.context(run), run.slice, run.envelope, run.tokens);
        format!("{} {members:?} {ended:?} {waited:?} {about:?}", name(run.root))
    });
    let groups: Vec<String> = answer
        .groups
        .iter()
        .map(|g| {
            let tries: Vec<String> = g
                .attempts
                .iter()
                .map(|a| {
                    format!("{} {} {} {} {:?}", name(a.span), a.ordinal, a.superseded, a.hedge, a.backoff)
                })
                .collect();
            format!("{:?} {:?} {tries:?}", g.source, g.edge)
        })
        .collect();
    let rest = format!(
        "{:?} {:?} {:?} {:?} {:?} {groups:?} {:?}",
        answer.root.map(name),
        answer.edges,
        answer.slice,
        answer.session_id,
        answer.flags,
        answer.order.iter().map(|i| name(*i)).collect::<Vec<_>>(),
    );
    (each, path.collect(), runs.collect(), rest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_passed_over_changes_nothing(spans in any_trace(), salt in 0..1_000_i64) {
        let rules = Rules::default();
        let mut more = spans.clone();
        for span in &mut more {
            // Of spans that are equal they are equal, too.
            let seed = salt + span.start.0 + 7 * span.duration.0;
            for (n, attr) in (0..).zip(PASSED_OVER) {
                let words = ["0", "1", "GET", "GET", "error", "retry"];
                let number = (seed + n).rem_euclid(6);
                let value = match attr.info().kind {
                    AttrType::Int => Value::Int(number),
                    AttrType::Double => Value::Double(number as f64),
                    AttrType::Bool => Value::Bool(number == 0),
                    AttrType::Keyword | AttrType::Text => Value::Str(words[number as usize]),
                };
                if (seed + n) % 3 > 0 {
                    span.attributes.insert(*attr, value);
                }
            }
        }
        prop_assert!(PASSED_OVER.iter().all(|attr| !reads(*attr, &rules)));
        prop_assert_eq!(format!("{:?}", analyse(&more, &rules)), format!("{:?}", analyse(&spans, &rules)));
        prop_assert_eq!(format!("{:?}", edges(&more, &rules)), format!("{:?}", edges(&spans, &rules)));
    }

    #[test]
    fn the_segments_of_a_span_are_those_of_the_oracle(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let oracle = Oracle { spans: &spans, answer: &answer };
        for (i, span) in answer.spans.iter().enumerate() {
            let expanded: Vec<TimeClass> = answer
                .segments(i)
                .iter()
                .flat_map(|s| std::iter::repeat_n(s.class, s.duration.0 as usize))
                .collect();
            prop_assert_eq!(&expanded, &oracle.classes(i), "span {}", i);
            let mut at = DurationNs::ZERO;
            for segment in answer.segments(i) {
                prop_assert_eq!(segment.offset, at);
                prop_assert!(segment.duration > DurationNs::ZERO);
                at += segment.duration;
            }
            prop_assert_eq!(span.time.total(), spans[i].duration.max(DurationNs::ZERO));
        }
    }

    #[test]
    fn the_critical_path_is_that_of_the_oracle(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let oracle = Oracle { spans: &spans, answer: &answer };
        let owners = oracle.path();
        let start = answer.root.map_or(0, |root| oracle.start(root));
        let mut at = start;
        for part in &answer.critical_path {
            prop_assert_eq!(part.start.0, at);
            prop_assert!(part.duration > DurationNs::ZERO);
            let classes = oracle.classes(part.span);
            for t in at..at + part.duration.0 {
                prop_assert_eq!(owners[(t - start) as usize], part.span);
                let class = match classes[(t - oracle.start(part.span)) as usize] {
                    TimeClass::Blocked => oracle.residual(part.span),
                    class => class,
                };
                prop_assert_eq!(class, part.class);
            }
            at += part.duration.0;
        }
        prop_assert_eq!((at - start) as usize, owners.len());
    }

    #[test]
    fn runs_partition_the_spans_and_their_own_time(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let mut seen = vec![0; spans.len()];
        for run in &answer.runs {
            prop_assert_eq!(run.time.total(), run.duration);
            for i in answer.members(run).chain([run.root]) {
                seen[i] += 1;
                prop_assert_eq!(answer.spans[i].stage, run.stage);
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
        let on_path: DurationNs = answer.runs.iter().map(|r| r.path.total()).sum();
        prop_assert_eq!(on_path, answer.critical_path.iter().map(|p| p.duration).sum());
        prop_assert_eq!(answer.runs.iter().filter(|r| r.is_request).count(), usize::from(!spans.is_empty()));
    }

    #[test]
    fn the_time_of_a_run_is_that_of_the_oracle(spans in nested_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let oracle = Oracle { spans: &spans, answer: &answer };
        for run in &answer.runs {
            let mut expected = vec![0; TimeClass::ALL.len()];
            for class in oracle.run(run) {
                expected[class as usize] += 1;
            }
            let found: Vec<i64> = TimeClass::ALL.iter().map(|class| run.time.get(*class).0).collect();
            prop_assert_eq!(found, expected, "{:?}", run);
        }
    }

    #[test]
    fn edges_alone_are_those_of_the_analysis(spans in any_trace()) {
        let rules = Rules::default();
        let (alone, all) = (edges(&spans, &rules), analyse(&spans, &rules).edges);
        prop_assert_eq!(format!("{alone:?}"), format!("{all:?}"));
    }

    #[test]
    fn attempts_are_counted_once(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let totals = answer.attempt_totals();
        let grouped = answer.groups.iter().filter(|g| g.source.is_retry());
        let again: usize = grouped.map(|g| g.attempts.len() - 1).sum();
        prop_assert_eq!((totals.attempts - totals.logical_calls) as usize, again);
        for group in &answer.groups {
            prop_assert!(group.attempts.len() > 1);
            if group.source.is_retry() {
                prop_assert_eq!(group.attempts.iter().filter(|a| !a.superseded).count(), 1);
            }
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        (spans, shuffled) in any_trace().prop_flat_map(|t| (Just(t.clone()), Just(t).prop_shuffle()))
    ) {
        let rules = Rules::default();
        let (one, other) = (analyse(&spans, &rules), analyse(&shuffled, &rules));
        prop_assert_eq!(told(&spans, &one), told(&shuffled, &other));
    }

    #[test]
    fn what_is_sent_twice_counts_once(spans in nested_trace(), again in any::<prop::sample::Index>()) {
        let rules = Rules::default();
        let twice: Vec<TestSpan> = spans.iter().chain([again.get(&spans)]).cloned().collect();
        let (one, two) = (analyse(&spans, &rules), analyse(&twice, &rules));
        prop_assert!(two.flags.duplicate_id && !two.flags.multiple_roots);
        prop_assert_eq!(told(&spans, &one).1, told(&twice, &two).1);
        prop_assert_eq!(format!("{:?}", one.edges), format!("{:?}", two.edges));
        let runs = |answer: &TraceAnalysis<'_>| -> Vec<String> {
            let tell = |run: &StageRun<'_>| {
                format!("{} {:?} {:?} {:?} {} {} {:?}", run.stage, run.start, run.time, run.outcome, run.attempts, run.errors, run.tokens)
            };
            answer.runs.iter().map(tell).collect()
        };
        prop_assert_eq!(runs(&one), runs(&two));
    }

    #[test]
    fn the_tree_is_a_tree(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let mut place = vec![usize::MAX; spans.len()];
        for (at, i) in answer.order.iter().enumerate() {
            place[*i] = at;
        }
        for (i, span) in answer.spans.iter().enumerate() {
            match span.parent {
                Some(parent) => {
                    prop_assert!(place[parent] < place[i]);
                    prop_assert_eq!(answer.spans[parent].depth + 1, span.depth);
                }
                None => prop_assert_eq!(span.depth, 0),
            }
        }
    }
}
