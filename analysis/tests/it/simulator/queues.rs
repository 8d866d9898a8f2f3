//! Queues: what spans say of waiting against what the simulator knows, Little's law, and the load that is carried safely.

use plimsoll_analysis::analyse;
use plimsoll_analysis::fleet::load::{Sustainable, Window, safe_load, saturates_first};
use plimsoll_schemas::{Rules, TimeClass};

use super::{Chance, SECOND, Station, served};
use crate::testing::{Build, span};

/// The mean wait of M/M/c, in seconds (Erlang C).
fn erlang_c_wait_s(servers: usize, arrival_rate: f64, service_rate: f64) -> f64 {
    let offered = arrival_rate / service_rate;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..servers {
        term *= offered / n as f64;
        sum += term;
    }
    let last = term * offered / servers as f64 / (1.0 - offered / servers as f64);
    last / (sum + last) / (servers as f64 * service_rate - arrival_rate)
}

/// Arrivals, begins and ends at a station of 3 workers that does 10 a second each, 24 arriving.
fn visits(seed: u64, n: usize) -> Vec<(i64, i64, i64)> {
    let (mut chance, mut station, mut now) = (Chance::new(seed), Station::new(3), 0);
    (0..n)
        .map(|_| {
            now += chance.exponential(24.0);
            let (begun, ended) = station.serve(now, chance.exponential(10.0));
            (now, begun, ended)
        })
        .collect()
}

#[test]
fn queue_time_from_spans_is_the_simulators() {
    let rules = Rules::default();
    let (mut known, mut truth, mut time, mut runs) = (0_i64, 0_i64, 0_i64, 0_i64);
    let visits = visits(1, 20_000);
    for (n, &(arrived, begun, ended)) in (1..).zip(&visits) {
        // By its own account, and by the hand-over to a second stage that says nothing of itself.
        let spans = [
            span(1, arrived - 5, ended + 9).on("agent").stage("agent"),
            served(2, 1, arrived, begun, ended),
            span(3, arrived - 2, arrived).child_of(1).producer().on("agent").named("send"),
            span(4, begun, ended).linked_to(3).consumer().on("worker").named("process").stage("record"),
        ];
        let answer = analyse(&spans[..if n % 2 == 0 { 2 } else { 4 }], &rules);
        for run in answer.runs.iter().filter(|r| r.stage != "agent" && r.queue_source.is_some()) {
            known += run.time.get(TimeClass::Queue).0;
            time += run.duration.0;
            truth += begun - arrived;
            runs += 1;
        }
    }
    assert!((known - truth).abs() as f64 <= 0.01 * truth as f64, "{known} against {truth}");
    // Little's law: mean concurrency is arrivals × mean time, as the simulator's clock counts it.
    let elapsed = visits.last().map_or(0, |v| v.2);
    let mean_s = time as f64 / runs as f64 / SECOND as f64;
    let by_law = visits.len() as f64 / (elapsed as f64 / SECOND as f64) * mean_s;
    let counted = visits.iter().map(|(a, _, e)| (e - a) as f64).sum::<f64>() / elapsed as f64;
    assert!((by_law / counted - 1.0).abs() < 0.02, "{by_law} against {counted}");
    // And the simulator itself is one: M/M/c waits as Erlang says.
    let mean_wait =
        visits.iter().map(|(a, b, _)| (b - a) as f64).sum::<f64>() / visits.len() as f64 / SECOND as f64;
    let expected = erlang_c_wait_s(3, 24.0, 10.0);
    assert!((mean_wait / expected - 1.0).abs() < 0.15, "{mean_wait} s against {expected} s");
}

