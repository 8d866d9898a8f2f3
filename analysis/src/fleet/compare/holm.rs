//! Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): who asks of twenty stages whether any is worse
//! finds one in twenty by chance alone.

/// The adjusted p-values, in the order of the input; compared with the level as one test's would be.
pub fn adjusted(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut so_far = 0.0_f64;
    for (rank, i) in order.into_iter().enumerate() {
        so_far = so_far.max(p[i] * (p.len() - rank) as f64).min(1.0);
        adjusted[i] = so_far;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pays_for_all() {
        let adjusted = adjusted(&[0.01, 0.04, 0.03, 0.005]);
        for (a, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((a - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(super::adjusted(&[0.4]), [0.4]);
        assert!(super::adjusted(&[]).is_empty());
    }
}
