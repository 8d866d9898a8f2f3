//! Retry storms: where retries are no longer the exception, what set them off, what they cost, and whether they feed themselves.
//!
//! An edge storms from the first window in which its retry share r = retries ÷ attempts reaches a third (or the retry budget,
//! if that is more) over at least [`ATTEMPTS_MIN`] attempts, until the first in which r is under a sixth: what makes it
//! begin is not what makes it end, so that it does not flap. Edges of the same requests that storm together are one storm.
//!
//! ```
//! use plimsoll_analysis::fleet::storms::{Counts, EdgeSeries, Observed, Requests, find};
//! use plimsoll_analysis::Edge;
//!
//! let edge = Edge { caller: "agent", callee: "crm", operation: "lookup" };
//! let calm = Counts { logical_calls: 50, attempts: 50, ..Counts::default() };
//! let storm = Counts { logical_calls: 50, attempts: 150, retries: 100, failed: 120, ..Counts::default() };
//! let windows = (0..20).map(|w| (w, if (8..12).contains(&w) { storm } else { calm })).collect();
//! let edges = [EdgeSeries { edge, depth: 1, windows }];
//! let requests = vec![Requests { offered: 50, good: 50 }; 20];
//! let storms = find(&Observed { windows: 20, edges: &edges, connected: &[], requests: &requests }, 0.1);
//! assert_eq!((storms[0].start, storms[0].end, storms[0].edges[0].peak_amplification), (8, 12, 3.0));
//! ```
//!
//! Sources: the retry budget of a tenth is Google's (*Site Reliability Engineering*, ch. 22); metastable failures: Bronson et
//! al., HotOS 2021, and Huang et al., OSDI 2022.

mod connections;
mod cost;
mod episodes;
mod trigger;

use std::collections::BTreeMap;

use crate::model::Edge;
use connections::Connections;
use plimsoll_schemas::DurationNs;

pub use trigger::{Kind, Trigger};

/// Attempts in a window below which a share says nothing.
pub const ATTEMPTS_MIN: u64 = 20;
/// The retry share at which a storm begins, unless the budget is higher, and under which it ends.
pub const ENTER: f64 = 1.0 / 3.0;
pub const LEAVE: f64 = 1.0 / 6.0;
/// The share of retries that is no cause for concern.
pub const BUDGET: f64 = 0.1;

/// What happened on one edge in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    pub logical_calls: u64,
    pub attempts: u64,
    pub retries: u64,
    pub failed: u64,
    /// Of the failed ones, by how; the rest are dependency, cancelled and internal.
    pub failed_overload: u64,
    pub failed_deadline: u64,
    pub failed_correctness: u64,
    pub wasted: DurationNs,
    /// Attempts whose queue time at the far side is known, and that time.
    pub queue_known: u64,
    pub queue: DurationNs,
}

impl Counts {
    /// r: retries started ÷ attempts started.
    pub fn retry_share(&self) -> f64 {
        if self.attempts == 0 { 0.0 } else { self.retries as f64 / self.attempts as f64 }
    }

    /// A: attempts ÷ logical calls. Unknown where only later attempts of earlier calls started.
    pub fn amplification(&self) -> Option<f64> {
        (self.logical_calls > 0).then(|| self.attempts as f64 / self.logical_calls as f64)
    }

    fn add(&mut self, other: &Self) {
        self.logical_calls += other.logical_calls;
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.failed += other.failed;
        self.failed_overload += other.failed_overload;
        self.failed_deadline += other.failed_deadline;
        self.failed_correctness += other.failed_correctness;
        self.wasted += other.wasted;
        self.queue_known += other.queue_known;
        self.queue += other.queue;
    }
}

/// One edge over time. Windows are numbered from the start of the range; those without calls may be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeSeries<'a> {
    pub edge: Edge<'a>,
    /// How deep in the request it lies.
    pub depth: u32,
    /// In ascending order.
    pub windows: Vec<(u32, Counts)>,
}

impl EdgeSeries<'_> {
    /// The counts of one window; none is zero.
    pub fn at(&self, window: u32) -> Counts {
        match self.windows.binary_search_by_key(&window, |(w, _)| *w) {
            Ok(at) => self.windows[at].1,
            Err(_) => Counts::default(),
        }
    }

    fn sum(&self, from: u32, until: u32) -> Counts {
        let mut sum = Counts::default();
        for (_, counts) in self.between(from, until) {
            sum.add(counts);
        }
        sum
    }

    fn between(&self, from: u32, until: u32) -> &[(u32, Counts)] {
        let begin = self.windows.partition_point(|(w, _)| *w < from);
        let end = self.windows.partition_point(|(w, _)| *w < until);
        &self.windows[begin..end.max(begin)]
    }
}

/// Requests that arrived in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    pub offered: u64,
    pub good: u64,
}

/// What is known of a fleet over a range of windows.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// How many windows the range has.
    pub windows: u32,
    pub edges: &'a [EdgeSeries<'a>],
    /// Pairs of edges that occur in the same requests, as indices into `edges`.
    pub connected: &'a [(usize, usize)],
    /// By window; empty where nothing is known of requests.
    pub requests: &'a [Requests],
}

