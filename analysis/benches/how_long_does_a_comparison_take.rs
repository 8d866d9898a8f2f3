//! How long does a comparison take, at a size that a canary has and at the greatest that is compared?

use std::time::Instant;

use plimsoll_analysis::fleet::compare::{Experiment, Run, Side, compare};
use plimsoll_schemas::DurationNs;
use plimsoll_schemas::comparison::{BUILT_IN, parse};

/// Each trace has a request and nine runs of two other stages.
fn side(traces: u32, seed: u64) -> Side {
    let mut runs = Vec::new();
    for trace in 0..traces {
        for n in 0..10 {
            let hash = (u64::from(trace) * 10 + n + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            runs.push(Run {
                trace,
                stage: if n == 0 { 0 } else { 1 + (n as u32 % 2) },
                duration: DurationNs(hash as i64),
                is_good: Some(!hash.is_multiple_of(10)),
                is_ok: !hash.is_multiple_of(50),
                passed: (hash.is_multiple_of(3)).then_some(!hash.is_multiple_of(7)),
                attempts: 1 + (hash.is_multiple_of(20)) as u32,
                logical_calls: 1,
                queue: Some(DurationNs(hash as i64 / 4)),
                tokens: Some(hash as i64 % 4_000),
                cost_usd: Some((hash % 100) as f64 / 1e4),
                ..Run::default()
            });
        }
    }
    Side { traces, runs }
}

fn main() {
    let stages = ["request", "inference", "execute"].map(str::to_owned);
    let rules = parse(BUILT_IN).expect("the built-in rules are rules");
    for traces in [200, 2_000, 20_000] {
        let (baseline, candidate) = (side(traces, 1), side(traces, 2));
        let pairs: Vec<(u32, u32)> = (0..traces).map(|i| (i, i)).collect();
        for (name, pairs) in [("samples", None), ("pairs", Some(pairs.as_slice()))] {
            let began = Instant::now();
            let comparison = compare(
                &Experiment { stages: &stages, baseline: &baseline, candidate: &candidate, pairs },
                &rules,
            );
            let (verdict, ms) = (comparison.verdict.as_str(), began.elapsed().as_millis());
            println!("{traces:>6} traces of 10 runs on each side, {name}: {ms} ms ({verdict})");
        }
    }
}
