//! Points in time and stretches of it as people write them.

use chrono::{DateTime, NaiveDate, Utc};
use plimsoll_schemas::objective::duration;
use plimsoll_schemas::{DurationNs, UnixNanos};

use crate::error::QueryError;

/// A half-open stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub start: UnixNanos,
    pub end: UnixNanos,
}

/// Steps that read well on an axis, in seconds.
const STEPS_S: [i64; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
/// Points of a series when nobody asks for a step.
const POINTS_DEFAULT: i64 = 60;
/// Points of a series at most: a chart is not wider, and each point is a group in memory.
const POINTS_MAX: i64 = 2_000;

impl TimeRange {
    /// From parameters; without them the last hour.
    pub fn parse(start: Option<&str>, end: Option<&str>, now: UnixNanos) -> Result<Self, QueryError> {
        let start = instant(start.unwrap_or("-1h"), now)
            .ok_or_else(|| bad_instant("start", start.unwrap_or_default()))?;
        let end =
            instant(end.unwrap_or("now"), now).ok_or_else(|| bad_instant("end", end.unwrap_or_default()))?;
        if end <= start {
            return Err(QueryError::Invalid("end: must be after start".into()));
        }
        Ok(Self { start, end })
    }

    pub fn length(&self) -> DurationNs {
        self.end - self.start
    }

    /// The width of a series' windows: what was asked for, else one that gives about 60 of them.
    pub fn step(&self, asked: Option<&str>) -> Result<DurationNs, QueryError> {
        let length = self.length().0;
        let Some(text) = asked else {
            let ideal = length / POINTS_DEFAULT / UnixNanos::NANOS_PER_SECOND;
            let seconds = STEPS_S.into_iter().find(|s| *s >= ideal).unwrap_or(ideal);
            return Ok(DurationNs(seconds * UnixNanos::NANOS_PER_SECOND));
        };
        let step = duration(text).filter(|d| d.0 > 0).ok_or_else(|| {
            QueryError::Invalid(format!("step: expected a duration such as 10s or 1m, got {text:?}"))
        })?;
        if length / step.0 > POINTS_MAX {
            let problem =
                format!("step: {text} makes more than {POINTS_MAX} points over this range; use a longer one");
            return Err(QueryError::Invalid(problem));
        }
        Ok(step)
    }
}

pub fn bad_instant(name: &str, text: &str) -> QueryError {
    QueryError::Invalid(format!(
        "{name}: expected RFC 3339 (2026-01-31T12:00:00Z), unix nanoseconds, or relative (now, -15m, now-1h), got {text:?}"
    ))
}

/// RFC 3339, a date, unix nanoseconds, or relative to `now`.
pub fn instant(text: &str, now: UnixNanos) -> Option<UnixNanos> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    if let Some(back) = text.strip_prefix("now-").or_else(|| text.strip_prefix('-')) {
        return duration(back).map(|d| now - d);
    }
    if let Some(ahead) = text.strip_prefix("now+").or_else(|| text.strip_prefix('+')) {
        return duration(ahead).map(|d| now + d);
    }
    if let Ok(nanos) = text.parse() {
        return Some(UnixNanos(nanos));
    }
    let parsed = DateTime::parse_from_rfc3339(text).map(|t| t.with_timezone(&Utc)).ok().or_else(|| {
        let date: NaiveDate = text.parse().ok()?;
        Some(date.and_hms_opt(0, 0, 0)?.and_utc())
    })?;
    parsed.timestamp_nanos_opt().map(UnixNanos)
}

pub fn now() -> UnixNanos {
    UnixNanos(Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    #[test]
    fn instants_come_in_many_shapes() {
        let cases = [
            ("now", NOW.0),
            ("-1h", NOW.0 - 3_600_000_000_000),
            ("now-15m", NOW.0 - 900_000_000_000),
            ("1700000000000000001", NOW.0 + 1),
            ("2023-11-14T22:13:20Z", NOW.0),
            ("2023-11-14T23:13:20+01:00", NOW.0),
            ("2023-11-14", 1_699_920_000_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(instant(text, NOW), Some(UnixNanos(nanos)), "{text}");
        }
        for text in ["", "yesterday", "-", "-1", "12:00"] {
            assert_eq!(instant(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn steps_are_round_and_bounded() {
        let range = TimeRange::parse(None, None, NOW).expect("default");
        assert_eq!(range.step(None).expect("step"), DurationNs(60_000_000_000));
        assert!(range.step(Some("1ms")).is_err());
        assert!(TimeRange::parse(Some("now"), Some("-1h"), NOW).is_err());
    }
}
