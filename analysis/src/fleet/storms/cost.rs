//! What a storm cost against calm windows, and whether it went on when its cause was over.

use std::collections::BTreeMap;

use super::episodes::Episode;
use super::trigger::{Kind, Trigger};
use super::{EdgeSeries, Observed, Requests};

/// Goodput below this part of the calm windows' is down.
const DOWN: f64 = 0.9;
/// Arrivals up to this much above the calm windows' are back to normal.
const BACK: f64 = 1.1;
/// Windows before the first failures in which arrivals may have surged.
const SURGE: u32 = 6;
/// Goodput stays down for so many windows after its cause is over, and then it holds itself down.
const WINDOWS_DOWN: u32 = 3;

/// What is usual, from the windows in which nothing stormed.
#[derive(Debug)]
pub struct Calm {
    /// Attempts in a window, of the edges that storm.
    attempts: BTreeMap<usize, f64>,
    offered: Option<f64>,
    attainment: Option<f64>,
}

impl Calm {
    pub fn outside(observed: &Observed<'_>, episodes: &[Episode]) -> Self {
        let mut is_calm = vec![true; observed.windows as usize];
        for episode in episodes {
            // A window on either side is neither calm nor storm.
            let from = episode.start.saturating_sub(1) as usize;
            let until = ((episode.end + 1) as usize).min(is_calm.len());
            is_calm[from.min(until)..until].fill(false);
        }
        // Before the first request and after the last one nothing is known.
        let any = |r: &Requests| r.offered > 0;
        let first = observed.requests.iter().position(any).unwrap_or(0);
        let until = observed.requests.iter().rposition(any).map_or(0, |last| last + 1);
        let seen = observed.requests.iter().zip(&is_calm).take(until).skip(first);
        let calm: Vec<Requests> = seen.filter(|(_, calm)| **calm).map(|(r, _)| *r).collect();
        let offered = median(calm.iter().map(|r| r.offered).collect());
        let (all, good) = calm.iter().fold((0, 0), |(all, good), r| (all + r.offered, good + r.good));
        let mut storming: Vec<usize> = episodes.iter().map(|e| e.edge).collect();
        storming.dedup();
        let attempts = |edge| Some((edge, usual_attempts(&observed.edges[edge], &is_calm)?));
        let attempts = storming.into_iter().filter_map(attempts).collect();
        Self { attempts, offered, attainment: (all > 0).then(|| good as f64 / all as f64) }
    }

    /// Requests that would have been good, had the calm windows' share of them been.
    pub fn goodput_lost(&self, observed: &Observed<'_>, start: u32, end: u32) -> Option<f64> {
        let usual = self.attainment?;
        let within = observed.requests.get(start as usize..(end as usize).min(observed.requests.len()))?;
        Some(within.iter().map(|r| (usual * r.offered as f64 - r.good as f64).max(0.0)).sum())
    }
}

fn median(mut values: Vec<u64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable();
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some((low + high) as f64 / 2.0)
}

/// The median of its calm windows, from the first in which it was called to the last.
fn usual_attempts(series: &EdgeSeries<'_>, is_calm: &[bool]) -> Option<f64> {
    let [(first, _), .., (last, _)] = series.windows.as_slice() else { return None };
    let windows = (*first..=*last).filter(|w| is_calm.get(*w as usize) == Some(&true));
    median(windows.map(|w| series.at(w).attempts).collect())
}

/// Attempts beyond the median of each edge's calm windows.
pub fn above_baseline(observed: &Observed<'_>, members: &[Episode], calm: &Calm) -> Option<u64> {
    let mut above = 0.0;
    for episode in members {
        let series = &observed.edges[episode.edge];
        let usual = calm.attempts.get(&episode.edge)?;
        let within = series.between(episode.start, episode.end);
        above += within.iter().map(|(_, c)| (c.attempts as f64 - usual).max(0.0)).sum::<f64>();
    }
    Some(above.round() as u64)
}

/// Goodput stays down for three windows after root arrivals are back to what is usual and what set it off is over:
/// an outage that lasts keeps goodput down by itself.
pub fn metastable(
    observed: &Observed<'_>,
    trigger: Option<&Trigger>,
    (start, end): (u32, u32),
    calm: &Calm,
) -> Option<bool> {
    let (offered, attainment) = (calm.offered?, calm.attainment?);
    let begin = trigger.map_or(start, |t| t.window);
    // Overload that no surge of arrivals brought is a loss of capacity: whether it is over, arrivals do not say.
    // Arrivals scatter by the root of their number: three times that is no chance.
    let back = BACK * offered + 3.0 * offered.sqrt();
    let around = observed.requests.get(begin.saturating_sub(SURGE) as usize..end as usize)?;
    let surged = around.iter().filter(|r| r.offered as f64 > back).count() > 1;
    if trigger.is_none_or(|t| t.kind == Kind::Overload) && !surged {
        return None;
    }
    let mut run = 0;
    let mut was_over = false;
    // Goodput may recover a little later than retries do.
    for window in begin..(end + WINDOWS_DOWN).min(observed.windows) {
        let requests = observed.requests.get(window as usize)?;
        let is_back = requests.offered as f64 <= back;
        let is_over = window > begin && is_back && !trigger.is_some_and(|t| still_fails(observed, t, window));
        was_over |= is_over;
        let is_down =
            requests.offered > 0 && (requests.good as f64) < DOWN * attainment * requests.offered as f64;
        run = if is_over && is_down { run + 1 } else { 0 };
        if run == WINDOWS_DOWN {
            return Some(true);
        }
    }
    // The range ends while it might still show.
    let is_cut = end + WINDOWS_DOWN > observed.windows && (run > 0 || !was_over);
    (!is_cut).then_some(false)
}

/// Whether the trigger still fails in the way in which it began. Overload is the fleet's own doing: it ends with the arrivals.
fn still_fails(observed: &Observed<'_>, trigger: &Trigger, window: u32) -> bool {
    let counts = observed.edges[trigger.edge].at(window);
    let by_itself = match trigger.kind {
        Kind::Overload => return false,
        Kind::Correctness => counts.failed_correctness,
        Kind::Dependency => {
            counts.failed
                - (counts.failed_overload + counts.failed_deadline + counts.failed_correctness)
                    .min(counts.failed)
        }
    };
    by_itself * 2 > counts.failed && by_itself * 10 > counts.attempts
}
