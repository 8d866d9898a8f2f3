//! What an analysis answers. Indices (`usize`) point into the slice of spans that was analysed.

use std::borrow::Cow;
use std::ops::Range;

use plimsoll_schemas::{DurationNs, Envelope, Outcome, QueueSource, Slice, SpanId, TimeClass, UnixNanos};

use crate::lists::Lists;

/// Everything that one trace's spans say.
#[derive(Debug, Clone, Default)]
pub struct TraceAnalysis<'a> {
    /// One per span, in the order of the input.
    pub spans: Vec<SpanAnalysis<'a>>,
    /// Of all spans, see [`TraceAnalysis::segments`].
    pub(crate) segments: Vec<Segment>,
    /// The span that stands for the request: the earliest one without a (known) parent.
    pub root: Option<usize>,
    /// The spans in pre-order, siblings by start.
    pub order: Vec<usize>,
    /// The root's duration, given to exactly one (span, class) each; ordered by time.
    pub critical_path: Vec<PathPart<'a>>,
    /// Groups of two or more attempts of one logical call.
    pub groups: Vec<AttemptGroup<'a>>,
    pub runs: Vec<StageRun<'a>>,
    /// Of all runs, see [`TraceAnalysis::members`].
    pub(crate) members: Lists,
    /// Of all runs, see [`TraceAnalysis::context`].
    pub(crate) contexts: String,
    pub edges: Vec<EdgeWindow<'a>>,
    /// What should not have been done; by start.
    pub violations: Vec<Violation<'a>>,
    /// The root's slice, resolved over the whole trace.
    pub slice: Slice<'a>,
    /// The root's envelope, resolved over the whole trace.
    pub envelope: Envelope<'a>,
    /// The session (conversation) that the trace belongs to.
    pub session_id: Option<&'a str>,
    /// The task that it was given.
    pub task_id: Option<Cow<'a, str>>,
    pub flags: TraceFlags,
}

/// What one span says in the light of its trace.
#[derive(Debug, Clone)]
pub struct SpanAnalysis<'a> {
    pub stage: &'a str,
    /// The parent by id, or by the link that stands for one; `None` for roots and where it is missing.
    pub parent: Option<usize>,
    pub depth: u32,
    pub outcome: Outcome,
    /// Nanoseconds by class; they sum to the duration (zero for a negative one).
    pub time: ClassTimes,
    /// Its part of the trace's segments.
    pub(crate) segments: Range<usize>,
    /// What a nanosecond of it is that nothing else explains.
    pub(crate) residual: TimeClass,
    /// How `time.queue` is known; `None` is unknown, and then `time.queue` is zero.
    /// A handoff wait lies before the span and is in [`StageRun`], not in `time`.
    pub queue_source: Option<QueueSource>,
    /// Queue time waited before the span's start (handoff, enqueue timestamp).
    pub queue_before: DurationNs,
    /// What an explicit queue number claimed beyond what its span has room for.
    pub queue_clipped: DurationNs,
    /// The attempt group that it belongs to, as an index into `groups`, and its ordinal from 1.
    pub attempt: Option<(usize, u32)>,
    pub flags: SpanFlags,
}

impl SpanAnalysis<'_> {
    /// How long it waited, before its start and after; where `queue_source` is none that is unknown.
    pub fn queued(&self) -> DurationNs {
        self.time.get(TimeClass::Queue) + self.queue_before
    }
}

/// Nanoseconds by [`TimeClass`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassTimes([i64; TimeClass::ALL.len()]);

impl ClassTimes {
    pub fn get(&self, class: TimeClass) -> DurationNs {
        DurationNs(self.0[class as usize])
    }

    pub fn add(&mut self, class: TimeClass, d: DurationNs) {
        self.0[class as usize] += d.0;
    }

    pub fn add_all(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub fn total(&self) -> DurationNs {
        DurationNs(self.0.iter().sum())
    }
}

/// A stretch of a span's time in one class. `offset` counts from the span's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub class: TimeClass,
    pub offset: DurationNs,
    pub duration: DurationNs,
}

