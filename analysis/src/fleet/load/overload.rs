//! When a stage was overloaded, and how much it completed meanwhile: its capacity.
//!
//! What waits is seen at each window's runs: by Little's law, their wait × completions per second over a trend. In a stage that keeps up, this
//! wavers; arrivals and completions scatter, and their difference over a while is a random walk, whose variance is the sum of both
//! counts' variances. A queue *stands* in a window if it is longer than Z such deviations: chance does not empty it within one. It is
//! an *overload* if it stands for `TREND` windows and grows longer than chance could gather since it began to. Runs turned
//! away count as those that wait: a bounded queue grows no longer.

use std::ops::Range;

use super::{TREND, Window, median, quiet};

/// Deviations that chance does not reach, over all the windows of a week.
const Z: f64 = 4.0;
/// Of measures of scatter, so many are left out at the top: they are steps, not scatter.
const STEPS: f64 = 0.05;
/// Windows of which this part is known speak for all.
const KNOWN: f64 = 0.9;
/// An overload in which a stage did less than this part of what it did at other times was none of load: an outage, say.
const NEAR: f64 = 0.9;
/// The standard error of a capacity, as a part of it, that lets it be stated.
const SURE: f64 = 0.05;

/// What waits in each window, and how it scatters; in runs.
pub(super) struct Load {
    waiting: Vec<f64>,
    refused: Vec<f64>,
    /// The variance of arrivals less completions: of all windows before each.
    scatter_before: Vec<f64>,
    /// The variance of `waiting` as it is seen in one window.
    noise: f64,
}

impl Load {
    /// None where too little is known of what waits.
    pub fn new(windows: &[Window], width_s: f64) -> Option<Self> {
        let waits = waits_s(windows)?;
        let count = |of: fn(&Window) -> f64| windows.iter().map(|w| of(w) * width_s).collect::<Vec<_>>();
        let (arrived, served) = (count(|w| w.arrivals_per_s), count(served_per_s));
        let mut waiting: Vec<f64> = Vec::new();
        for (at, wait) in waits.into_iter().enumerate() {
            let rate = mean(&windows[(at + 1).saturating_sub(TREND)..=at], served_per_s);
            let before = waiting.last().copied().unwrap_or(0.0);
            waiting.push(match wait.filter(|_| rate > 0.0) {
                Some(wait) => wait * rate,
                // Nothing came whose wait would tell, or nothing ended: what waited, and came, less what ended.
                None => {
                    let change = windows[at].arrivals_per_s - windows[at].completions_per_s;
                    (before + change * width_s).max(0.0)
                }
            });
        }
        let (arrivals, services) = (dispersion(&arrived), dispersion(&served).max(1.0));
        let mut scatter_before = vec![0.0];
        for (arrived, served) in arrived.iter().zip(&served) {
            scatter_before
                .push(scatter_before[scatter_before.len() - 1] + arrivals * arrived + services * served);
        }
        Some(Self { noise: noise(&waiting), waiting, refused: count(|w| w.refused_per_s), scatter_before })
    }

    /// The windows of each overload.
    pub fn overloads(&self) -> Vec<Range<usize>> {
        let n = self.waiting.len();
        let stands = |at: &usize| self.is_beyond_chance(self.waiting[*at] + self.refused[*at], *at..at + 1);
        let mut overloads = Vec::new();
        let mut from = 0;
        while from < n {
            let until = (from..n).find(|at| !stands(at)).unwrap_or(n);
            if until >= from + TREND && self.grows(from..until) {
                overloads.push(from..until);
            }
            from = until + 1;
        }
        overloads
    }

    /// Whether a queue that began to stand in the first of the windows is at some time longer than chance gathers since, or over
    /// a trend.
    fn grows(&self, windows: Range<usize>) -> bool {
        let mut refused = 0.0;
        windows.clone().any(|at| {
            refused += self.refused[at];
            let since = windows.start.min((at + 1).saturating_sub(TREND));
            self.is_beyond_chance(self.waiting[at] + refused, since..at + 1)
        })
    }

