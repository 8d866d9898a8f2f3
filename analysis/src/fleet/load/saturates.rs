//! Which stage gives way first: the change point of each stage's queue share as requests come more often.

use super::WINDOWS_MIN;

/// A stage begins to saturate where its queue share is this much above what it was when idle.
const RISE: f64 = 0.1;

/// Where a stage's queue share rises from what it was when idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// Index into the stages that were given.
    pub stage: usize,
    /// The rate of requests at which it begins.
    pub requests_per_s: f64,
    /// The queue share below that rate, and from it on.
    pub before: f64,
    pub after: f64,
}

/// The stage whose queue share rises first and most as requests do: of each stage, pairs of the rate of requests and its queue
/// share, in any order. None where no stage's rises.
pub fn saturates_first(stages: &[Vec<(f64, f64)>]) -> Option<Rise> {
    let rises = stages.iter().enumerate().filter_map(|(stage, points)| rise(stage, points));
    // At nearly the same rate, the one that rises most.
    rises.reduce(|a, b| {
        let (first, other) = if a.requests_per_s <= b.requests_per_s { (a, b) } else { (b, a) };
        let together = other.requests_per_s <= first.requests_per_s * 1.1;
        if together && other.after - other.before > first.after - first.before { other } else { first }
    })
}

/// The split by rate that separates the shares best, by the squares of their distances from either side's mean.
fn rise(stage: usize, points: &[(f64, f64)]) -> Option<Rise> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if points.len() < 2 * WINDOWS_MIN {
        return None;
    }
    let mut sums = vec![(0.0, 0.0)];
    for (_, share) in &points {
        let (sum, squares) = sums[sums.len() - 1];
        sums.push((sum + share, squares + share * share));
    }
    let side = |from: usize, until: usize| {
        let n = (until - from) as f64;
        let (sum, squares) = (sums[until].0 - sums[from].0, sums[until].1 - sums[from].1);
        (sum / n, squares - sum * sum / n)
    };
    let splits = WINDOWS_MIN..=points.len() - WINDOWS_MIN;
    let at = splits.min_by(|a, b| {
        let cost = |at: usize| side(0, at).1 + side(at, points.len()).1;
        cost(*a).total_cmp(&cost(*b))
    })?;
    let (before, after) = (side(0, at).0, side(at, points.len()).0);
    (after - before >= RISE).then(|| Rise { stage, requests_per_s: points[at].0, before, after })
}
