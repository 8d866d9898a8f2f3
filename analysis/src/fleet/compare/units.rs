//! The runs of a comparison by stage and side, each with the unit that is drawn when they are resampled: its trace, or the
//! pair that its trace belongs to. Runs of traces without a pair are left out of a paired comparison.

use std::collections::BTreeMap;

use plimsoll_schemas::comparison::{Kind, Metric};

use super::interval::{Pairs, Share, effective};
use super::{Experiment, Run, Side};

/// The least first, so that one walk finds all.
const QUANTILES: [(Metric, f64); 3] =
    [(Metric::DurationP50, 0.5), (Metric::DurationP95, 0.95), (Metric::DurationP99, 0.99)];

/// One stage on both sides, baseline first.
#[derive(Debug)]
pub struct Stage {
    pub sides: [StageSide; 2],
}

#[derive(Debug, Default)]
pub struct StageSide {
    pub runs: usize,
    /// The duration of each run and its unit, sorted.
    durations: Vec<(i64, u32)>,
    /// How many runs each unit has.
    runs_of: BTreeMap<u32, u32>,
    /// Per metric that is a ratio and per unit: numerator, denominator, and how many runs they are of.
    ratios: BTreeMap<Metric, Vec<(u32, f64, f64, u32)>>,
    /// Per metric that is a share and per unit: hits and runs that are known.
    shares: BTreeMap<Metric, BTreeMap<u32, (u32, u32)>>,
}

/// The stages, and how many units each side has.
pub fn of(experiment: &Experiment<'_>) -> (Vec<Stage>, [usize; 2]) {
    let sides = [experiment.baseline, experiment.candidate];
    let units: [Vec<Option<u32>>; 2] = match experiment.pairs {
        None => sides.map(|side| (0..side.traces).map(Some).collect()),
        Some(pairs) => {
            let mut units = sides.map(|side| vec![None; side.traces as usize]);
            for (unit, (baseline, candidate)) in (0..).zip(pairs) {
                units[0][*baseline as usize] = Some(unit);
                units[1][*candidate as usize] = Some(unit);
            }
            units
        }
    };
    let counts = match experiment.pairs {
        None => sides.map(|side| side.traces as usize),
        Some(pairs) => [pairs.len(); 2],
    };
    let mut stages: Vec<Stage> =
        experiment.stages.iter().map(|_| Stage { sides: Default::default() }).collect();
    for (side, (of, units)) in sides.into_iter().zip(&units).enumerate() {
        let Side { runs, .. } = of;
        for run in runs {
            if let Some(unit) = units[run.trace as usize] {
                stages[run.stage as usize].sides[side].add(run, unit);
            }
        }
    }
    for side in stages.iter_mut().flat_map(|s| &mut s.sides) {
        side.durations.sort_unstable();
        side.ratios.values_mut().for_each(merge);
    }
    (stages, counts)
}

/// One entry a unit.
fn merge(of: &mut Vec<(u32, f64, f64, u32)>) {
    of.sort_by_key(|(unit, ..)| *unit);
    of.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 += next.1;
            first.2 += next.2;
            first.3 += next.3;
        }
        same
    });
}

impl StageSide {
    fn add(&mut self, run: &Run, unit: u32) {
        self.runs += 1;
        self.durations.push((run.duration.0, unit));
        *self.runs_of.entry(unit).or_default() += 1;
        for metric in Metric::ALL {
            match metric.kind() {
                Kind::Quantile(_) => {}
                Kind::Share => {
                    if let Some(hit) = run.hit(metric) {
                        let count = self.shares.entry(metric).or_default().entry(unit).or_default();
                        count.0 += u32::from(hit);
                        count.1 += 1;
                    }
                }
                Kind::Ratio => {
                    if let Some((a, b)) = run.parts(metric) {
                        self.ratios.entry(metric).or_default().push((unit, a, b, 1));
                    }
                }
            }
        }
    }

