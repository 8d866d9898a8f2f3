//! Storms, against a slow oracle and by examples that can be worked out by hand.

use plimsoll_analysis::Edge;
use plimsoll_analysis::fleet::storms::{Counts, EdgeSeries, Kind, Observed, Requests, find};
use plimsoll_schemas::DurationNs;
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn edge(n: usize) -> Edge<'static> {
    Edge { caller: NAMES[n], callee: NAMES[n + 1], operation: "call" }
}

fn counts(logical_calls: u64, attempts: u64, retries: u64, failed: u64) -> Counts {
    Counts { logical_calls, attempts, retries, failed, ..Counts::default() }
}

fn any_series() -> impl Strategy<Value = Vec<(u32, Counts)>> {
    let window = (0..30_u64, 0..30_u64, prop::bool::weighted(0.8));
    prop::collection::vec(window, 0..40).prop_map(|windows| {
        let windows = windows.into_iter().enumerate().filter(|(_, (.., is_there))| *is_there);
        windows
            .map(|(w, (calls, retries, _))| (w as u32, counts(calls, calls + retries, retries, retries)))
            .collect()
    })
}

/// Window by window, as the definition reads.
fn storming(series: &EdgeSeries<'_>, windows: u32, budget: f64) -> Vec<bool> {
    let mut is_storm = false;
    (0..windows)
        .map(|w| {
            let c = series.at(w);
            let r = if c.attempts == 0 { 0.0 } else { c.retries as f64 / c.attempts as f64 };
            is_storm =
                if is_storm { r >= 1.0 / 6.0 } else { c.attempts >= 20 && r >= f64::max(1.0 / 3.0, budget) };
            is_storm
        })
        .collect()
}

proptest! {
    #[test]
    fn storms_are_where_the_definition_says(
        series in prop::collection::vec(any_series(), 1..4),
        pairs in prop::collection::vec((0..4_usize, 0..4_usize), 0..4),
        budget in 0.0..0.6_f64,
        windows in 1..45_u32,
    ) {
        let edges: Vec<EdgeSeries<'_>> = series
            .into_iter()
            .enumerate()
            .map(|(n, windows)| EdgeSeries { edge: edge(n), depth: n as u32, windows })
            .collect();
        let connected: Vec<(usize, usize)> =
            pairs.into_iter().filter(|(a, b)| a != b && *a < edges.len() && *b < edges.len()).collect();
        let observed = Observed { windows, edges: &edges, connected: &connected, requests: &[] };
        let storms = find(&observed, budget);
        for (e, series) in edges.iter().enumerate() {
            let expected = storming(series, windows, budget);
            let parts = storms.iter().flat_map(|s| &s.edges).filter(|p| p.edge == e);
            let (mut attempts, mut retries) = (0, 0);
            for part in parts {
                prop_assert!(expected[part.start as usize] && expected[part.end as usize - 1]);
                attempts += part.attempts;
                retries += part.retries;
            }
            let in_storm = (0..windows).filter(|w| expected[*w as usize]).map(|w| series.at(w));
            let sum = in_storm.fold((0, 0), |sum, c| (sum.0 + c.attempts, sum.1 + c.retries));
            prop_assert_eq!((attempts, retries), sum, "of edge {}: every storming window, and no other, once", e);
        }
        for storm in &storms {
            prop_assert!(storm.start < storm.end && storm.end <= windows);
            prop_assert!(storm.layered_amplification >= 1.0 - 1e-9);
            let last = (storm.end - 1) as usize;
            let goes_on = edges.iter().any(|e| storming(e, windows, budget)[last]);
            prop_assert_eq!(storm.open, storm.end == windows && goes_on);
        }
        // What stormed within six windows of itself is one storm.
        for (i, one) in storms.iter().enumerate() {
            for other in &storms[i + 1..] {
                for (p, q) in one.edges.iter().flat_map(|p| other.edges.iter().map(move |q| (p, q))) {
                    let apart = i64::from(p.start.max(q.start)) - i64::from(p.end.min(q.end));
                    prop_assert!(p.edge != q.edge || apart > 6);
                }
            }
        }
    }
}