/// A stretch of the critical path: it belongs to one span in one class, never `blocked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathPart<'a> {
    pub span: usize,
    pub stage: &'a str,
    pub class: TimeClass,
    pub start: UnixNanos,
    pub duration: DurationNs,
}

/// By which evidence attempts were grouped; the strongest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupSource {
    HttpResendCount,
    GrpcPreviousAttempts,
    DeliveryCount,
    FrameworkMarker,
    IdentitySiblings,
    /// An agent that repeats itself: the same tool with the same arguments, whatever the status.
    /// Not a transport retry: counted apart.
    SemanticRepeat,
}

impl GroupSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpResendCount => "http_resend_count",
            Self::GrpcPreviousAttempts => "grpc_previous_attempts",
            Self::DeliveryCount => "delivery_count",
            Self::FrameworkMarker => "framework_marker",
            Self::IdentitySiblings => "identity_siblings",
            Self::SemanticRepeat => "semantic_repeat",
        }
    }

    pub const fn is_retry(self) -> bool {
        !matches!(self, Self::SemanticRepeat)
    }
}

/// Who calls what: the unit over which amplification is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge<'a> {
    /// The calling service.
    pub caller: &'a str,
    /// The called service, tool, model or address.
    pub callee: &'a str,
    pub operation: &'a str,
}

/// The attempts of one logical call.
#[derive(Debug, Clone)]
pub struct AttemptGroup<'a> {
    pub source: GroupSource,
    pub edge: Edge<'a>,
    pub attempts: Vec<Attempt<'a>>,
}

/// One try.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub span: usize,
    pub ordinal: u32,
    pub outcome: Outcome,
    /// Another attempt's result was used instead.
    pub superseded: bool,
    /// It overlaps an earlier attempt of its group.
    pub hedge: bool,
    /// The planned delay since the previous attempt's end.
    pub backoff: DurationNs,
    pub idempotency_key: Option<&'a str>,
}

/// One logical call entering a stage: its parent has another stage. Attempts and same-stage descendants included.
#[derive(Debug, Clone)]
pub struct StageRun<'a> {
    pub stage: &'a str,
    /// The span by which the stage was entered (the first attempt's).
    pub root: usize,
    /// Which of the trace's lists of members is its own.
    pub(crate) number: usize,
    /// Whether it is the run of the trace's root.
    pub is_request: bool,
    /// The first enqueue or start.
    pub start: UnixNanos,
    /// To the last end.
    pub duration: DurationNs,
    /// The last attempt's.
    pub outcome: Outcome,
    /// When it had to be done, as far as it or who called for it says.
    pub deadline: Option<UnixNanos>,
    /// Sums to `duration`; `blocked` is what other stages' runs cover.
    pub time: ClassTimes,
    /// The strongest evidence among its spans; `None`: queue time is unknown.
    pub queue_source: Option<QueueSource>,
    /// Its part of the trace's contexts.
    pub(crate) context: Range<usize>,
    /// The part of the critical path that lies in its spans, by class; never `blocked`.
    pub path: ClassTimes,
    pub attempts: u32,
    pub errors: u32,
    pub slice: Slice<'a>,
    pub envelope: Envelope<'a>,
    pub tokens: Tokens,
}

/// In which way something should not have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// A tool that is not idempotent was tried again without a key.
    RetryWithoutKey,
    /// The same idempotency key succeeded twice.
    DuplicateSideEffect,
    /// An attempt began after the request's deadline.
    AttemptAfterDeadline,
    /// It was tried again after an error that trying again cannot help.
    RetryOfNonRetryable,
    /// The arguments are not those that were approved.
    ApprovalMismatch,
    /// Policy asks for an approval, and there is none.
    MissingApproval,
}

impl ViolationKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryWithoutKey => "retry_without_key",
            Self::DuplicateSideEffect => "duplicate_side_effect",
            Self::AttemptAfterDeadline => "attempt_after_deadline",
            Self::RetryOfNonRetryable => "retry_of_non_retryable",
            Self::ApprovalMismatch => "approval_mismatch",
            Self::MissingApproval => "missing_approval",
        }
    }
}

