//! Slow and obvious: the model's definitions, nanosecond by nanosecond. The tree, the shifts and the attempt
//! groups are taken from the answer; times and classes are not.

use plimsoll_analysis::{StageRun, TraceAnalysis};
use plimsoll_schemas::{Attr, DurationNs, Span, SpanKind, TimeClass};

pub struct Oracle<'t, 'a> {
    pub spans: &'t [Span<'a>],
    pub answer: &'t TraceAnalysis<'a>,
}

impl Oracle<'_, '_> {
    pub fn start(&self, i: usize) -> i64 {
        self.spans[i].start.0 + self.answer.spans[i].flags.skew.map_or(0, |d| d.0)
    }

    pub fn end(&self, i: usize) -> i64 {
        self.start(i) + self.spans[i].duration.0.max(0)
    }

    fn children(&self, i: usize) -> Vec<usize> {
        (0..self.spans.len()).filter(|c| self.answer.spans[*c].parent == Some(i)).collect()
    }

    fn is_by_link(&self, child: usize, parent: usize) -> bool {
        self.spans[child].parent_span_id != Some(self.spans[parent].span_id)
    }

    pub fn awaited(&self, i: usize) -> Vec<usize> {
        let is_sync = |c: &usize| !matches!(self.spans[*c].kind, SpanKind::Producer | SpanKind::Consumer);
        self.children(i).into_iter().filter(|c| is_sync(c) && !self.is_by_link(*c, i)).collect()
    }

    fn remote(&self, i: usize) -> Vec<usize> {
        let is_remote = |c: &usize| {
            matches!(self.spans[*c].kind, SpanKind::Server | SpanKind::Consumer)
                || self.spans[*c].service != self.spans[i].service
        };
        self.children(i).into_iter().filter(is_remote).collect()
    }

    pub fn residual(&self, i: usize) -> TimeClass {
        let span = &self.spans[i];
        let is_call = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
        let is_received = span.kind == SpanKind::Producer && self.is_received(i);
        if self.attested(i).is_some() || (is_call && self.remote(i).is_empty() && !is_received) {
            TimeClass::Unattributed
        } else {
            TimeClass::Compute
        }
    }

    /// Whether a consumer links to it; of several spans with its id it must be the first.
    fn is_received(&self, i: usize) -> bool {
        let id = self.spans[i].span_id;
        let consumers = self.spans.iter().filter(|s| s.kind == SpanKind::Consumer);
        !self.answer.spans[i].flags.duplicate_id
            && consumers.flat_map(|s| &s.links).any(|link| link.span_id == id)
    }

    fn nanos(&self, i: usize, attr: Attr) -> Option<i64> {
        self.spans[i].double(attr).and_then(DurationNs::from_seconds).map(|d| d.0)
    }

    fn attested(&self, i: usize) -> Option<i64> {
        self.nanos(i, Attr::TimeInQueue)?;
        Some(self.nanos(i, Attr::TimeInModelPrefill)? + self.nanos(i, Attr::TimeInModelDecode)?)
    }

    /// The outermost span that is the same call: here calls are told apart by kind and name alone.
    fn top(&self, mut i: usize) -> usize {
        let target = |i: usize| match self.spans[i].kind {
            _ if self.answer.spans[i].flags.duplicate_id => None,
            SpanKind::Client => Some(self.spans[i].name),
            SpanKind::Producer => Some("send"),
            _ => None,
        };
        while let Some(parent) = self.answer.spans[i].parent.filter(|p| target(*p) == target(i)) {
            i = parent;
        }
        i
    }

    fn is_backoff(&self, i: usize, t: i64) -> bool {
        let parent = |s: usize| self.answer.spans[s].parent;
        let retried = self.answer.groups.iter().filter(|g| g.source.is_retry());
        retried.flat_map(|g| (1..g.attempts.len()).map(|k| (&g.attempts[..k], &g.attempts[k]))).any(
            |(before, next)| {
                let last = before[before.len() - 1].span;
                // Within one wrapper, or between two.
                let level = |s: usize| if parent(last) == parent(next.span) { s } else { self.top(s) };
                let ended = before.iter().map(|a| self.end(level(a.span))).max().expect("not empty");
                parent(level(last)) == Some(i)
                    && parent(level(next.span)) == Some(i)
                    && (ended..self.start(level(next.span))).contains(&t)
            },
        )
    }

