//! McNemar's exact test of pairs: only tasks whose two sides differ speak, and without a difference between the sides
//! each of them falls either way like a coin (McNemar, Psychometrika 12, 1947; the binomial form is Liddell's, 1983).

/// The chance of at least `worse` of so many coins.
pub fn one_sided(worse: u64, better: u64) -> f64 {
    at_most(better, worse + better)
}

/// The chance of a split at least as uneven.
pub fn two_sided(worse: u64, better: u64) -> f64 {
    (2.0 * at_most(worse.min(better), worse + better)).min(1.0)
}

/// P(X ≤ k) of n fair coins; term by term in logarithms, so that thousands of coins are no matter.
fn at_most(k: u64, n: u64) -> f64 {
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = log_term.exp();
    for i in 0..k {
        log_term += ((n - i) as f64 / (i + 1) as f64).ln();
        sum += log_term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_coins() {
        assert_eq!(two_sided(0, 0), 1.0);
        assert_eq!(two_sided(6, 6), 1.0);
        assert!((two_sided(1, 5) - 14.0 / 64.0).abs() < 1e-12);
        assert!((two_sided(3, 6) - 260.0 / 512.0).abs() < 1e-12);
        assert!((one_sided(3, 0) - 0.125).abs() < 1e-12);
        assert!((one_sided(0, 3) - 1.0).abs() < 1e-12);
        assert!(two_sided(6_000, 5_000) < 1e-15);
    }
}