    /// How many of its runs the metric is known of.
    pub fn known(&self, metric: Metric) -> usize {
        match metric.kind() {
            Kind::Quantile(_) => self.durations.len(),
            Kind::Ratio => self.ratios.get(&metric).map_or(0, |of| of.iter().map(|r| r.3 as usize).sum()),
            Kind::Share => self.shares.get(&metric).map_or(0, |of| of.values().map(|c| c.1 as usize).sum()),
        }
    }

    /// Its ratios and quantiles, each run counted as often as its unit was drawn. The cost of a comparison is here.
    pub fn values(&self, drawn: &[u32], each: &mut impl FnMut(Metric, f64)) {
        for (metric, of) in &self.ratios {
            let (mut a, mut b) = (0.0, 0.0);
            for (unit, numerator, denominator, _) in of {
                let weight = f64::from(drawn[*unit as usize]);
                a += weight * numerator;
                b += weight * denominator;
            }
            if b > 0.0 {
                each(*metric, a / b);
            }
        }
        let total: u64 =
            self.runs_of.iter().map(|(unit, n)| u64::from(drawn[*unit as usize]) * u64::from(*n)).sum();
        let mut passed = 0_u64;
        let mut durations = self.durations.iter();
        let mut last = 0;
        for (metric, q) in QUANTILES {
            // The order statistic at index ⌊q·n⌋.
            let index = (q * total as f64) as u64;
            while passed <= index {
                let Some((duration, unit)) = durations.next() else { return };
                passed += u64::from(drawn[*unit as usize]);
                last = *duration;
            }
            each(metric, last as f64);
        }
    }

    /// The value of each metric, of the runs as they are.
    pub fn observed(&self, units: usize) -> BTreeMap<Metric, f64> {
        let mut observed = BTreeMap::new();
        self.values(&vec![1; units], &mut |metric, value| {
            observed.insert(metric, value);
        });
        observed
    }

    /// A share as it is, of runs.
    pub fn share(&self, metric: Metric) -> Option<Share> {
        let of = self.shares.get(&metric)?;
        let sum = |part: fn(&(u32, u32)) -> u32| of.values().map(|c| f64::from(part(c))).sum();
        Some(Share { hits: sum(|c| c.0), of: sum(|c| c.1) })
    }

    /// A share of as many independent runs as it is worth.
    pub fn effective(&self, metric: Metric) -> Option<Share> {
        let clusters: Vec<(u32, u32)> = self.shares.get(&metric)?.values().copied().collect();
        Some(effective(&clusters))
    }

    /// What resampling costs.
    pub fn cost(&self) -> usize {
        self.durations.len() + self.runs_of.len() + self.ratios.values().map(Vec::len).sum::<usize>()
    }

    /// Of the data, for a seed.
    pub fn digest(&self) -> u64 {
        self.durations.iter().fold(self.runs as u64, |hash, (duration, unit)| {
            (hash ^ *duration as u64 ^ u64::from(*unit)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
        })
    }
}

impl Stage {
    /// What became of the tasks on both sides: a task's stage has the metric if all of its runs do, and where having it is
    /// bad, if any does.
    pub fn pairs(&self, metric: Metric) -> Option<Pairs> {
        let [baseline, candidate] = &self.sides;
        let (baseline, candidate) = (baseline.shares.get(&metric)?, candidate.shares.get(&metric)?);
        let has = |(hits, of): (u32, u32)| if metric.higher_is_better() { hits == of } else { hits > 0 };
        let mut pairs = Pairs::default();
        for (unit, counts) in baseline {
            let Some(other) = candidate.get(unit) else { continue };
            match (has(*counts), has(*other)) {
                (true, true) => pairs.both += 1,
                (true, false) => pairs.baseline_only += 1,
                (false, true) => pairs.candidate_only += 1,
                (false, false) => pairs.neither += 1,
            }
        }
        (!pairs.is_empty()).then_some(pairs)
    }
}
