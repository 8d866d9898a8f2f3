//! How much load a stage carries safely: its latency when idle, the throughput that it keeps up, how quickly it recovers, and which
//! stage gives way first. Only what was seen: where the data never went near saturation, the answer is "not observed up to λ".
//!
//! Concurrency is Little's: N = λ·W, arrivals per second times mean time in the stage (Little, *Operations Research* 9, 1961).

/// Windows over which a trend is looked for, and rates are averaged: single windows scatter.
pub const TREND: usize = 5;
/// Windows near a rate that must have been seen before it is said to be kept up.
const WINDOWS_MIN: usize = 3;
/// Windows above this part of a rate speak for it.
const NEAR: f64 = 0.9;
/// Windows that speak for a rate may be bad by chance, one in ten.
const GOOD_SHARE: f64 = 0.9;
/// A stage of which less waits than this is idle enough to tell its floor.
const IDLE_QUEUE_SHARE: f64 = 0.01;
/// A queue that holds less than this part of a run's time is none, whatever its trend.
const QUEUE_SHARE_MIN: f64 = 0.05;
/// A stage begins to saturate where its queue share is this much above what it was when idle.
const RISE: f64 = 0.1;

/// One stage of one slice in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Window {
    /// Runs that began, per second.
    pub arrivals_per_s: f64,
    /// Runs that ended, per second.
    pub completions_per_s: f64,
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
    /// Windows in which the queue grew or the objective was missed.
    pub overloaded: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sustainable {
    /// The highest rate that was kept up, of which higher ones were not; runs per second.
    UpTo(f64),
    /// Everything that was seen was kept up.
    NotObservedUpTo(f64),
    /// Nothing that was seen was kept up, the least of which was this.
    NotEven(f64),
    /// Nothing was seen.
    Unknown,
}

/// From the windows of a stage in the order of time; `target` is the attainment that its objective asks for.
pub fn safe_load(windows: &[Window], target: f64) -> SafeLoad {
    let states: Vec<State> = (0..windows.len()).map(|at| State::of(windows, at, target)).collect();
    SafeLoad {
        floor: floor(windows),
        sustainable: sustainable(&states),
        recovery: recovery(windows, &states),
        overloaded: states.iter().filter(|s| !s.is_kept_up).count(),
    }
}

/// A window in the light of those before it.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Mean arrivals over the trend.
    rate: f64,
    is_kept_up: bool,
    grows: bool,
    falls: bool,
    /// It misses its objective while more ends than begins: it pays for earlier load, and says nothing of its own.
    recovers: bool,
}

impl State {
    fn of(windows: &[Window], at: usize, target: f64) -> Self {
        let trend = &windows[(at + 1).saturating_sub(TREND)..=at];
        let ages: Vec<f64> = trend.iter().filter_map(|w| w.queue_age_ns).collect();
        let matters = windows[at].queue_share.is_some_and(|share| share >= QUEUE_SHARE_MIN);
        // All five, each above the one before: one in 120 by chance.
        let is_trend =
            |rises: fn(f64, f64) -> bool| ages.len() == TREND && ages.windows(2).all(|p| rises(p[0], p[1]));
        let grows = matters && is_trend(|a, b| b > a);
        let misses = windows[at].attainment.is_some_and(|a| a < target);
        let sum = |of: fn(&Window) -> f64| trend.iter().map(of).sum::<f64>();
        let recovers = misses && !grows && sum(|w| w.completions_per_s) > sum(|w| w.arrivals_per_s);
        Self {
            recovers,
            rate: trend.iter().map(|w| w.arrivals_per_s).sum::<f64>() / trend.len() as f64,
            is_kept_up: !grows && !misses,
            grows,
            falls: is_trend(|a, b| b < a),
        }
    }
}

/// The median of the windows' own medians, of those with the least concurrency in which nothing waits.
fn floor(windows: &[Window]) -> Option<(f64, usize)> {
    let mut busy: Vec<f64> = windows.iter().filter(|w| w.concurrency > 0.0).map(|w| w.concurrency).collect();
    busy.sort_by(f64::total_cmp);
    let decile = *busy.get(busy.len().saturating_sub(1) / 10)?;
    let idle = windows.iter().filter(|w| {
        w.concurrency > 0.0
            && w.concurrency <= decile
            && w.queue_share.is_none_or(|share| share < IDLE_QUEUE_SHARE)
    });
    let mut medians: Vec<f64> = idle.filter_map(|w| w.duration_p50_ns).collect();
    medians.sort_by(f64::total_cmp);
    Some((*medians.get(medians.len().saturating_sub(1) / 2)?, medians.len()))
}

/// The highest rate of which the windows at it, down to nine tenths of it, were kept up.
fn sustainable(states: &[State]) -> Sustainable {
    let mut by_rate: Vec<State> = states.iter().copied().filter(|s| s.rate > 0.0 && !s.recovers).collect();
    by_rate.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let (Some(least), Some(most)) = (by_rate.first(), by_rate.last()) else { return Sustainable::Unknown };
    if by_rate.iter().all(|s| s.is_kept_up) {
        return Sustainable::NotObservedUpTo(most.rate);
    }
    // From the highest rate down, with the windows down to nine tenths of it: both ends only move down.
    let (mut begin, mut upto) = (by_rate.len(), by_rate.len());
    let (mut within, mut kept) = (0_usize, 0_usize);
    while upto > 0 {
        let rate = by_rate[upto - 1].rate;
        while begin > 0 && by_rate[begin - 1].rate >= NEAR * rate {
            begin -= 1;
            within += 1;
            kept += usize::from(by_rate[begin].is_kept_up);
        }
        let top = by_rate[upto - 1].is_kept_up;
        if top && within >= WINDOWS_MIN && kept as f64 >= GOOD_SHARE * within as f64 {
            return Sustainable::UpTo(rate);
        }
        within -= 1;
        kept -= usize::from(top);
        upto -= 1;
    }
    Sustainable::NotEven(least.rate)
}

/// Completions beyond arrivals while the queue empties, after it grew.
fn recovery(windows: &[Window], states: &[State]) -> Option<(f64, usize)> {
    let first = states.iter().position(|s| s.grows)?;
    let emptying: Vec<f64> = (first..windows.len())
        .filter(|at| states[*at].falls)
        .map(|at| windows[at].completions_per_s - windows[at].arrivals_per_s)
        .filter(|drain| *drain > 0.0)
        .collect();
    let n = emptying.len();
    (n > 0).then(|| (emptying.iter().sum::<f64>() / n as f64, n))
}

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