    fn is_beyond_chance(&self, runs: f64, within: Range<usize>) -> bool {
        let scatter = self.scatter_before[within.end] - self.scatter_before[within.start] + self.noise;
        scatter > 0.0 && runs >= Z * scatter.sqrt()
    }
}

/// How long the runs of each window waited beyond what they do when the stage is quiet: their queue time where it is known, else
/// the time by which they took longer.
fn waits_s(windows: &[Window]) -> Option<Vec<Option<f64>>> {
    let busy = windows.iter().filter(|w| w.arrivals_per_s > 0.0).count() as f64;
    let of: [fn(&Window) -> Option<f64>; 2] = [|w| w.queue_age_ns, |w| w.duration_p50_ns];
    let is_known = |of: &fn(&Window) -> Option<f64>| {
        windows.iter().filter(|w| w.arrivals_per_s > 0.0 && of(w).is_some()).count() as f64 >= KNOWN * busy
    };
    let of = of.into_iter().find(is_known)?;
    let quiet = quiet(windows)?;
    let when_quiet: Vec<f64> =
        windows.iter().filter(|w| w.concurrency > 0.0 && w.concurrency <= quiet).filter_map(of).collect();
    let usual = median(&when_quiet)?;
    Some(windows.iter().map(|w| of(w).map(|wait| (wait - usual).max(0.0) / 1e9)).collect())
}

/// How much more counts scatter from window to window than independent arrivals would, which is 1.
fn dispersion(counts: &[f64]) -> f64 {
    let pairs = counts.windows(2).filter(|p| p[0] + p[1] > 0.0);
    trimmed_mean(pairs.map(|p| (p[1] - p[0]).powi(2) / (p[0] + p[1])).collect())
}

/// The variance of single values about a curve: a third value differs from the line through its neighbours by six times that.
fn noise(values: &[f64]) -> f64 {
    trimmed_mean(values.windows(3).map(|v| (v[0] - 2.0 * v[1] + v[2]).powi(2) / 6.0).collect())
}

fn trimmed_mean(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.truncate((values.len() as f64 * (1.0 - STEPS)).ceil() as usize);
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of the means over a trend, the highest.
fn highest(windows: &[Window], of: fn(&[Window]) -> f64) -> f64 {
    windows.windows(TREND.min(windows.len()).max(1)).map(of).fold(0.0, f64::max)
}

fn mean(trend: &[Window], of: fn(&Window) -> f64) -> f64 {
    trend.iter().map(of).sum::<f64>() / trend.len() as f64
}

fn served_per_s(window: &Window) -> f64 {
    (window.completions_per_s - window.refused_per_s).max(0.0)
}

/// The highest rate that came and was done.
pub(super) fn highest_kept_up(windows: &[Window]) -> f64 {
    highest(windows, |trend| mean(trend, |w| w.arrivals_per_s).min(mean(trend, served_per_s)))
}

/// Completions per second while overloaded; None where the stage was not, not long enough to tell, or did more at other times.
pub(super) fn capacity(windows: &[Window], width_s: f64, overloads: &[Range<usize>]) -> Option<f64> {
    let served: Vec<f64> = windows.iter().map(|w| served_per_s(w) * width_s).collect();
    let highest = highest(windows, |trend| mean(trend, served_per_s));
    let least = (NEAR * highest - Z * (highest / (TREND as f64 * width_s)).sqrt()) * width_s;
    let (mut sum, mut n) = (0.0, 0);
    for overload in overloads {
        let within = &served[overload.clone()];
        let done: f64 = within.iter().sum();
        if done >= least * within.len() as f64 {
            sum += done;
            n += within.len();
        }
    }
    (sum >= dispersion(&served).max(1.0) / (SURE * SURE) && n > 0).then(|| sum / n as f64 / width_s)
}