/// Something that should not have been done, and the evidence.
#[derive(Debug, Clone)]
pub struct Violation<'a> {
    pub kind: ViolationKind,
    /// The call that should not have been made.
    pub span: usize,
    /// The attempts that it is one of, as an index into `groups`.
    pub group: Option<usize>,
    pub edge: Edge<'a>,
    /// For people.
    pub detail: std::borrow::Cow<'static, str>,
}

/// Tokens and cost, summed over leaf inference spans only; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tokens {
    pub input: Option<i64>,
    pub output: Option<i64>,
    pub cost_usd: Option<f64>,
}

/// Calls and attempts over an edge that started in one window of `Rules::EDGE_WINDOW`.
#[derive(Debug, Clone, Copy)]
pub struct EdgeWindow<'a> {
    pub edge: Edge<'a>,
    pub window: UnixNanos,
    /// Counted in the window of their first attempt.
    pub logical_calls: u32,
    pub attempts: u32,
    pub retries: u32,
    pub hedges: u32,
    pub failed_attempts: u32,
    /// Of the failed attempts, by how they failed; the rest are dependency, cancelled and internal.
    pub failed_overload: u32,
    pub failed_deadline: u32,
    pub failed_correctness: u32,
    /// Attempts of which it is known how long they queued at the far side, and that time.
    pub queue_known: u32,
    pub queue: DurationNs,
    /// Of the calling spans, the one nearest to the root: how deep in the request the edge lies.
    pub depth: u32,
    /// Time in superseded attempts, plus backoff.
    pub wasted: DurationNs,
    pub backoff: DurationNs,
    pub slice: Slice<'a>,
}

/// What was odd about a span; shown, never hidden.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanFlags {
    pub negative_duration: bool,
    pub missing_parent: bool,
    pub cycle: bool,
    /// Shifted to fit its parent on another host, by this much.
    pub skew: Option<DurationNs>,
    /// It started before what it waited for had ended: the clocks disagree, and the wait counts as zero.
    pub negative_handoff: bool,
    /// A second span with the same id; its children hang from the first.
    pub duplicate_id: bool,
    /// It outlives the root: off the request path.
    pub outlives_root: bool,
}

/// Whether any span of the trace has the flag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceFlags {
    pub negative_duration: bool,
    pub missing_parent: bool,
    pub cycle: bool,
    pub skew: bool,
    pub duplicate_id: bool,
    pub multiple_roots: bool,
}

impl TraceFlags {
    /// The words under which the flags are stored and shown.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.negative_duration, "negative_duration"),
            (self.missing_parent, "missing_parent"),
            (self.cycle, "cycle"),
            (self.skew, "skew"),
            (self.duplicate_id, "duplicate_id"),
            (self.multiple_roots, "multiple_roots"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
    }
}

/// Totals over the attempts of a trace, transport retries only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptTotals {
    pub logical_calls: u32,
    pub attempts: u32,
    pub retries: u32,
    pub wasted: DurationNs,
}

impl TraceAnalysis<'_> {
    /// The partition of a span's time, in order, without empty segments.
    pub fn segments(&self, span: usize) -> &[Segment] {
        &self.segments[self.spans[span].segments.clone()]
    }

    /// The spans of a run other than its root.
    pub fn members(&self, run: &StageRun<'_>) -> impl Iterator<Item = usize> + Clone {
        let root = run.root;
        self.members.of(run.number).iter().copied().filter(move |i| *i != root)
    }

    /// The stages through which a run was called, from the request's own: `agent > execute > gateway`.
    pub fn context(&self, run: &StageRun<'_>) -> &str {
        &self.contexts[run.context.clone()]
    }

    pub fn attempt_totals(&self) -> AttemptTotals {
        let mut totals = AttemptTotals::default();
        for edge in &self.edges {
            totals.logical_calls += edge.logical_calls;
            totals.attempts += edge.attempts;
            totals.retries += edge.retries;
            totals.wasted += edge.wasted;
        }
        totals
    }
}

/// The id that names a group: its first attempt's span.
pub fn group_id(group: &AttemptGroup<'_>, spans: &[plimsoll_schemas::Span<'_>]) -> Option<SpanId> {
    group.attempts.first().map(|a| spans[a.span].span_id)
}
