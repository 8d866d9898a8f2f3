//! How much load a stage carries safely: its latency when idle, the throughput that it keeps up, how quickly it recovers, and which
//! stage gives way first. Only what was seen: where the data never went near saturation, the answer is "not observed up to λ".
//!
//! Two things end safety. The stage is *overloaded* ([`overload`]): more waits, or is turned away, than chance explains; what it
//! completes meanwhile is its capacity. Or its objective is missed ([`objective`]) at a rate that it otherwise carries.
//!
//! Concurrency is Little's: N = λ·W, arrivals per second times mean time in the stage (Little, *Operations Research* 9, 1961).

mod objective;
mod overload;
mod saturates;

pub use saturates::{Rise, saturates_first};

use std::ops::Range;

use plimsoll_schemas::{DurationNs, UnixNanos};

use objective::Limit;
use overload::Load;

/// Windows that an overload lasts at the least, and over which rates are averaged: single windows scatter.
pub const TREND: usize = 5;
/// Windows on either side of a limit, so that it is one.
const WINDOWS_MIN: usize = 3;
/// A stage of which less waits than this is idle enough to tell its floor.
const IDLE_QUEUE_SHARE: f64 = 0.01;
/// Where queues are unknown: the time of a run is that of an idle stage if it is the same, to this part, at twice the load.
const SAME: f64 = 0.2;

/// One stage of one slice in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Window {
    /// Runs that began, per second.
    pub arrivals_per_s: f64,
    /// Runs that ended, per second.
    pub completions_per_s: f64,
    /// Of these, the ones that were turned away because of overload.
    pub refused_per_s: f64,
    /// N = λ·W.
    pub concurrency: f64,
    /// Mean queue time of the runs whose queue is known, and its share of their time; unknown without any.
    pub queue_age_ns: Option<f64>,
    pub queue_share: Option<f64>,
    pub duration_p50_ns: Option<f64>,
    /// Good ÷ offered, counting what is not judged as good; unknown without an objective.
    pub attainment: Option<f64>,
}

/// What is known of a stage's safe load.
#[derive(Debug, Clone, PartialEq)]
pub struct SafeLoad {
    /// The median time of a run where nothing waits, and from how many windows.
    pub floor: Option<(f64, usize)>,
    pub sustainable: Sustainable,
    /// Runs per second by which the queue emptied after an overload, and over how many windows.
    pub recovery: Option<(f64, usize)>,
    /// Windows in which the stage was overloaded or the objective was missed.
    pub overloaded: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sustainable {
    /// The rate that was kept up where higher ones were not; runs per second.
    UpTo(f64),
    /// Everything that was seen was kept up.
    NotObservedUpTo(f64),
    /// Nothing that was seen was kept up, the least of which was this.
    NotEven(f64),
    /// Nothing was seen, or nothing of what tells whether it waited.
    Unknown,
}

/// From the windows of a stage, each `width` long, in the order of time; `target` is the attainment that its objective asks for.
pub fn safe_load(windows: &[Window], width: DurationNs, target: f64) -> SafeLoad {
    let width_s = width.0 as f64 / UnixNanos::NANOS_PER_SECOND as f64;
    let overloads = Load::new(windows, width_s).map(|load| load.overloads());
    let overloads = overloads.as_deref();
    let misses = |at: usize| windows[at].attainment.is_some_and(|a| a < target);
    let is_over = |at: usize| overloads.is_some_and(|all| all.iter().any(|o| o.contains(&at)));
    SafeLoad {
        floor: floor(windows),
        sustainable: sustainable(windows, width_s, target, overloads),
        recovery: overloads.and_then(|all| recovery(windows, all)),
        overloaded: (0..windows.len()).filter(|at| misses(*at) || is_over(*at)).count(),
    }
}

fn sustainable(
    windows: &[Window],
    width_s: f64,
    target: f64,
    overloads: Option<&[Range<usize>]>,
) -> Sustainable {
    let highest = overload::highest_kept_up(windows);
    let capacity = overloads.and_then(|all| overload::capacity(windows, width_s, all));
    match (objective::limit(windows, target, overloads.unwrap_or_default()), capacity) {
        (Limit::NotEven(rate), _) => Sustainable::NotEven(rate),
        (Limit::Surely(rate), None) => Sustainable::UpTo(rate),
        (Limit::Surely(rate) | Limit::Perhaps(rate), Some(capacity)) => Sustainable::UpTo(rate.min(capacity)),
        (Limit::None, Some(capacity)) => Sustainable::UpTo(capacity),
        // Where nobody knows what waited, nothing says that it was kept up.
        (Limit::Perhaps(_) | Limit::None, None) if overloads.is_none() || highest == 0.0 => {
            Sustainable::Unknown
        }
        (Limit::Perhaps(_) | Limit::None, None) => Sustainable::NotObservedUpTo(highest),
    }
}

/// The least busy tenth of the windows in which anything ran: its concurrency.
fn quiet(windows: &[Window]) -> Option<f64> {
    let mut busy: Vec<f64> = windows.iter().filter(|w| w.concurrency > 0.0).map(|w| w.concurrency).collect();
    busy.sort_by(f64::total_cmp);
    busy.get(busy.len().saturating_sub(1) / 10).copied()
}

/// The median of the windows' own medians, of those with the least concurrency in which nothing waits.
fn floor(windows: &[Window]) -> Option<(f64, usize)> {
    let quiet = quiet(windows)?;
    let within = |from: f64, until: f64| {
        windows.iter().filter(move |w| w.concurrency > from * quiet && w.concurrency <= until * quiet)
    };
    let times =
        |of: &mut dyn Iterator<Item = &Window>| of.filter_map(|w| w.duration_p50_ns).collect::<Vec<_>>();
    let idle = times(&mut within(0.0, 1.0).filter(|w| w.queue_share.is_some_and(|s| s < IDLE_QUEUE_SHARE)));
    if let Some(floor) = median(&idle) {
        return Some((floor, idle.len()));
    }
    // Unknown queues are not empty ones. But where a run takes as long at twice the load, it waits for no other.
    let (unknown, busier) = (
        times(&mut within(0.0, 1.0).filter(|w| w.queue_share.is_none())),
        times(&mut within(1.5, 2.5).filter(|w| w.queue_share.is_none())),
    );
    let (floor, above) = (median(&unknown)?, median(&busier)?);
    (busier.len() >= WINDOWS_MIN && (above / floor - 1.0).abs() <= SAME).then_some((floor, unknown.len()))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// Completions beyond arrivals, from where most had come that had not ended, or the last was turned away, to the overload's end.
fn recovery(windows: &[Window], overloads: &[Range<usize>]) -> Option<(f64, usize)> {
    let drained = |w: &Window| w.completions_per_s - w.arrivals_per_s;
    let mut drains: Vec<f64> = Vec::new();
    for overload in overloads {
        let (mut from, mut waiting, mut most) = (overload.end, 0.0, 0.0);
        for (at, window) in overload.clone().zip(&windows[overload.clone()]) {
            waiting -= drained(window);
            if waiting > most || window.refused_per_s > 0.0 {
                (from, most) = (at + 1, waiting.max(most));
            }
        }
        drains.extend(windows[from..overload.end].iter().map(drained));
    }
    let sum: f64 = drains.iter().sum();
    (sum > 0.0).then(|| (sum / drains.len() as f64, drains.len()))
}
