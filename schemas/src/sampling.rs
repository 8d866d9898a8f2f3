//! How many spans one sampled span stands for, as its tracestate says (OpenTelemetry, "TraceState: Probability Sampling":
//! the member `ot`, its rejection threshold `th`). Not for samplers that say nothing: theirs is unknown.

/// Thresholds are of 56 bits: 14 hex digits, trailing zeros left out.
const DIGITS: usize = 14;
const ALL: u64 = 1 << (4 * DIGITS);

/// The adjusted count of a span: 1 ÷ the probability with which it was kept. `None` where the tracestate does not say, or not
/// in OpenTelemetry's form.
pub fn adjusted_count(trace_state: &str) -> Option<f64> {
    let ours = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = ours.split(';').find_map(|field| field.strip_prefix("th:"))?;
    let is_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits.is_empty() || digits.len() > DIGITS || !is_hex {
        return None;
    }
    let threshold = u64::from_str_radix(digits, 16).ok()? << (4 * (DIGITS - digits.len()));
    Some(ALL as f64 / (ALL - threshold) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_the_share_that_was_rejected() {
        for (trace_state, count) in [
            ("ot=th:0", Some(1.0)),
            ("ot=th:8", Some(2.0)),
            ("ot=th:c", Some(4.0)),
            ("ot=th:e;rv:abcdef01234567", Some(8.0)),
            ("ot=rv:abcdef01234567;th:c", Some(4.0)),
            ("rojo=00f067aa0ba902b7, ot=th:8", Some(2.0)),
            ("ot=th:ffffffffffffff", Some(ALL as f64)),
            ("", None),
            ("ot=rv:abcdef01234567", None),
            ("ot=th:", None),
            ("ot=th:C", None),
            ("ot=th:+8", None),
            ("ot=th:000000000000000", None),
            ("not=th:8", None),
            ("vendor=ot=th:8", None),
        ] {
            assert_eq!(adjusted_count(trace_state), count, "{trace_state:?}");
        }
        // One in ten, to as many digits as samplers write.
        let tenth = adjusted_count("ot=th:e6666666666666").expect("a threshold");
        assert!((tenth - 10.0).abs() < 1e-9, "{tenth}");
    }
}
