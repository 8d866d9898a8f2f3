//! Safe load against stations of which the simulator knows what they carry: workers ÷ mean service time. A rate is found within 5 %,
//! and is found only where there was too much load.

use plimsoll_analysis::fleet::load::{SafeLoad, Sustainable, Window, safe_load, saturates_first};
use plimsoll_schemas::DurationNs;
use proptest::prelude::*;

use super::{Chance, SECOND};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=32;
/// Where half as many tell enough.
const FEWER_SEEDS: std::ops::RangeInclusive<u64> = 1..=16;

/// How long work takes; 0.2 s on average.
#[derive(Debug, Clone, Copy)]
enum Service {
    Constant,
    Exponential,
    /// Mostly short, sometimes long: a squared coefficient of variation of 4.
    Hyperexponential,
}

const SERVICES: [Service; 3] = [Service::Constant, Service::Exponential, Service::Hyperexponential];

impl Service {
    fn length(self, chance: &mut Chance) -> i64 {
        const OFTEN: f64 = 0.8873;
        match self {
            Self::Constant => SECOND / 5,
            Self::Exponential => chance.exponential(5.0),
            Self::Hyperexponential if chance.share() < OFTEN => chance.exponential(10.0 * OFTEN),
            Self::Hyperexponential => chance.exponential(10.0 * (1.0 - OFTEN)),
        }
    }
}

/// A station that is seen for a while. Ten workers carry 50 a second.
#[derive(Clone, Copy)]
struct Scene<'a> {
    seed: u64,
    service: Service,
    workers: usize,
    /// How many may wait; the others are turned away.
    room: usize,
    /// So many come at once.
    batch: usize,
    /// Arrivals per second, by the part of the time that is over.
    rate: &'a dyn Fn(f64) -> f64,
    windows: usize,
    width_s: f64,
    /// A run is good that ends in this time.
    objective_s: Option<f64>,
}

fn scene(seed: u64, rate: &dyn Fn(f64) -> f64) -> Scene<'_> {
    Scene {
        seed,
        service: Service::Exponential,
        workers: 10,
        room: usize::MAX,
        batch: 1,
        rate,
        windows: 160,
        width_s: 20.0,
        objective_s: None,
    }
}

struct Visit {
    arrived: i64,
    begun: i64,
    ended: i64,
    refused: bool,
}

impl Scene<'_> {
    fn visits(&self) -> Vec<Visit> {
        let mut chance = Chance::new(self.seed);
        let mut free_at = vec![0_i64; self.workers];
        let mut begins: std::collections::VecDeque<i64> = std::collections::VecDeque::new();
        let end = (self.windows as f64 * self.width_s * SECOND as f64) as i64;
        let most = (0..=100).map(|at| (self.rate)(f64::from(at) / 100.0)).fold(0.0, f64::max);
        let (mut now, mut visits) = (0, Vec::new());
        loop {
            if !visits.len().is_multiple_of(self.batch) {
                now += 1;
            } else {
                now += chance.exponential(most / self.batch as f64);
            }
            if now >= end {
                return visits;
            }
            if visits.len().is_multiple_of(self.batch)
                && chance.share() > (self.rate)(now as f64 / end as f64) / most
            {
                continue;
            }
            while begins.front().is_some_and(|begun| *begun <= now) {
                begins.pop_front();
            }
            if begins.len() >= self.room {
                visits.push(Visit { arrived: now, begun: now, ended: now + SECOND / 1_000, refused: true });
                continue;
            }
            let free = free_at.iter_mut().min().expect("a worker");
            let begun = now.max(*free);
            *free = begun + self.service.length(&mut chance);
            visits.push(Visit { arrived: now, begun, ended: *free, refused: false });
            if begun > now {
                begins.push_back(begun);
            }
        }
    }

    fn windows(&self) -> Vec<Window> {
        windows(&self.visits(), self)
    }

    fn safe_load(&self) -> SafeLoad {
        judge(&self.windows(), self.width_s)
    }

    fn safe_load_known_and_unknown(&self) -> [(&'static str, SafeLoad); 2] {
        known_and_unknown(self.windows(), self.width_s)
    }
}

