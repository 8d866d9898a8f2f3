//! Compare against slow oracles, and what its verdicts promise.

use plimsoll_analysis::fleet::compare::interval::{Share, newcombe, newcombe_paired, wilson};
use plimsoll_analysis::fleet::compare::{
    Comparison, Experiment, Pairs, Run, Side, Status, Verdict, compare, holm, mcnemar,
};
use plimsoll_schemas::DurationNs;
use plimsoll_schemas::comparison::{Metric, parse};
use proptest::prelude::*;

const Z: f64 = 1.959_963_984_540_054;

fn stages() -> Vec<String> {
    ["request", "inference"].map(str::to_owned).to_vec()
}

fn request(trace: u32, ms: i64) -> Run {
    Run {
        trace,
        duration: DurationNs(ms * 1_000_000),
        is_good: Some(true),
        is_ok: true,
        attempts: 1,
        logical_calls: 1,
        ..Run::default()
    }
}

fn side(durations: impl IntoIterator<Item = i64>) -> Side {
    let runs: Vec<Run> = (0..).zip(durations).map(|(trace, ms)| request(trace, ms)).collect();
    Side { traces: runs.len() as u32, runs }
}

fn judged(mut side: Side, passed: impl Fn(u32) -> bool) -> Side {
    for run in &mut side.runs {
        run.passed = Some(passed(run.trace));
        run.green_but_wrong = run.passed.map(|p| !p);
        run.is_good = run.passed;
    }
    side
}

fn asked(baseline: &Side, candidate: &Side, pairs: Option<&[(u32, u32)]>, rules: &str) -> Comparison {
    let experiment = Experiment { stages: &stages(), baseline, candidate, pairs };
    compare(&experiment, &parse(rules).expect("rules"))
}

fn same_order(n: u32) -> Vec<(u32, u32)> {
    (0..n).map(|i| (i, i)).collect()
}