/// Windows of a station while arrivals rise from `from` to `until` per second and fall back; 10 workers, 5 a second each.
fn ramp(seed: u64, from: f64, until: f64) -> Vec<Window> {
    const WINDOWS: usize = 160;
    const WIDTH_S: f64 = 20.0;
    let (mut chance, mut station) = (Chance::new(seed), Station::new(10));
    let mut visits = Vec::new();
    let mut now = 0_i64;
    let end = (WINDOWS as f64 * WIDTH_S) as i64 * SECOND;
    while now < end {
        let share = now as f64 / end as f64;
        let height = if share < 0.8 { share / 0.8 } else { (1.0 - share) / 0.2 };
        now += chance.exponential(from + (until - from) * height);
        let (begun, ended) = station.serve(now, chance.exponential(5.0));
        visits.push((now, begun, ended));
    }
    let width = (WIDTH_S * SECOND as f64) as i64;
    let within = |at: i64, w: usize| (at / width) as usize == w;
    (0..WINDOWS)
        .map(|w| {
            let began: Vec<_> = visits.iter().filter(|v| within(v.0, w)).collect();
            let ended = visits.iter().filter(|v| within(v.2, w)).count() as f64;
            let n = began.len().max(1) as f64;
            let sum = |of: fn(&(i64, i64, i64)) -> i64| began.iter().map(|v| of(v) as f64).sum::<f64>();
            let (waited, lasted) = (sum(|v| v.1 - v.0), sum(|v| v.2 - v.0));
            let mut times: Vec<i64> = began.iter().map(|v| v.2 - v.0).collect();
            times.sort_unstable();
            Window {
                arrivals_per_s: began.len() as f64 / WIDTH_S,
                completions_per_s: ended / WIDTH_S,
                concurrency: lasted / width as f64,
                queue_age_ns: Some(waited / n),
                queue_share: Some(waited / lasted.max(1.0)),
                duration_p50_ns: times.get(times.len() / 2).map(|t| *t as f64),
                attainment: Some(began.iter().filter(|v| v.2 - v.0 < 3 * SECOND).count() as f64 / n),
            }
        })
        .collect()
}

#[test]
fn the_sustainable_throughput_is_the_simulated_one() {
    // Ten workers, five a second each: fifty.
    for seed in 1..=8 {
        let found = safe_load(&ramp(seed, 5.0, 75.0), 0.95);
        let Sustainable::UpTo(rate) = found.sustainable else { panic!("seed {seed}: {found:?}") };
        assert!((rate / 50.0 - 1.0).abs() < 0.05, "seed {seed}: {rate}");
        // The median of an exponential service of 0.2 s.
        let (floor, _) = found.floor.expect("there were idle windows");
        assert!((floor / (0.2 * SECOND as f64 * 2_f64.ln()) - 1.0).abs() < 0.2, "seed {seed}: {floor}");
        let (drain, _) = found.recovery.expect("the queue emptied");
        assert!(drain > 0.0 && drain < 50.0, "seed {seed}: {drain}");
    }
}

#[test]
fn what_never_came_near_saturation_is_not_observed() {
    for seed in 1..=8 {
        let found = safe_load(&ramp(seed, 5.0, 20.0), 0.95);
        let Sustainable::NotObservedUpTo(rate) = found.sustainable else { panic!("seed {seed}: {found:?}") };
        assert!((15.0..21.0).contains(&rate), "seed {seed}: {rate}");
        assert_eq!(found.recovery, None);
    }
    assert_eq!(safe_load(&[], 0.95).sustainable, Sustainable::Unknown);
}

#[test]
fn the_stage_that_gives_way_first_is_named() {
    let points = |windows: &[Window]| -> Vec<(f64, f64)> {
        windows.iter().map(|w| (w.arrivals_per_s, w.queue_share.unwrap_or(0.0))).collect()
    };
    let (calm, hot) = (points(&ramp(1, 5.0, 30.0)), points(&ramp(2, 5.0, 75.0)));
    let first = saturates_first(&[calm.clone(), hot]).expect("one gives way");
    assert_eq!(first.stage, 1);
    assert!((35.0..55.0).contains(&first.requests_per_s), "{first:?}");
    assert_eq!(saturates_first(&[calm]), None);
}
