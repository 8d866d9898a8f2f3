//! Intervals of shares and of their differences. None of them leaves what is possible, and none shrinks to nothing where
//! all runs agree, as the textbook's ±1.96·s does.

/// Two-sided; of a difference it is candidate − baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// How many of how many. Not whole numbers: runs of one trace are not independent, and count for less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub hits: f64,
    pub of: f64,
}

impl Share {
    pub fn value(self) -> f64 {
        self.hits / self.of
    }
}

/// What became of tasks that both sides had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    pub both: u64,
    pub baseline_only: u64,
    pub candidate_only: u64,
    pub neither: u64,
}

impl Pairs {
    pub fn len(self) -> u64 {
        self.both + self.baseline_only + self.candidate_only + self.neither
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn baseline(self) -> Share {
        Share { hits: (self.both + self.baseline_only) as f64, of: self.len() as f64 }
    }

    pub fn candidate(self) -> Share {
        Share { hits: (self.both + self.candidate_only) as f64, of: self.len() as f64 }
    }
}

/// Wilson's score interval (Journal of the American Statistical Association 22, 1927).
pub fn wilson(share: Share, z: f64) -> Interval {
    let (n, p, z2) = (share.of, share.value(), z * z);
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
    Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// Of independent shares: Newcombe's hybrid score interval (Statistics in Medicine 17:873–890, 1998, method 10).
pub fn newcombe(baseline: Share, candidate: Share, z: f64) -> Interval {
    combine(baseline, candidate, 0.0, z)
}

/// Of pairs: the same with the pairs' correlation φ (Newcombe, Statistics in Medicine 17:2635–2650, 1998, method 10).
pub fn newcombe_paired(pairs: Pairs, z: f64) -> Interval {
    let [a, b, c, d] =
        [pairs.both, pairs.baseline_only, pairs.candidate_only, pairs.neither].map(|n| n as f64);
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    let excess = a * d - b * c;
    // A positive correlation is taken for less than it seems.
    let excess = if excess > 0.0 { (excess - (a + b + c + d) / 2.0).max(0.0) } else { excess };
    let phi = if margins == 0.0 { 0.0 } else { excess / margins.sqrt() };
    combine(pairs.baseline(), pairs.candidate(), phi, z)
}

fn combine(baseline: Share, candidate: Share, phi: f64, z: f64) -> Interval {
    let (b, c) = (wilson(baseline, z), wilson(candidate, z));
    let (p, q) = (baseline.value(), candidate.value());
    let length = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let difference = q - p;
    Interval {
        low: difference - length(b.high - p, q - c.low),
        high: difference + length(p - b.low, c.high - q),
    }
}

/// The share of runs, with fewer of them where the runs of a trace resemble each other: both counts divided by the
/// design effect (Rao and Scott, Biometrics 48:577–585, 1992). `clusters`: hits and runs of each trace.
pub fn effective(clusters: &[(u32, u32)]) -> Share {
    let m = clusters.len() as f64;
    let hits: f64 = clusters.iter().map(|c| f64::from(c.0)).sum();
    let of: f64 = clusters.iter().map(|c| f64::from(c.1)).sum();
    let p = hits / of;
    if clusters.iter().all(|c| c.1 <= 1) {
        return Share { hits, of };
    }
    let binomial = p * (1.0 - p) / of;
    if clusters.len() < 2 || binomial == 0.0 {
        // All runs agree, and nothing tells how alike those of a trace are: each trace counts once.
        return Share { hits: p * m, of: m };
    }
    let residuals: f64 = clusters.iter().map(|c| (f64::from(c.0) - p * f64::from(c.1)).powi(2)).sum();
    let effect = (m / (m - 1.0) * residuals / (of * of) / binomial).max(1.0);
    Share { hits: hits / effect, of: of / effect }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: f64 = 1.959_963_984_540_054;

    fn share(hits: f64, of: f64) -> Share {
        Share { hits, of }
    }

    fn near(interval: Interval, low: f64, high: f64) {
        let close = |a: f64, b: f64| (a - b).abs() < 6e-5;
        assert!(close(interval.low, low) && close(interval.high, high), "{interval:?}, not {low} to {high}");
    }

    #[test]
    fn newcombes_first_paper_agrees() {
        near(newcombe(share(48.0, 80.0), share(56.0, 70.0), Z), 0.0524, 0.3339);
        near(newcombe(share(3.0, 10.0), share(9.0, 10.0), Z), 0.1705, 0.8090);
        near(newcombe(share(0.0, 10.0), share(10.0, 10.0), Z), 0.6075, 1.0);
        near(wilson(share(0.0, 10.0), Z), 0.0, 0.2775);
    }

    #[test]
    fn newcombes_second_paper_agrees() {
        let pairs = |both, candidate_only, baseline_only, neither| Pairs {
            both,
            baseline_only,
            candidate_only,
            neither,
        };
        near(newcombe_paired(pairs(36, 12, 2, 0), Z), 0.0569, 0.3404);
        // As many better as worse: as far up as down.
        let even = newcombe_paired(pairs(28, 6, 6, 0), Z);
        assert!((even.low + even.high).abs() < 1e-12, "{even:?}");
    }

    #[test]
    fn runs_of_one_trace_that_are_all_alike_count_once() {
        let alone = effective(&[(1, 1), (0, 1), (1, 1), (0, 1)]);
        assert_eq!(alone, share(2.0, 4.0));
        let alike = effective(&[(5, 5), (0, 5), (5, 5), (0, 5)]);
        assert!((alike.of - 3.0).abs() < 1e-9, "{alike:?}");
        assert_eq!(effective(&[(3, 3), (2, 2)]), share(2.0, 2.0));
        assert_eq!(effective(&[(1, 1), (1, 1), (1, 1)]), share(3.0, 3.0));
    }
}