/// One storm.
#[derive(Debug, Clone, PartialEq)]
pub struct Storm {
    /// The first window, and the one after the last.
    pub start: u32,
    pub end: u32,
    /// It goes on at the end of the range.
    pub open: bool,
    /// The edges that storm, the deepest last.
    pub edges: Vec<StormEdge>,
    /// The product of the edges' mean amplification along the path that has the greatest.
    pub layered_amplification: f64,
    /// Attempts beyond what the edges had in calm windows; unknown without any.
    pub attempts_above_baseline: Option<u64>,
    pub wasted: DurationNs,
    /// Requests that would have been good at the calm windows' share; unknown without any.
    pub goodput_lost: Option<f64>,
    pub trigger: Option<Trigger>,
    /// Whether it went on when what set it off was over. Unknown while the range ends before that could show.
    pub metastable: Option<bool>,
}

/// An edge's part in a storm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StormEdge {
    /// Index into [`Observed::edges`].
    pub edge: usize,
    pub start: u32,
    pub end: u32,
    pub peak_amplification: f64,
    pub peak_retry_share: f64,
    pub attempts: u64,
    pub retries: u64,
}

/// All storms, by start. `budget` is the share of retries that is granted.
pub fn find(observed: &Observed<'_>, budget: f64) -> Vec<Storm> {
    let episodes = episodes::find(observed, budget);
    let calm = cost::Calm::outside(observed, &episodes);
    let connections = Connections::of(observed.edges.len(), observed.connected);
    let mut storms: Vec<Storm> = episodes::together(&connections, &episodes)
        .into_iter()
        .map(|members| storm(observed, &connections, &members, &calm))
        .collect();
    storms.sort_by_key(|s| (s.start, s.end, s.edges.first().map(|e| e.edge)));
    storms
}

fn storm(
    observed: &Observed<'_>,
    connections: &Connections,
    members: &[episodes::Episode],
    calm: &cost::Calm,
) -> Storm {
    let start = members.iter().map(|e| e.start).min().unwrap_or(0);
    let end = members.iter().map(|e| e.end).max().unwrap_or(0);
    let mut edges: Vec<StormEdge> = Vec::new();
    for episode in members {
        let part = part(observed, episode);
        // An edge's episodes follow one another.
        match edges.last_mut().filter(|e| e.edge == part.edge) {
            // It paused and went on.
            Some(known) => {
                known.start = known.start.min(part.start);
                known.end = known.end.max(part.end);
                known.peak_amplification = known.peak_amplification.max(part.peak_amplification);
                known.peak_retry_share = known.peak_retry_share.max(part.peak_retry_share);
                known.attempts += part.attempts;
                known.retries += part.retries;
            }
            None => edges.push(part),
        }
    }
    edges.sort_by_key(|e| (observed.edges[e.edge].depth, e.edge));
    let trigger = trigger::find(observed, connections, &edges, (start, end));
    Storm {
        start,
        end,
        open: members.iter().any(|e| e.open),
        layered_amplification: layered(observed, connections, &edges),
        attempts_above_baseline: cost::above_baseline(observed, members, calm),
        wasted: members.iter().map(|e| observed.edges[e.edge].sum(e.start, e.end).wasted).sum(),
        goodput_lost: calm.goodput_lost(observed, start, end),
        metastable: cost::metastable(observed, trigger.as_ref(), (start, end), calm),
        trigger,
        edges,
    }
}

fn part(observed: &Observed<'_>, episode: &episodes::Episode) -> StormEdge {
    let series = &observed.edges[episode.edge];
    let within = series.between(episode.start, episode.end);
    let peak = |of: &dyn Fn(&Counts) -> f64| within.iter().map(|(_, c)| of(c)).fold(0.0, f64::max);
    let sum = series.sum(episode.start, episode.end);
    StormEdge {
        edge: episode.edge,
        start: episode.start,
        end: episode.end,
        peak_amplification: peak(&|c| c.amplification().unwrap_or(0.0)),
        peak_retry_share: peak(&Counts::retry_share),
        attempts: sum.attempts,
        retries: sum.retries,
    }
}

/// Amplification multiplies through layers: the greatest product along edges that lie below one another.
fn layered(observed: &Observed<'_>, connections: &Connections, edges: &[StormEdge]) -> f64 {
    let depth = |edge: usize| observed.edges[edge].depth;
    let mut product: BTreeMap<usize, f64> = BTreeMap::new();
    // Deepest first: what lies below is known.
    for part in edges.iter().rev() {
        let mean = observed.edges[part.edge].sum(part.start, part.end).amplification().unwrap_or(1.0);
        let below = connections.near(part.edge).iter().filter(|b| depth(**b) > depth(part.edge));
        let greatest = below.filter_map(|b| product.get(b)).copied().fold(1.0, f64::max);
        product.insert(part.edge, mean * greatest);
    }
    product.into_values().fold(1.0, f64::max)
}
