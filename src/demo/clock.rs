//! Time in the simulation: whole nanoseconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub type Nanos = i64;

pub const SECOND: Nanos = 1_000_000_000;

pub const fn minutes(n: i64) -> Nanos {
    n * 60 * SECOND
}

pub fn millis(ms: f64) -> Nanos {
    (ms * 1e6) as Nanos
}

pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / SECOND as f64
}

pub fn system_time(at: Nanos) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(at.unsigned_abs())
}

pub fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
}