/// One edge storming without a pause: the edge, its first window, the one after its last.
type Episode = (usize, u32, u32);

/// Which belong together, pair by pair until nothing changes any more.
fn together(episodes: &[Episode], connected: &[(usize, usize)]) -> Vec<usize> {
    let near = |a: &Episode, b: &Episode| {
        let is_connected = a.0 == b.0 || connected.contains(&(a.0, b.0)) || connected.contains(&(b.0, a.0));
        is_connected && i64::from(a.1.max(b.1)) - i64::from(a.2.min(b.2)) <= 6
    };
    let mut group: Vec<usize> = (0..episodes.len()).collect();
    loop {
        let before = group.clone();
        for i in 0..episodes.len() {
            for j in 0..episodes.len() {
                if near(&episodes[i], &episodes[j]) {
                    group[i] = group[i].min(group[j]);
                }
            }
        }
        if group == before {
            return group;
        }
    }
}

proptest! {
    #[test]
    fn a_storm_is_what_hangs_together(
        at in prop::collection::vec((0..5_usize, 0..120_u32, 1..6_u32), 1..25),
        connected in prop::collection::vec((0..5_usize, 0..5_usize), 0..7),
    ) {
        let mut is_hot = vec![vec![false; 130]; 5];
        for (edge, start, length) in at {
            is_hot[edge][start as usize..(start + length) as usize].fill(true);
        }
        let edges: Vec<EdgeSeries<'_>> = is_hot
            .iter()
            .enumerate()
            .map(|(n, is_hot)| {
                let of = |hot| if hot { counts(20, 40, 20, 20) } else { counts(20, 20, 0, 0) };
                let windows = is_hot.iter().enumerate().map(|(w, hot)| (w as u32, of(*hot))).collect();
                EdgeSeries { edge: Edge { caller: "a", callee: NAMES[n], operation: "call" }, depth: 1, windows }
            })
            .collect();
        let episodes: Vec<Episode> = (0..5)
            .flat_map(|e| {
                let begins = |w: &usize| is_hot[e][*w] && (*w == 0 || !is_hot[e][*w - 1]);
                let length = |w: usize| is_hot[e][w..].iter().take_while(|hot| **hot).count();
                (0..130).filter(begins).map(move |w| (e, w as u32, (w + length(w)) as u32)).collect::<Vec<_>>()
            })
            .collect();
        let group = together(&episodes, &connected);
        // By storm: its edges, when it begins and when it ends.
        let mut expected: Vec<(u32, u32, Vec<usize>)> = (0..episodes.len())
            .filter(|g| group.contains(g))
            .map(|g| {
                let members: Vec<&Episode> =
                    episodes.iter().zip(&group).filter(|(_, of)| **of == g).map(|(e, _)| e).collect();
                let mut edges: Vec<usize> = members.iter().map(|e| e.0).collect();
                edges.dedup();
                let start = members.iter().map(|e| e.1).min().unwrap_or(0);
                (start, members.iter().map(|e| e.2).max().unwrap_or(0), edges)
            })
            .collect();
        expected.sort();
        let observed = Observed { windows: 130, edges: &edges, connected: &connected, requests: &[] };
        let mut found: Vec<(u32, u32, Vec<usize>)> = find(&observed, 0.1)
            .iter()
            .map(|s| (s.start, s.end, s.edges.iter().map(|e| e.edge).collect()))
            .collect();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}

/// As many edges as are looked at, each retried with every other one in waves: comparing all pairs of waves takes minutes.
#[test]
fn a_fleet_whose_edges_all_retry_together_is_one_storm() {
    const EDGES: usize = 400;
    let names: Vec<String> = (0..=EDGES).map(|n| n.to_string()).collect();
    let wave = |w: u32| if w.is_multiple_of(2) { counts(20, 60, 40, 40) } else { counts(20, 20, 0, 0) };
    let edges: Vec<EdgeSeries<'_>> = (0..EDGES)
        .map(|e| EdgeSeries {
            edge: Edge { caller: &names[e], callee: &names[e + 1], operation: "call" },
            depth: e as u32,
            windows: (0..360).map(|w| (w, wave(w))).collect(),
        })
        .collect();
    let pairs = |a| (0..EDGES).filter(move |b| *b != a).map(move |b| (a, b));
    let connected: Vec<(usize, usize)> = (0..EDGES).flat_map(pairs).collect();
    let storms = find(&Observed { windows: 360, edges: &edges, connected: &connected, requests: &[] }, 0.1);
    let [storm] = storms.as_slice() else { panic!("{} storms", storms.len()) };
    assert_eq!((storm.start, storm.end, storm.edges.len()), (0, 359, EDGES));
    let retries: u64 = storm.edges.iter().map(|e| e.retries).sum();
    assert_eq!(retries, EDGES as u64 * 180 * 40);
}

fn series(n: usize, of: impl Fn(u32) -> Counts) -> EdgeSeries<'static> {
    EdgeSeries { edge: edge(n), depth: n as u32, windows: (0..60).map(|w| (w, of(w))).collect() }
}

