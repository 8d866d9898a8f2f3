//! The classes that partition a span's time, and the evidence for its queueing.

/// Where a nanosecond of a span went. For each span the classes sum to its duration exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeClass {
    /// Waiting to be worked on.
    Queue,
    /// Fetching what the work needs: weights, adapters, KV cache, cold start, state look-up.
    Load,
    /// The span itself at work.
    Compute,
    /// Network, accept queues and serialisation between a client span and its server span.
    Transit,
    /// Planned delay: between attempts, or declared by the caller.
    Backoff,
    /// Covered by the union of its children. Never on a critical path.
    Blocked,
    /// Where an emitter's own breakdown does not add up, and calls whose far side is not instrumented.
    Unattributed,
}

impl TimeClass {
    pub const ALL: [Self; 7] = [
        Self::Queue,
        Self::Load,
        Self::Compute,
        Self::Transit,
        Self::Backoff,
        Self::Blocked,
        Self::Unattributed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Load => "load",
            Self::Compute => "compute",
            Self::Transit => "transit",
            Self::Backoff => "backoff",
            Self::Blocked => "blocked",
            Self::Unattributed => "unattributed",
        }
    }
}

/// How queue time is known; the strongest evidence wins. Without any, queue time is unknown, which is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueSource {
    /// An explicit number on the span.
    Attribute,
    /// An explicit span, or a pair of events, that marks the wait.
    Interval,
    /// An enqueue timestamp.
    Enqueued,
    /// Producer end to consumer start over a parent or link, less declared delay.
    Handoff,
    /// A gateway's byte events.
    Proxy,
}

impl QueueSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::Interval => "interval",
            Self::Enqueued => "enqueued",
            Self::Handoff => "handoff",
            Self::Proxy => "proxy",
        }
    }
}
