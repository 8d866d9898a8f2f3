//! Points in time as exports write them, as unix nanoseconds.

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// RFC 3339, the same without an offset (then UTC), or a number whose size tells its unit.
pub fn unix_nano(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => of_text(text),
        Value::Number(number) => match number.as_i64() {
            Some(n) => whole(n),
            None => number.as_f64().and_then(fraction),
        },
        _ => None,
    }
}

pub fn of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(n) = text.parse::<i64>() {
        return whole(n);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt();
    }
    let text = text.replacen(' ', "T", 1);
    if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
        return time.timestamp_nanos_opt();
    }
    let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    time.and_utc().timestamp_nanos_opt()
}

/// Seconds, milliseconds, microseconds or nanoseconds: between 1973 and 2262 their sizes do not overlap.
fn whole(n: i64) -> Option<i64> {
    let unit = match n.unsigned_abs() {
        0..=99_999_999_999 => 1_000_000_000,
        100_000_000_000..=99_999_999_999_999 => 1_000_000,
        100_000_000_000_000..=99_999_999_999_999_999 => 1_000,
        _ => 1,
    };
    n.checked_mul(unit)
}

fn fraction(x: f64) -> Option<i64> {
    let scale = match x.abs() {
        x if x < 1e11 => 1e9,
        x if x < 1e14 => 1e6,
        x if x < 1e17 => 1e3,
        _ => 1.0,
    };
    let nanos = x * scale;
    (nanos.abs() < 9.2e18).then_some(nanos.round() as i64)
}

pub fn rfc3339(unix_nano: i64) -> String {
    DateTime::from_timestamp_nanos(unix_nano).to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_come_in_many_shapes() {
        let expected = 1_754_065_244_321_269_000;
        for value in [
            json!("2025-08-01T16:20:44.321269Z"),
            json!("2025-08-01T16:20:44.321269"),
            json!("2025-08-01 16:20:44.321269"),
            json!("2025-08-01T18:20:44.321269+02:00"),
            json!("2025-08-01 18:20:44.321269+02:00"),
            json!(1_754_065_244_321_269_i64),
            json!("1754065244321269000"),
        ] {
            assert_eq!(unix_nano(&value), Some(expected), "{value}");
        }
        assert_eq!(unix_nano(&json!(1_754_065_244)), Some(1_754_065_244_000_000_000));
        assert_eq!(unix_nano(&json!(1_754_065_244_321_i64)), Some(1_754_065_244_321_000_000));
        assert_eq!(unix_nano(&json!("soon")), None);
    }
}
