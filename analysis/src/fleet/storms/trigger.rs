//! What set a storm off: of the edges that its requests go through, the deepest of those that failed first.

use super::connections::Connections;
use super::{Counts, EdgeSeries, Observed, StormEdge};

/// Windows before the storm in which its cause is looked for: retries follow failures, with backoff between.
const BEFORE: u32 = 6;
/// Windows after the first failures that still tell their kind.
const AFTER: u32 = 3;
/// A failure here and there sets nothing off: so many, and this share of the attempts, above what is usual.
const FAILED_MIN: u64 = 3;
const FAILED_SHARE_MIN: f64 = 0.1;
/// Queues that grew by this factor were there first.
const QUEUE_GROWTH: f64 = 2.0;

/// In which way the trigger failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Its queue grew first, or it refused for want of capacity and nothing is known of its queue.
    Overload,
    /// Errors without a queue.
    Dependency,
    /// What was asked was wrong: trying again cannot help.
    Correctness,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Dependency => "dependency",
            Self::Correctness => "correctness",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// Index into [`Observed::edges`].
    pub edge: usize,
    /// The window in which it began to fail.
    pub window: u32,
    pub kind: Kind,
}

pub fn find(
    observed: &Observed<'_>,
    connections: &Connections,
    edges: &[StormEdge],
    (start, end): (u32, u32),
) -> Option<Trigger> {
    let from = start.saturating_sub(BEFORE);
    let failing = reachable(connections, edges).into_iter().filter_map(|edge| {
        let series = &observed.edges[edge];
        let usual = failed_share(&series.sum(from.saturating_sub(5 * BEFORE), from));
        let fails = |c: &Counts| c.failed >= FAILED_MIN && failed_share(c) >= usual + FAILED_SHARE_MIN;
        let (window, _) = series.between(from, end).iter().find(|(_, c)| fails(c))?;
        Some((edge, *window))
    });
    let failing: Vec<(usize, u32)> = failing.collect();
    let first = failing.iter().map(|(_, window)| *window).min()?;
    // Windows cut time anywhere: what began one later began with it.
    let together = failing.iter().filter(|(_, window)| *window <= first + 1);
    let (edge, window) =
        *together.max_by_key(|(edge, _)| (observed.edges[*edge].depth, std::cmp::Reverse(*edge)))?;
    Some(Trigger { edge, window, kind: kind(&observed.edges[edge], window) })
}

/// The storm's edges and all that are connected with one of them.
fn reachable(connections: &Connections, edges: &[StormEdge]) -> Vec<usize> {
    let mut found: Vec<usize> = edges.iter().map(|e| e.edge).collect();
    found.extend(edges.iter().flat_map(|e| connections.near(e.edge)));
    found.sort_unstable();
    found.dedup();
    found
}

fn failed_share(counts: &Counts) -> f64 {
    if counts.attempts == 0 { 0.0 } else { counts.failed as f64 / counts.attempts as f64 }
}

fn kind(series: &EdgeSeries<'_>, window: u32) -> Kind {
    let failed = series.sum(window, window + AFTER);
    if failed.failed_correctness * 2 >= failed.failed {
        return Kind::Correctness;
    }
    match queue_growth(series, window) {
        Some(growth) if growth >= QUEUE_GROWTH => Kind::Overload,
        Some(_) => Kind::Dependency,
        None if (failed.failed_overload + failed.failed_deadline) * 2 > failed.failed => Kind::Overload,
        None => Kind::Dependency,
    }
}

/// By which factor the queue had grown when the failures began; unknown without a queue before or at that time.
fn queue_growth(series: &EdgeSeries<'_>, window: u32) -> Option<f64> {
    let mean = |c: &Counts| (c.queue_known > 0).then(|| c.queue.0 as f64 / c.queue_known as f64);
    let before = window.saturating_sub(BEFORE);
    let usual = mean(&series.sum(before.saturating_sub(5 * BEFORE), before))?;
    let latest = series
        .between(before, window + 1)
        .iter()
        .filter_map(|(_, c)| mean(c))
        .fold(None, |most, m| Some(most.map_or(m, |most: f64| most.max(m))))?;
    // A queue out of nothing has grown, once it is more than a thousandth of a second.
    if usual < 1e6 {
        Some(if latest >= 1e6 * QUEUE_GROWTH { f64::INFINITY } else { 1.0 })
    } else {
        Some(latest / usual)
    }
}
