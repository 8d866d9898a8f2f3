//! Up to which rate a stage met its objective, where it was not overloaded.
//!
//! Attainment can only fall with load: the falling function of the rate that fits the windows best tells it (isotonic regression,
//! by pooling adjacent violators; Barlow et al., *Statistical Inference under Order Restrictions*, 1972).

use std::ops::Range;

use super::{TREND, WINDOWS_MIN, Window};

/// Standard errors by which attainment is below its target, so that it surely is.
const Z: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    /// No objective, or it was met at every rate.
    None,
    /// It was missed above this rate, by no more than chance explains.
    Perhaps(f64),
    Surely(f64),
    /// It was missed at every rate, the least of which is this.
    NotEven(f64),
}

/// Windows that lie together, by rate.
struct Block {
    /// Of the points, those before this one; the block's end.
    until: usize,
    weight: f64,
    good: f64,
}

impl Block {
    fn attainment(&self) -> f64 {
        self.good / self.weight
    }
}

pub(super) fn limit(windows: &[Window], target: f64, overloads: &[Range<usize>]) -> Limit {
    // Arrivals per second over the trend, attainment, arrivals.
    let mut points: Vec<(f64, f64, f64)> = Vec::new();
    let mut least = f64::INFINITY;
    for at in 0..windows.len() {
        let trend = at.saturating_sub(TREND / 2)..(at + TREND / 2 + 1).min(windows.len());
        let Some(attainment) = windows[at].attainment.filter(|_| windows[at].arrivals_per_s > 0.0) else {
            continue;
        };
        let rate = windows[trend.clone()].iter().map(|w| w.arrivals_per_s).sum::<f64>() / trend.len() as f64;
        least = least.min(rate);
        // During an overload and shortly after, work pays for earlier arrivals.
        if !overloads.iter().any(|o| o.start < trend.end && trend.start < o.end) {
            points.push((rate, attainment, windows[at].arrivals_per_s));
        }
    }
    if points.is_empty() {
        return if least.is_finite() { Limit::NotEven(least) } else { Limit::None };
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let blocks = falling(&points);
    let kept = blocks.iter().take_while(|b| b.attainment() >= target).last().map_or(0, |b| b.until);
    let missed = &points[kept..];
    match (kept.checked_sub(1), is_below(missed, target)) {
        _ if missed.is_empty() => Limit::None,
        (None, true) => Limit::NotEven(least),
        (None, false) => Limit::Perhaps(points[0].0),
        (Some(last), true) => Limit::Surely(points[last].0),
        (Some(last), false) => Limit::Perhaps(points[last].0),
    }
}

/// The falling steps that fit the points best.
fn falling(points: &[(f64, f64, f64)]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, (_, attainment, weight)) in points.iter().enumerate() {
        let mut block = Block { until: at + 1, weight: *weight, good: attainment * weight };
        while let Some(before) = blocks.pop_if(|before| before.attainment() <= block.attainment()) {
            block.weight += before.weight;
            block.good += before.good;
        }
        blocks.push(block);
    }
    blocks
}

/// Whether the mean attainment is below the target by more than windows scatter.
fn is_below(points: &[(f64, f64, f64)], target: f64) -> bool {
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let variance = points.iter().map(|p| (p.1 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    points.len() >= WINDOWS_MIN && mean + Z * (variance / n).sqrt() < target
}
