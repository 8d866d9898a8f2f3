//! The standard normal distribution.

/// P(Z ≤ x), by Marsaglia's series ("Evaluating the Normal Distribution", Journal of Statistical Software 11(4), 2004):
/// exact to a double where a double can tell the answer from 0 and 1.
pub fn cdf(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut n) = (x, x, 1.0);
    while sum + term != sum {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    (0.5 + sum * (-0.5 * x * x - 0.918_938_533_204_672_8).exp()).clamp(0.0, 1.0)
}

/// The x with P(Z ≤ x) = p, for p in (0, 1).
pub fn quantile(p: f64) -> f64 {
    bisect(-8.0, 8.0, |x| cdf(x) < p)
}

/// Where `is_below` turns false, to the precision of a double.
pub fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree() {
        for (x, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-1.959_963_984_540_054, 0.025),
            (3.0, 0.998_650_101_968_37),
        ] {
            assert!((cdf(x) - p).abs() < 1e-14, "{x}: {}", cdf(x));
            assert!((quantile(p) - x).abs() < 1e-9, "{p}: {}", quantile(p));
        }
        assert_eq!((cdf(40.0), cdf(-40.0)), (1.0, 0.0));
    }
}