/// Agents call a gateway, that a database; from window 20 to 30 the database refuses connections, and both layers try again.
fn outage(queue_ns: impl Fn(u32) -> i64) -> Vec<EdgeSeries<'static>> {
    let down = |w: u32| (20..30).contains(&w);
    vec![
        series(0, |w| {
            if down(w) {
                Counts { wasted: DurationNs(1_000), ..counts(50, 100, 50, 95) }
            } else {
                counts(50, 50, 0, 0)
            }
        }),
        series(1, |w| if down(w) { counts(100, 300, 200, 290) } else { counts(50, 50, 0, 0) }),
        series(2, |w| {
            let attempts = if down(w) { 300 } else { 50 };
            let queue = DurationNs(queue_ns(w) * attempts);
            Counts {
                queue_known: attempts as u64,
                queue,
                ..counts(attempts as u64, attempts as u64, 0, if down(w) { 290 } else { 0 })
            }
        }),
        // Elsewhere, nothing happens.
        series(3, |_| counts(50, 50, 1, 1)),
    ]
}

fn requests(good_in_storm: u64, until: u32) -> Vec<Requests> {
    (0..60)
        .map(|w| Requests { offered: 50, good: if (20..until).contains(&w) { good_in_storm } else { 50 } })
        .collect()
}

#[test]
fn one_outage_is_one_storm_with_its_deepest_edge_as_trigger() {
    let edges = outage(|_| 2_000_000);
    let connected = [(0, 1), (1, 2), (0, 2)];
    let requests = requests(5, 30);
    let storms =
        find(&Observed { windows: 60, edges: &edges, connected: &connected, requests: &requests }, 0.1);
    let [storm] = storms.as_slice() else { panic!("{storms:?}") };
    assert_eq!((storm.start, storm.end, storm.open), (20, 30, false));
    assert_eq!(
        storm.edges.iter().map(|e| e.edge).collect::<Vec<_>>(),
        [0, 1],
        "the database is not called again by anyone"
    );
    assert_eq!((storm.edges[0].peak_amplification, storm.edges[1].peak_amplification), (2.0, 3.0));
    assert_eq!(storm.layered_amplification, 6.0);
    assert_eq!(storm.attempts_above_baseline, Some(10 * 50 + 10 * 250));
    assert_eq!(storm.wasted, DurationNs(10_000));
    assert_eq!(storm.goodput_lost, Some(450.0));
    let trigger = storm.trigger.expect("a trigger");
    assert_eq!((trigger.edge, trigger.window, trigger.kind), (2, 20, Kind::Dependency));
    assert_eq!(storm.metastable, Some(false), "it ended with its outage");
}

