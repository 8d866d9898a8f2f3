//! The critical path: every nanosecond of the root's duration, given to the one span that held the request up.
//!
//! The walk goes back from the root's end. At time t in a span, the awaited child that finished last at or before t
//! takes the path; the gap above it is the span's own, in the span's own classes; the walk goes on at that child's
//! start. (CRISP, USENIX ATC'22, walks the same way, without the classes.) Children are clipped to their parent;
//! of several that end together the longest has it. Cover by a child that is off the path is the parent's
//! residual, so that no part is ever `blocked` and the parts sum to the root's duration.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{DurationNs, TimeClass, UnixNanos};

use crate::cover::Cover;
use crate::model::{PathPart, Segment, SpanAnalysis};
use crate::trace::{Interval, Trace};

/// An ordinary depth of a trace: room for it is made at once.
const DEPTH: usize = 16;

pub(crate) fn walk<'a>(
    trace: &Trace<'_, 'a>,
    cover: &Cover<'_>,
    spans: &[SpanAnalysis<'a>],
    segments: &[Segment],
) -> Vec<PathPart<'a>> {
    let Some(root) = trace.tree.root() else { return Vec::new() };
    let mut walk = Walk {
        trace,
        cover,
        spans,
        segments,
        candidates: Vec::with_capacity(trace.len()),
        backwards: Vec::with_capacity(2 * trace.len()),
    };
    let mut stack = Vec::with_capacity(DEPTH);
    stack.push(walk.enter(root, trace.times[root]));
    while let Some(frame) = stack.last_mut() {
        match walk.next_child(frame) {
            Some((child, on_path)) => {
                walk.own(frame, on_path.end);
                frame.until = on_path.start;
                stack.push(walk.enter(child, on_path));
            }
            None => {
                walk.own(frame, frame.from);
                walk.candidates.truncate(frame.candidates);
                stack.pop();
            }
        }
    }
    walk.backwards.reverse();
    walk.backwards
}

/// A span on the path, walked down to `until`.
struct Frame<'t> {
    span: usize,
    from: i64,
    until: i64,
    /// Where its candidates begin on the shared stack.
    candidates: usize,
    start: i64,
    residual: TimeClass,
    /// Its segments that may begin before `until`.
    segments: &'t [Segment],
}

struct Walk<'t, 's, 'a> {
    trace: &'t Trace<'s, 'a>,
    cover: &'t Cover<'t>,
    spans: &'t [SpanAnalysis<'a>],
    /// Of all spans.
    segments: &'t [Segment],
    /// Of all frames, the top frame's last: those that finish last are at the end.
    candidates: Vec<(usize, Interval)>,
    backwards: Vec<PathPart<'a>>,
}

impl<'t> Walk<'t, '_, '_> {
    fn enter(&mut self, span: usize, on_path: Interval) -> Frame<'t> {
        let begin = self.candidates.len();
        let awaited = self.cover.awaited(span).map(|c| (c, self.cover.interval(c).clip(on_path)));
        self.candidates.extend(awaited.filter(|(_, time)| time.len() > 0));
        let candidates = &mut self.candidates[begin..];
        if !candidates.is_sorted_by(|a, b| a.1.end < b.1.end) {
            // Stable over the order by start and id, and popped from the end: the longest first, then the first by id.
            candidates.reverse();
            candidates.sort_by_key(|(_, time)| (time.end, std::cmp::Reverse(time.start)));
        }
        let answer = &self.spans[span];
        Frame {
            span,
            from: on_path.start,
            until: on_path.end,
            candidates: begin,
            start: self.trace.times[span].start,
            residual: answer.residual,
            segments: &self.segments[answer.segments.clone()],
        }
    }

    fn next_child(&mut self, frame: &Frame<'_>) -> Option<(usize, Interval)> {
        while self.candidates.len() > frame.candidates {
            let candidate = self.candidates.pop()?;
            if candidate.1.end <= frame.until {
                return Some(candidate);
            }
        }
        None
    }

    /// The time from `from` to where the walk is belongs to the span itself, in its own classes.
    fn own(&mut self, frame: &mut Frame<'_>, from: i64) {
        let (span, start, mut until) = (frame.span, frame.start, frame.until);
        while until > from.max(start)
            && let Some((segment, earlier)) = frame.segments.split_last()
        {
            let begin = start + segment.offset.0;
            if begin < until {
                let class = match segment.class {
                    TimeClass::Blocked => frame.residual,
                    class => class,
                };
                let part = Interval { start: begin.max(from), end: until };
                self.push(span, class, part);
                until = part.start;
            }
            if begin >= until {
                frame.segments = earlier;
            }
        }
        // An awaited handoff holds the request up before the span that it leads to begins.
        self.push(span, TimeClass::Queue, Interval { start: from, end: until.min(start) });
    }

    fn push(&mut self, span: usize, class: TimeClass, part: Interval) {
        if part.start >= part.end {
            return;
        }
        let (start, duration) = (UnixNanos(part.start), DurationNs(part.len()));
        match self.backwards.last_mut() {
            Some(last) if last.span == span && last.class == class => {
                last.start = start;
                last.duration += duration;
            }
            _ => {
                self.backwards.push(PathPart { span, stage: self.spans[span].stage, class, start, duration })
            }
        }
    }
}