/// Durations with a long tail, told apart by the seed.
fn tailed(n: u32, seed: u64) -> impl Iterator<Item = i64> {
    (0..u64::from(n)).map(move |i| {
        let hash = (i + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let uniform =
            ((hash ^ (hash >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) as f64 / (1_u64 << 53) as f64;
        (200.0 - 300.0 * (1.0 - uniform).ln()) as i64
    })
}

const LATENCY: &str = "rules: [{metric: duration_p50, tolerance: 10%}]";
const QUALITY: &str = "rules: [{metric: quality, tolerance: 0.05}, {metric: duration_p50, tolerance: 10%}]";

proptest! {
    /// Every way in which the coins may fall.
    #[test]
    fn mcnemar_is_a_count_of_coins(worse in 0_u64..8, better in 0_u64..7) {
        let n = worse + better;
        let falls = |at_least: u64| (0_u64..1 << n).filter(|coins| u64::from(coins.count_ones()) >= at_least).count();
        let share = |count: usize| count as f64 / (1_u64 << n) as f64;
        prop_assert!((mcnemar::one_sided(worse, better) - share(falls(worse))).abs() < 1e-12);
        let uneven = (0_u64..1 << n)
            .filter(|coins| (2 * u64::from(coins.count_ones())).abs_diff(n) >= worse.abs_diff(better))
            .count();
        prop_assert!((mcnemar::two_sided(worse, better) - share(uneven).min(1.0)).abs() < 1e-12);
    }

    /// By closed testing: a hypothesis is rejected where Bonferroni rejects every set that it is in.
    #[test]
    fn holm_is_closed_bonferroni(p in prop::collection::vec(0.0_f64..1.0, 1..7)) {
        let adjusted = holm::adjusted(&p);
        for i in 0..p.len() {
            let slow = (1_u32..1 << p.len())
                .filter(|set| set & (1 << i) != 0)
                .map(|set| {
                    let least = (0..p.len()).filter(|j| set & (1 << j) != 0).map(|j| p[j]).fold(1.0, f64::min);
                    (least * f64::from(set.count_ones())).min(1.0)
                })
                .fold(0.0, f64::max);
            prop_assert!((adjusted[i] - slow).abs() < 1e-12, "{:?} of {:?}", adjusted, p);
        }
    }

    /// The ends are the shares of which the sample is exactly z standard errors away.
    #[test]
    fn wilson_solves_its_equation(hits in 0_u32..200, more in 0_u32..200) {
        prop_assume!(hits + more > 0);
        let of = f64::from(hits + more);
        let interval = wilson(Share { hits: f64::from(hits), of }, Z);
        for end in [interval.low, interval.high] {
            let away = (f64::from(hits) / of - end).abs();
            prop_assert!((away - Z * (end * (1.0 - end) / of).sqrt()).abs() < 1e-9 || !(1e-12..1.0 - 1e-12).contains(&end));
        }
    }

    #[test]
    fn intervals_hold_the_difference_and_turn_with_the_sides(a in 0_u64..40, b in 0_u64..40, c in 0_u64..40, d in 0_u64..40) {
        prop_assume!(a + b + c + d > 0);
        let pairs = Pairs { both: a, baseline_only: b, candidate_only: c, neither: d };
        let turned = Pairs { baseline_only: c, candidate_only: b, ..pairs };
        let difference = pairs.candidate().value() - pairs.baseline().value();
        for (there, back) in [
            (newcombe_paired(pairs, Z), newcombe_paired(turned, Z)),
            (newcombe(pairs.baseline(), pairs.candidate(), Z), newcombe(pairs.candidate(), pairs.baseline(), Z)),
        ] {
            prop_assert!(there.low <= difference + 1e-12 && difference <= there.high + 1e-12);
            prop_assert!((-1.0 - 1e-9..=1.0 + 1e-9).contains(&there.low) && (-1.0 - 1e-9..=1.0 + 1e-9).contains(&there.high));
            prop_assert!((there.low + back.high).abs() < 1e-9 && (there.high + back.low).abs() < 1e-9);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Quantiles are order statistics of the raw durations; the order in which rows came is nothing.
    #[test]
    fn quantiles_are_those_of_the_sorted_list(durations in prop::collection::vec(0_i64..1_000, 1..60)) {
        let (baseline, mut candidate) = (side(durations.clone()), side(durations.iter().map(|ms| ms * 2)));
        let comparison = asked(&baseline, &candidate, None, LATENCY);
        let mut sorted = durations.clone();
        sorted.sort_unstable();
        for (metric, q) in [(Metric::DurationP50, 0.5), (Metric::DurationP95, 0.95), (Metric::DurationP99, 0.99)] {
            let figure = comparison.figures.iter().find(|f| f.metric == metric).expect("known");
            let exact = sorted[(q * sorted.len() as f64) as usize] as f64 * 1e6;
            prop_assert_eq!((figure.baseline, figure.candidate), (Some(exact), Some(2.0 * exact)));
            let interval = figure.interval.expect("known");
            prop_assert!(interval.low <= interval.high);
        }
        candidate.runs.reverse();
        let again = asked(&baseline, &candidate, None, LATENCY);
        for (a, b) in comparison.figures.iter().zip(&again.figures) {
            prop_assert_eq!((a.metric, a.interval, a.candidate), (b.metric, b.interval, b.candidate));
        }
    }

    /// A pair is drawn with both of its traces: where each task takes as long on both sides nothing differs, whatever is drawn.
    #[test]
    fn what_is_equal_in_every_pair_is_equal(durations in prop::collection::vec(1_i64..1_000, 20..60)) {
        let n = durations.len() as u32;
        let both = side(durations);
        let comparison = asked(&both, &both, Some(&same_order(n)), LATENCY);
        for figure in comparison.figures.iter().filter(|f| f.metric == Metric::DurationP50) {
            let interval = figure.interval.expect("known");
            prop_assert_eq!((interval.low, interval.high), (0.0, 0.0));
        }
        prop_assert_eq!(comparison.verdict, Verdict::Promote);
    }
}

#[test]
fn alike_sides_are_not_rolled_back() {
    let rolled_back = (0..100)
        .filter(|seed| {
            let (a, b) = (side(tailed(60, 2 * seed)), side(tailed(60, 2 * seed + 1)));
            asked(&a, &b, None, "rules: [{metric: duration_p50, tolerance: 0}]").verdict == Verdict::Rollback
        })
        .count();
    // One in forty by definition, and 100 may have a few more.
    assert!(rolled_back <= 7, "{rolled_back} of 100");
}

#[test]
fn a_slower_candidate_is_rolled_back_and_a_like_one_promoted() {
    let baseline = side(tailed(400, 1));
    let comparison = asked(&baseline, &side(tailed(400, 2).map(|ms| ms * 3 / 2)), None, LATENCY);
    assert_eq!(comparison.verdict, Verdict::Rollback, "{:?}", comparison.reasons);
    assert!(comparison.reasons[0].starts_with("duration_p50 of request: "), "{:?}", comparison.reasons);
    // What is still open matters no more.
    let more = "rules: [{metric: duration_p50, tolerance: 10%}, {metric: duration_p99, tolerance: 10%}]";
    let decided = asked(&baseline, &side(tailed(400, 2).map(|ms| ms * 3 / 2)), None, more);
    assert_eq!((decided.verdict, decided.runs_missing), (Verdict::Rollback, None));
    assert_eq!(decided.rulings[1].runs_missing, Some(600));
    let like = asked(&baseline, &side(tailed(400, 1).map(|ms| ms - 20)), Some(&same_order(400)), LATENCY);
    assert_eq!(like.verdict, Verdict::Promote, "{:?}", like.reasons);
}

#[test]
fn too_few_runs_hold_and_say_how_many_are_missing() {
    let (a, b) = (side(tailed(12, 1)), side(tailed(15, 2)));
    let comparison = asked(&a, &b, None, LATENCY);
    assert_eq!((comparison.verdict, comparison.runs_missing), (Verdict::Hold, Some(8)));
    let p95 = asked(
        &side(tailed(150, 1)),
        &side(tailed(160, 2)),
        None,
        "rules: [{metric: duration_p95, tolerance: 10%}]",
    );
    assert_eq!((p95.verdict, p95.runs_missing), (Verdict::Hold, Some(50)));
    // Enough to judge, not to tell: the wider the interval, the more.
    let open = asked(&side(tailed(40, 3)), &side(tailed(40, 4)), None, LATENCY);
    assert_eq!(open.verdict, Verdict::Hold, "{:?}", open.reasons);
    assert!(open.runs_missing.is_some_and(|n| n > 0), "{:?}", open.rulings);
}

#[test]
fn wrong_answers_are_rolled_back_although_they_come_sooner() {
    let baseline = judged(side(tailed(300, 1)), |i| i % 10 != 0);
    let candidate = judged(side(tailed(300, 2).map(|ms| ms / 2)), |i| i % 3 != 0);
    let comparison = asked(&baseline, &candidate, None, QUALITY);
    assert_eq!(comparison.verdict, Verdict::Rollback);
    let status: Vec<Status> = comparison.rulings.iter().map(|r| r.status).collect();
    assert_eq!(status, [Status::Broken, Status::Kept]);
    assert_eq!(comparison.runs_missing, None);
    assert!(
        comparison.reasons.iter().any(|r| r.contains("the median of request improved, but at the cost of"))
    );
}

#[test]
fn a_better_median_with_a_worse_tail_holds_though_no_rule_is_broken() {
    let baseline = side(tailed(400, 1));
    let candidate = side(tailed(400, 2).enumerate().map(|(i, ms)| if i % 12 == 0 { 4_000 } else { ms / 2 }));
    let comparison = asked(&baseline, &candidate, None, LATENCY);
    assert_eq!(comparison.rulings[0].status, Status::Kept);
    assert_eq!(comparison.verdict, Verdict::Hold);
    assert!(comparison.reasons[0].contains("duration_p95"), "{:?}", comparison.reasons);
}

#[test]
fn pairs_tell_what_samples_cannot() {
    let passed = |lost: u32| move |i: u32| !i.is_multiple_of(5) && i % 40 >= lost;
    let baseline = judged(side(tailed(400, 1)), passed(0));
    let candidate = judged(side(tailed(400, 1)), passed(3));
    let rule = "rules: [{metric: quality, tolerance: 0}]";
    let pairs = same_order(400);
    let paired = asked(&baseline, &candidate, Some(&pairs), rule);
    assert_eq!(paired.verdict, Verdict::Rollback, "{:?}", paired.reasons);
    let figure = paired.figures.iter().find(|f| f.metric == Metric::Quality).expect("known");
    assert_eq!(figure.pairs, Some(Pairs { both: 300, baseline_only: 20, candidate_only: 0, neither: 80 }));
    assert!(figure.mcnemar_p().is_some_and(|p| p < 1e-5));
    assert_eq!(asked(&baseline, &candidate, None, rule).verdict, Verdict::Hold);
}

#[test]
fn what_nobody_knows_holds_unless_the_rule_is_optional() {
    let (a, b) = (side(tailed(100, 1)), side(tailed(100, 1)));
    let pairs = same_order(100);
    let unknown = asked(&a, &b, Some(&pairs), QUALITY);
    assert_eq!(unknown.verdict, Verdict::Hold);
    assert!(unknown.reasons[0].contains("nothing is known"), "{:?}", unknown.reasons);
    let optional = asked(&a, &b, Some(&pairs), "rules: [{metric: quality, tolerance: 0.05, optional: true}]");
    // Where no rule is left there is nothing to promote on.
    assert_eq!((optional.verdict, optional.rulings[0].status), (Verdict::Hold, Status::PassedOver));
    let other =
        "rules: [{metric: quality, tolerance: 0, optional: true}, {metric: failures, tolerance: 0.05}]";
    assert_eq!(asked(&a, &b, Some(&pairs), other).verdict, Verdict::Promote);
    let nobody = asked(&Side::default(), &Side::default(), None, QUALITY);
    assert_eq!((nobody.verdict, nobody.figures.len(), nobody.runs_missing), (Verdict::Hold, 0, Some(20)));
    let one = asked(&a, &Side::default(), None, LATENCY);
    assert_eq!((one.verdict, one.runs_missing), (Verdict::Hold, Some(20)));
    assert!(one.reasons[0].contains("only one side"), "{:?}", one.reasons);
}

#[test]
fn every_stage_is_tested_under_one_correction() {
    let mut baseline = side(tailed(200, 1));
    let mut candidate = baseline.clone();
    for (side, failing) in [(&mut baseline, 100), (&mut candidate, 8)] {
        for trace in 0..200 {
            side.runs.push(Run { stage: 1, is_ok: trace % failing != 1, ..request(trace, 50) });
        }
    }
    let comparison =
        asked(&baseline, &candidate, None, "rules: [{metric: failures, stage: '*', tolerance: 0.02}]");
    let rulings: Vec<(&str, Status)> =
        comparison.rulings.iter().map(|r| (r.stage.as_str(), r.status)).collect();
    assert_eq!(rulings, [("request", Status::Kept), ("inference", Status::Broken)]);
    let broken = &comparison.rulings[1];
    let p = broken.test.expect("tested").p;
    assert!(broken.p_adjusted.is_some_and(|adjusted| (adjusted - 2.0 * p).abs() < 1e-12), "{broken:?}");
}

/// `docs/concepts/compare.md`: the numbers that its examples state and that no other test works out.
#[test]
fn the_examples_of_the_page_are_right() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 5e-4, "{a}, not {b}");
    let passed = wilson(Share { hits: 34.0, of: 40.0 }, Z);
    near(passed.low, 0.709);
    near(passed.high, 0.929);
    near(mcnemar::two_sided(3, 6), 0.508);
    near(mcnemar::two_sided(6, 6), 1.0);
    let slower: Vec<i64> = tailed(40, 1).map(|ms| ms + 10).collect();
    let comparison = asked(&side(tailed(40, 1)), &side(slower), Some(&same_order(40)), LATENCY);
    let median = comparison.figures.iter().find(|f| f.metric == Metric::DurationP50).expect("known");
    assert_eq!(median.interval.map(|i| (i.low, i.high)), Some((10e6, 10e6)));
}

/// The chance that at most `k` of `n` draws hit what each hits with chance `p`.
fn binomial_at_most(k: u32, n: u32, p: f64) -> f64 {
    let choose = |i: u32| (0..i).map(|j| f64::from(n - j).ln() - f64::from(j + 1).ln()).sum::<f64>();
    (0..=k).map(|i| (choose(i) + f64::from(i) * p.ln() + f64::from(n - i) * (1.0 - p).ln()).exp()).sum()
}

/// The median of a resample is at most the k-th value if more than half of the draws fall on the first k: a binomial.
#[test]
fn the_resampled_median_is_distributed_as_theory_has_it() {
    let n = 101_u32;
    let baseline = side(std::iter::repeat_n(0, n as usize));
    let candidate = side((1..=i64::from(n)).map(|i| i * 10));
    let comparison = asked(&baseline, &candidate, None, LATENCY);
    let median = comparison.figures.iter().find(|f| f.metric == Metric::DurationP50).expect("known");
    let interval = median.interval.expect("known");
    let exact = |share: f64| {
        let is_reached = |k: u32| 1.0 - binomial_at_most(n / 2, n, f64::from(k) / f64::from(n)) >= share;
        (1..n).find(|k| is_reached(*k)).map(|k| f64::from(k) * 10e6).expect("somewhere")
    };
    // Two thousand draws miss a quantile by a rank or two.
    for (found, exact) in [(interval.low, exact(0.025)), (interval.high, exact(0.975))] {
        assert!((found - exact).abs() <= 20e6, "{found}, not {exact}");
    }
}

/// Of a mean the interval is ±1.96 standard errors; and runs of one trace that are all alike add nothing.
#[test]
fn a_resampled_mean_has_its_standard_error_whatever_the_runs_of_a_trace() {
    let tokens = |trace: u32| i64::from(trace * 37 % 100);
    let of = |runs: u32| {
        let all = (0..200).flat_map(|trace| (0..runs).map(move |_| trace));
        let runs = all.map(|trace| Run { tokens: Some(tokens(trace)), ..request(trace, 100) });
        Side { traces: 200, runs: runs.collect() }
    };
    let constant =
        Side { traces: 200, runs: of(1).runs.into_iter().map(|r| Run { tokens: Some(0), ..r }).collect() };
    let variance = (0..200).map(|t| (tokens(t) as f64 - 49.5).powi(2)).sum::<f64>() / 200.0;
    let half = Z * (variance / 200.0).sqrt();
    for runs in [1, 10] {
        let comparison = asked(&constant, &of(runs), None, LATENCY);
        let mean = comparison.figures.iter().find(|f| f.metric == Metric::Tokens).expect("known");
        let interval = mean.interval.expect("known");
        for (found, exact) in [(interval.low, 49.5 - half), (interval.high, 49.5 + half)] {
            assert!((found - exact).abs() < 0.15 * half, "{runs} runs: {found}, not {exact}");
        }
    }
}