#[test]
fn a_queue_that_grew_first_is_overload() {
    let edges = outage(|w| if (16..30).contains(&w) { 80_000_000 } else { 2_000_000 });
    let connected = [(0, 1), (1, 2)];
    let storms = find(&Observed { windows: 60, edges: &edges, connected: &connected, requests: &[] }, 0.1);
    assert_eq!(storms[0].trigger.map(|t| t.kind), Some(Kind::Overload));
    assert_eq!((storms[0].goodput_lost, storms[0].metastable), (None, None), "nothing is known of requests");
}

#[test]
fn a_storm_that_outlives_its_outage_feeds_itself() {
    // The database is back at window 24; from then on it is only too slow for what comes.
    let mut edges = outage(|_| 2_000_000);
    for (w, c) in &mut edges[2].windows {
        if (24..50).contains(w) {
            *c = Counts { failed_deadline: 280, ..counts(300, 300, 0, 280) };
        }
    }
    for edge in &mut edges[..2] {
        for (w, c) in &mut edge.windows {
            if (30..50).contains(w) {
                *c = counts(100, 300, 200, 280);
            }
        }
    }
    let connected = [(0, 1), (1, 2)];
    let requests = requests(5, 50);
    let storms =
        find(&Observed { windows: 60, edges: &edges, connected: &connected, requests: &requests }, 0.1);
    assert_eq!(storms.len(), 1);
    assert_eq!(storms[0].trigger.map(|t| (t.edge, t.kind)), Some((2, Kind::Dependency)));
    assert_eq!(storms[0].metastable, Some(true));
    // Seen before it could show, it is unknown.
    let storms =
        find(&Observed { windows: 25, edges: &edges, connected: &connected, requests: &requests[..25] }, 0.1);
    assert_eq!((storms[0].open, storms[0].metastable), (true, None));
}

#[test]
fn what_cannot_succeed_is_correctness() {
    let mut edges = outage(|_| 2_000_000);
    for (_, c) in &mut edges[2].windows {
        c.failed_correctness = c.failed;
    }
    let storms = find(&Observed { windows: 60, edges: &edges, connected: &[(1, 2)], requests: &[] }, 0.1);
    let kinds: Vec<_> = storms.iter().filter_map(|s| s.trigger).map(|t| (t.edge, t.kind)).collect();
    assert!(kinds.contains(&(2, Kind::Correctness)), "{kinds:?}");
}

#[test]
fn a_few_retries_are_no_storm() {
    let edges = [
        series(0, |w| counts(100, 130, if w % 7 == 0 { 40 } else { 30 }, 30)),
        series(1, |_| counts(5, 19, 14, 14)),
    ];
    assert!(
        find(&Observed { windows: 60, edges: &edges, connected: &[(0, 1)], requests: &[] }, 0.1).is_empty()
    );
}

#[test]
fn a_surge_that_is_over_while_its_storm_goes_on_feeds_itself() {
    // Arrivals double for five windows and overload the database; the retries keep it overloaded for ten more.
    let hot = |w: u32| (20..35).contains(&w);
    let edges = vec![
        series(0, |w| if hot(w) { counts(50, 150, 100, 130) } else { counts(50, 50, 0, 0) }),
        series(1, |w| {
            let c = if hot(w) { counts(150, 150, 0, 130) } else { counts(50, 50, 0, 0) };
            Counts { failed_overload: c.failed, ..c }
        }),
    ];
    let requests = |surge: u64| -> Vec<Requests> {
        let offered = |w: u32| if (20..25).contains(&w) { surge } else { 50 };
        (0..60).map(|w| Requests { offered: offered(w), good: if hot(w) { 10 } else { 50 } }).collect()
    };
    for (surge, metastable) in [(100, Some(true)), (50, None)] {
        let requests = requests(surge);
        let observed = Observed { windows: 60, edges: &edges, connected: &[(0, 1)], requests: &requests };
        let storms = find(&observed, 0.1);
        assert_eq!(
            storms.iter().map(|s| s.metastable).collect::<Vec<_>>(),
            [metastable],
            "a surge to {surge}"
        );
    }
}
