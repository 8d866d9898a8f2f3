//! Differences of quantiles and of ratios, by resampling whole traces (Efron, Annals of Statistics 7, 1979; of clusters:
//! Davison and Hinkley, Bootstrap Methods and their Application, 1997, ch. 3.8): stages of one trace are not independent,
//! so a trace is drawn with all of its runs. Of pairs, a task is drawn with both of its traces.
//!
//! The seed comes from the data: the same rows give the same interval.

use plimsoll_schemas::comparison::{Kind, Metric};

use super::units::Stage;

/// Resamples of a small comparison, and of one whose cost would be noticed.
const RESAMPLES: usize = 2_000;
const RESAMPLES_MIN: usize = 1_000;
/// Runs walked over all resamples, up to which there are [`RESAMPLES`].
const WORK_MAX: usize = 50_000_000;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// How often each of so many units is drawn, in as many draws.
    fn draw(&mut self, counts: &mut [u32]) {
        counts.fill(0);
        let n = counts.len() as u128;
        for _ in 0..n {
            counts[((u128::from(self.next()) * n) >> 64) as usize] += 1;
        }
    }
}

/// A metric of a stage that is resampled, with `[baseline, candidate]` of each resample in which both are known.
#[derive(Debug)]
pub struct Resampled {
    pub stage: usize,
    pub metric: Metric,
    pub values: Vec<[f64; 2]>,
}

fn resampled_metrics() -> impl Iterator<Item = Metric> {
    Metric::ALL.into_iter().filter(|m| m.kind() != Kind::Share)
}

/// Of `units` traces on each side, or of as many pairs.
pub fn resample(stages: &[Stage], units: [usize; 2], is_paired: bool) -> Vec<Resampled> {
    let work: usize = stages.iter().flat_map(|s| &s.sides).map(|side| side.cost()).sum();
    let resamples = if work.saturating_mul(RESAMPLES) <= WORK_MAX { RESAMPLES } else { RESAMPLES_MIN };
    let mut resampled: Vec<Resampled> = Vec::new();
    for stage in 0..stages.len() {
        for metric in resampled_metrics() {
            resampled.push(Resampled { stage, metric, values: Vec::with_capacity(resamples) });
        }
    }
    let seed =
        stages.iter().flat_map(|s| &s.sides).fold(0, |seed: u64, side| seed.rotate_left(7) ^ side.digest());
    let mut random = Random(seed);
    let mut drawn = units.map(|n| vec![0; n]);
    for _ in 0..resamples {
        random.draw(&mut drawn[0]);
        if is_paired {
            let (baseline, candidate) = drawn.split_at_mut(1);
            candidate[0].copy_from_slice(&baseline[0]);
        } else {
            random.draw(&mut drawn[1]);
        }
        let mut values = resampled.iter_mut();
        for stage in stages {
            let mut sides = [[None; Metric::ALL.len()]; 2];
            for (side, value) in sides.iter_mut().enumerate() {
                stage.sides[side].values(&drawn[side], &mut |metric, v| value[metric as usize] = Some(v));
            }
            for of in values.by_ref().take(resampled_metrics().count()) {
                if let [Some(baseline), Some(candidate)] = sides.map(|side| side[of.metric as usize]) {
                    of.values.push([baseline, candidate]);
                }
            }
        }
    }
    resampled
}

/// The value at this share of the sorted list.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[((share * sorted.len() as f64) as usize).min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_as_many_as_units_and_fair() {
        let mut random = Random(1);
        let mut counts = [0_u32; 50];
        let mut sums = [0_u32; 50];
        for _ in 0..2_000 {
            random.draw(&mut counts);
            assert_eq!(counts.iter().sum::<u32>(), 50);
            sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        }
        assert!(sums.iter().all(|n| (1_800..2_200).contains(n)), "{sums:?}");
    }
}