    fn is_transit(&self, i: usize, t: i64) -> bool {
        let served: Vec<usize> = self
            .remote(i)
            .into_iter()
            .filter(|c| self.spans[*c].kind != SpanKind::Consumer && !self.is_by_link(*c, i))
            .collect();
        self.spans[i].kind == SpanKind::Client
            && !served.is_empty()
            && (served.iter().all(|c| t < self.start(*c)) || served.iter().all(|c| t >= self.end(*c)))
    }

    /// The class of each nanosecond of a span.
    pub fn classes(&self, i: usize) -> Vec<TimeClass> {
        let awaited = self.awaited(i);
        let (start, end) = (self.start(i), self.end(i));
        let covers = |c: &usize, t: i64| self.start(*c) <= t && t < self.end(*c);
        let first_cover = (start..end).find(|t| awaited.iter().any(|c| covers(c, *t))).unwrap_or(end);
        let mut compute = self.attested(i).unwrap_or(0);
        (start..end)
            .map(|t| {
                if awaited.iter().any(|c| covers(c, t)) {
                    TimeClass::Blocked
                } else if self.is_backoff(i, t) {
                    TimeClass::Backoff
                } else if self.is_transit(i, t) {
                    TimeClass::Transit
                } else if self.nanos(i, Attr::TimeInQueue).is_some_and(|q| t < (start + q).min(first_cover)) {
                    TimeClass::Queue
                } else if compute > 0 {
                    compute -= 1;
                    TimeClass::Compute
                } else {
                    self.residual(i)
                }
            })
            .collect()
    }

    /// What the run is doing at each nanosecond: of what its spans do the first of the precedence, and nothing between attempts.
    pub fn run(&self, run: &StageRun<'_>) -> Vec<TimeClass> {
        const PRECEDENCE: [TimeClass; 7] = [
            TimeClass::Compute,
            TimeClass::Load,
            TimeClass::Transit,
            TimeClass::Queue,
            TimeClass::Backoff,
            TimeClass::Unattributed,
            TimeClass::Blocked,
        ];
        let gap = if run.attempts > 1 { TimeClass::Backoff } else { TimeClass::Unattributed };
        let mut doing: Vec<Vec<TimeClass>> = vec![Vec::new(); run.duration.0 as usize];
        for i in self.answer.members(run).chain([run.root]) {
            let wait = self.answer.spans[i].queue_before.0;
            let classes = std::iter::repeat_n(TimeClass::Queue, wait as usize).chain(self.classes(i));
            let from = (self.start(i) - wait - run.start.0) as usize;
            for (at, class) in (from..).zip(classes) {
                doing[at].push(class);
            }
        }
        doing
            .iter()
            .map(|at| PRECEDENCE.into_iter().find(|class| at.contains(class)).unwrap_or(gap))
            .collect()
    }

    /// The span that has the critical path at each nanosecond of the root.
    pub fn path(&self) -> Vec<usize> {
        let Some(root) = self.answer.root else { return Vec::new() };
        let mut owners = vec![usize::MAX; (self.end(root) - self.start(root)) as usize];
        self.give(root, self.start(root), self.end(root), &mut owners);
        owners
    }

    fn give(&self, i: usize, from: i64, to: i64, owners: &mut [usize]) {
        let origin = self.start(self.answer.root.expect("there is a root"));
        owners[(from - origin) as usize..(to - origin) as usize].fill(i);
        let mut until = to;
        while let Some((child, start, end)) = self
            .awaited(i)
            .into_iter()
            .map(|c| (c, self.start(c).clamp(from, to), self.end(c).clamp(from, to)))
            .filter(|(_, start, end)| start < end && *end <= until)
            .max_by_key(|(c, start, end)| {
                // The last to finish; of those the longest, then the first in the order of the answer.
                let place = self.answer.order.iter().position(|i| i == c);
                (*end, -start, std::cmp::Reverse(place))
            })
        {
            self.give(child, start, end, owners);
            until = start;
        }
    }
}
