//! Queues: what spans say of waiting against what the simulator knows, and Little's law.

use plimsoll_analysis::analyse;
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