fn judge(windows: &[Window], width_s: f64) -> SafeLoad {
    safe_load(windows, DurationNs((width_s * SECOND as f64) as i64), 0.95)
}

/// Where the spans tell their queue time, and where they do not.
fn known_and_unknown(known: Vec<Window>, width_s: f64) -> [(&'static str, SafeLoad); 2] {
    let unknown: Vec<Window> =
        known.iter().map(|w| Window { queue_age_ns: None, queue_share: None, ..*w }).collect();
    [("known", known), ("unknown", unknown)].map(|(queue, windows)| (queue, judge(&windows, width_s)))
}

fn windows(visits: &[Visit], scene: &Scene<'_>) -> Vec<Window> {
    let width = (scene.width_s * SECOND as f64) as i64;
    let mut began: Vec<Vec<&Visit>> = vec![Vec::new(); scene.windows];
    let mut windows = vec![Window::default(); scene.windows];
    for visit in visits {
        began[(visit.arrived / width) as usize].push(visit);
        if let Some(window) = windows.get_mut((visit.ended / width) as usize) {
            window.completions_per_s += 1.0 / scene.width_s;
            window.refused_per_s += f64::from(u8::from(visit.refused)) / scene.width_s;
        }
    }
    for (window, began) in windows.iter_mut().zip(began).filter(|(_, began)| !began.is_empty()) {
        let n = began.len() as f64;
        let sum = |of: fn(&Visit) -> i64| began.iter().map(|v| of(v) as f64).sum::<f64>();
        let (waited, lasted) = (sum(|v| v.begun - v.arrived), sum(|v| v.ended - v.arrived));
        let mut times: Vec<i64> = began.iter().map(|v| v.ended - v.arrived).collect();
        times.sort_unstable();
        window.arrivals_per_s = n / scene.width_s;
        window.concurrency = lasted / width as f64;
        window.queue_age_ns = Some(waited / n);
        window.queue_share = Some(waited / lasted);
        window.duration_p50_ns = Some(times[times.len() / 2] as f64);
        window.attainment = scene.objective_s.map(|limit| {
            let is_good = |v: &&&Visit| !v.refused && ((v.ended - v.arrived) as f64) < limit * SECOND as f64;
            began.iter().filter(is_good).count() as f64 / n
        });
    }
    windows
}

/// Rises from 5 a second to `most` and falls back.
fn ramp(most: f64) -> impl Fn(f64) -> f64 {
    move |at| 5.0 + (most - 5.0) * if at < 0.8 { at / 0.8 } else { (1.0 - at) / 0.2 }
}

#[track_caller]
fn assert_found(found: &SafeLoad, truth: f64, within: f64, what: &str) {
    let Sustainable::UpTo(rate) = found.sustainable else { panic!("{what}: {found:?}") };
    assert!((rate / truth - 1.0).abs() < within, "{what}: {rate} against {truth}");
}

#[track_caller]
fn assert_not_observed(found: &SafeLoad, rates: std::ops::Range<f64>, what: &str) {
    let Sustainable::NotObservedUpTo(rate) = found.sustainable else { panic!("{what}: {found:?}") };
    assert!(rates.contains(&rate), "{what}: {rate}");
}

#[test]
fn the_sustainable_throughput_is_the_simulated_one() {
    let rate = ramp(75.0);
    for seed in SEEDS {
        for service in SERVICES {
            for room in [usize::MAX, 40] {
                let scene = Scene { service, room, ..scene(seed, &rate) };
                for (queue, found) in scene.safe_load_known_and_unknown() {
                    assert_found(
                        &found,
                        50.0,
                        0.05,
                        &format!("seed {seed} {service:?}, room {room}, queue {queue}"),
                    );
                }
            }
        }
    }
}

/// In the long run, at more than these rates fewer than 95 % end in time. A ramp is at each rate but shortly.
#[test]
fn an_objective_ends_safety_before_the_queue_does() {
    let rate = ramp(75.0);
    let cases = [
        (Service::Constant, vec![(3.0, 49.5, 0.05), (1.0, 48.2, 0.05)]),
        (Service::Exponential, vec![(3.0, 49.1, 0.05), (1.0, 46.0, 0.1)]),
        (Service::Hyperexponential, vec![(3.0, 47.4, 0.1)]),
    ];
    for seed in FEWER_SEEDS {
        for (service, limits) in &cases {
            let scene = Scene { service: *service, ..scene(seed, &rate) };
            let visits = scene.visits();
            let within = |limit_s: f64| {
                judge(&windows(&visits, &Scene { objective_s: Some(limit_s), ..scene }), scene.width_s)
            };
            for (limit_s, truth, tolerance) in limits {
                let what = format!("seed {seed} {service:?} in {limit_s} s");
                assert_found(&within(*limit_s), *truth, *tolerance, &what);
            }
            // By themselves, all or many of the services take longer than this.
            let found = within(0.19);
            assert!(matches!(found.sustainable, Sustainable::NotEven(least) if least < 10.0), "{found:?}");
        }
    }
}

#[test]
fn the_sustainable_throughput_is_found_in_steps_and_waves() {
    let wave = |at: f64| 30.0 + 30.0 * (at * std::f64::consts::TAU * 3.0).sin();
    let step = |at: f64| if (0.3..0.6).contains(&at) { 75.0 } else { 25.0 };
    let always = |_: f64| 75.0;
    for seed in FEWER_SEEDS {
        for (name, rate) in [("wave", &wave as &dyn Fn(f64) -> f64), ("step", &step), ("always", &always)] {
            let scene = Scene { windows: 120, ..scene(seed, rate) };
            for (queue, found) in scene.safe_load_known_and_unknown() {
                assert_found(&found, 50.0, 0.05, &format!("seed {seed} {name}, queue {queue}"));
            }
        }
    }
}

#[test]
fn few_and_many_workers() {
    for seed in FEWER_SEEDS {
        // In the last, work takes four windows: what is done in one says little.
        let cases =
            [(1, 10.0, 240, 0.05), (2, 60.0, 240, 0.05), (12, 5.0, 240, 0.05), (2, 0.05, 10_000, 0.1)];
        for (workers, width_s, windows, within) in cases {
            let capacity = workers as f64 * 5.0;
            let rate = |at: f64| capacity * ramp(75.0)(at) / 50.0;
            let found = Scene { workers, width_s, windows, ..scene(seed, &rate) }.safe_load();
            assert_found(&found, capacity, within, &format!("seed {seed} workers {workers} width {width_s}"));
        }
    }
}

/// At 95 % and with services that scatter, chance alone fills the queue of one worker for hours: not said to be calm here.
#[test]
fn calm_load_is_no_overload() {
    let loads = [(1, 10.0, 0.5), (1, 60.0, 0.8), (1, 10.0, 0.8), (10, 20.0, 0.8), (10, 20.0, 0.9)];
    for seed in FEWER_SEEDS {
        for service in SERVICES {
            for (workers, width_s, load) in loads {
                let capacity = workers as f64 * 5.0;
                let rate = |_: f64| load * capacity;
                let scene = Scene { service, workers, width_s, ..scene(seed, &rate) };
                for (queue, found) in scene.safe_load_known_and_unknown() {
                    let what = format!("seed {seed} {service:?} {workers} workers at {load}, queue {queue}");
                    assert_not_observed(&found, 0.95 * load * capacity..1.3 * capacity, &what);
                }
            }
        }
    }
}

/// An agent asks twenty tools at once.
#[test]
fn batches_are_no_overload_and_hide_none() {
    for seed in 1..=8 {
        let (calm, rising) = (|_: f64| 35.0, ramp(75.0));
        for (queue, found) in (Scene { batch: 20, ..scene(seed, &calm) }).safe_load_known_and_unknown() {
            assert_not_observed(&found, 33.0..45.0, &format!("seed {seed}, queue {queue}"));
        }
        for (queue, found) in (Scene { batch: 20, ..scene(seed, &rising) }).safe_load_known_and_unknown() {
            assert_found(&found, 50.0, 0.05, &format!("seed {seed}, queue {queue}"));
        }
    }
}

#[test]
fn what_never_came_near_saturation_is_not_observed() {
    for seed in SEEDS {
        let rate = ramp(20.0);
        let found = Scene { objective_s: Some(3.0), ..scene(seed, &rate) }.safe_load();
        assert_not_observed(&found, 15.0..21.0, &format!("seed {seed}"));
        assert_eq!((found.recovery, found.overloaded), (None, 0));
    }
    assert_eq!(judge(&[], 20.0).sustainable, Sustainable::Unknown);
}

/// Work that takes a minute whatever the load is fills no queue, though ever more of it is at work, and at first none ends.
#[test]
fn long_work_is_no_queue() {
    for seed in 1..=4 {
        let rate = |at: f64| 20.0 + 60.0 * at;
        let scene = Scene { width_s: 10.0, ..scene(seed, &rate) };
        let (mut visits, mut chance) = (scene.visits(), Chance::new(seed + 100));
        for visit in &mut visits {
            visit.begun = visit.arrived;
            visit.ended = visit.arrived + 30 * SECOND + chance.exponential(1.0 / 30.0);
        }
        for (queue, found) in known_and_unknown(windows(&visits, &scene), scene.width_s) {
            assert_not_observed(&found, 60.0..85.0, &format!("seed {seed}, queue {queue}"));
            assert_eq!(found.overloaded, 0);
        }
    }
}

/// A consumer that looks for work every ten seconds lets it wait, whatever the load.
#[test]
fn a_wait_that_load_does_not_change_is_no_overload() {
    for seed in 1..=4 {
        let rate = ramp(90.0);
        let scene = scene(seed, &rate);
        let mut visits = scene.visits();
        for visit in &mut visits {
            visit.begun = (visit.arrived / (10 * SECOND) + 1) * 10 * SECOND;
            visit.ended = visit.begun + SECOND / 5;
        }
        let found = judge(&windows(&visits, &scene), scene.width_s);
        assert_not_observed(&found, 80.0..95.0, &format!("seed {seed}"));
    }
}

/// Nine of ten workers are gone for a while: that is no limit of load.
#[test]
fn an_outage_is_no_limit() {
    for seed in 1..=8 {
        let rate = |_: f64| 30.0;
        let scene = scene(seed, &rate);
        let mut visits = scene.visits();
        let (from, until) = (1_000 * SECOND, 1_300 * SECOND);
        let mut free = from;
        for visit in visits.iter_mut().filter(|v| v.arrived >= from) {
            let length = visit.ended - visit.begun;
            visit.begun = visit.arrived.max(free);
            visit.ended = visit.begun + length;
            free = visit.begun + if visit.begun < until { length } else { length / 10 };
        }
        let found = judge(&windows(&visits, &scene), scene.width_s);
        assert_not_observed(&found, 28.0..34.0, &format!("seed {seed}"));
        assert!(found.overloaded > 20 && found.recovery.is_some(), "{found:?}");
    }
}

#[test]
fn unknown_is_never_fine() {
    let rate = ramp(75.0);
    let unknown = |w: &Window| Window { queue_age_ns: None, queue_share: None, duration_p50_ns: None, ..*w };
    let windows: Vec<Window> = scene(1, &rate).windows().iter().map(unknown).collect();
    let found = judge(&windows, 20.0);
    assert_eq!((found.sustainable, found.floor), (Sustainable::Unknown, None));
}

#[test]
fn the_floor_is_the_time_of_a_run_that_does_not_wait() {
    // The median of an exponential service of 0.2 s.
    let truth = 0.2 * SECOND as f64 * 2_f64.ln();
    for seed in FEWER_SEEDS {
        let rate = ramp(75.0);
        for (queue, found) in scene(seed, &rate).safe_load_known_and_unknown() {
            let (floor, _) = found.floor.unwrap_or_else(|| panic!("seed {seed}: it was idle, queue {queue}"));
            assert!((floor / truth - 1.0).abs() < 0.1, "seed {seed}: {floor}, queue {queue}");
        }
        for (queue, found) in scene(seed, &|_| 49.0).safe_load_known_and_unknown() {
            assert_eq!(found.floor, None, "seed {seed}: it was never idle, queue {queue}");
        }
    }
}

#[test]
fn the_queue_empties_by_what_is_done_beyond_what_comes() {
    for seed in FEWER_SEEDS {
        let step = |at: f64| if (0.3..0.5).contains(&at) { 75.0 } else { 25.0 };
        let (rate, windows) = scene(seed, &step).safe_load().recovery.expect("the queue emptied");
        assert!((rate / 25.0 - 1.0).abs() < 0.1 && windows > 10, "seed {seed}: {rate} over {windows}");
    }
}

#[test]
fn the_stage_that_gives_way_first_is_named() {
    let points = |most: f64, seed: u64| -> Vec<(f64, f64)> {
        let rate = ramp(most);
        scene(seed, &rate)
            .windows()
            .iter()
            .map(|w| (w.arrivals_per_s, w.queue_share.unwrap_or(0.0)))
            .collect()
    };
    let (calm, hot) = (points(30.0, 1), points(75.0, 2));
    let first = saturates_first(&[calm.clone(), hot]).expect("one gives way");
    assert_eq!(first.stage, 1);
    assert!((35.0..55.0).contains(&first.requests_per_s), "{first:?}");
    assert_eq!(saturates_first(&[calm]), None);
}

/// `docs/concepts/safe-load.md`: one worker, 100 ms of work, evenly spaced requests.
#[test]
fn the_load_of_one_worker() {
    for (most, expected) in [(14.0, Some(10.0)), (5.0, None)] {
        let (mut at, mut free, mut visits) = (0.0, 0, Vec::new());
        while at < 300.0 {
            let arrived = (at * SECOND as f64) as i64;
            let begun = arrived.max(free);
            free = begun + SECOND / 10;
            visits.push(Visit { arrived, begun, ended: free, refused: false });
            at += 1.0 / (2.0 + (most - 2.0) * at / 300.0);
        }
        let rate = |_: f64| most;
        let scene = Scene { windows: 30, width_s: 10.0, ..scene(1, &rate) };
        for (queue, found) in known_and_unknown(windows(&visits, &scene), scene.width_s) {
            match expected {
                Some(rate) => assert_found(&found, rate, 0.01, queue),
                None => assert_not_observed(&found, 4.5..5.0, queue),
            }
            assert_eq!(found.floor.map(|f| f.0), Some(1e8), "{queue}");
        }
    }
}

fn any_window() -> impl Strategy<Value = Window> {
    let number = || prop_oneof![Just(0.0), 0.0..100.0, Just(1e12)];
    let maybe = |number| prop::option::weighted(0.8, number);
    let rates = (number(), number(), number(), number());
    let rest = (maybe(0.0..1e12), maybe(0.0..1.0), maybe(0.0..1e12), maybe(0.0..1.0));
    (rates, rest).prop_map(|(rates, rest)| Window {
        arrivals_per_s: rates.0,
        completions_per_s: rates.1,
        refused_per_s: rates.2,
        concurrency: rates.3,
        queue_age_ns: rest.0,
        queue_share: rest.1,
        duration_p50_ns: rest.2,
        attainment: rest.3,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_measured_gives_finite_figures(windows in prop::collection::vec(any_window(), 0..60), width_s in 0.0..100.0) {
        let found = judge(&windows, width_s);
        let rate = match found.sustainable {
            Sustainable::UpTo(rate) | Sustainable::NotObservedUpTo(rate) | Sustainable::NotEven(rate) => rate,
            Sustainable::Unknown => 0.0,
        };
        prop_assert!(rate.is_finite() && rate >= 0.0, "{:?}", found);
        prop_assert!(found.floor.is_none_or(|(floor, n)| floor.is_finite() && n > 0), "{:?}", found);
        prop_assert!(found.recovery.is_none_or(|(rate, n)| rate.is_finite() && rate > 0.0 && n > 0), "{:?}", found);
        prop_assert!(found.overloaded <= windows.len());
    }
}
