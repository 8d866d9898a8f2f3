//! How long a trace is waited for: as long as the options say while few rows stay in memory for it alone, less when they are many.
//!
//! Rows of traces that are waited for stay in memory after they were written to files. A trace that settled too early is settled again
//! when its late spans come, which costs time; spans that find no room are refused, which is worse.

use std::time::Duration;

use crate::options::StoreOptions;

/// However many rows wait, spans of a trace that come at nearly the same time are settled together.
const IDLE_AT_LEAST: Duration = Duration::from_secs(1);

/// Likewise, a trace that goes on is not settled at every pass: what it has in files is read each time.
const AGE_AT_LEAST: Duration = Duration::from_secs(10);

/// Which part of the tail rows take that only wait when the wait begins to be shorter, and when it is the least.
const SHORTER_FROM: f64 = 1.0 / 32.0;
const LEAST_FROM: f64 = 1.0 / 8.0;

/// Which traces a pass takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settling {
    /// Those without a new span for so long.
    pub idle: Duration,
    /// Those that are so old, even if spans still come.
    pub age: Duration,
}

impl Settling {
    /// Every trace, however fresh.
    pub const ALL: Self = Self { idle: Duration::ZERO, age: Duration::ZERO };

    /// With so many bytes of rows that only wait: up to a thirty-second of what the tail may hold traces have all of their time, from an
    /// eighth on the least.
    pub fn with(options: &StoreOptions, retained_bytes: usize) -> Self {
        let filled = retained_bytes as f64 / options.tail_bytes_max.max(1) as f64;
        let share = ((LEAST_FROM - filled) / (LEAST_FROM - SHORTER_FROM)).clamp(0.0, 1.0);
        let wait = |asked: Duration, least: Duration| asked.mul_f64(share).max(asked.min(least));
        Self {
            idle: wait(options.settle_after, IDLE_AT_LEAST),
            age: wait(options.settle_at_most, AGE_AT_LEAST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_more_rows_wait_the_shorter() {
        let options = StoreOptions::new(Path::new("/home"));
        let at = |parts: usize| Settling::with(&options, options.tail_bytes_max / 32 * parts);
        let asked = Settling { idle: options.settle_after, age: options.settle_at_most };
        assert_eq!(at(0), asked);
        assert_eq!(at(1), asked);
        assert!((1..4).all(|n| at(n + 1).idle < at(n).idle && at(n + 1).age < at(n).age));
        assert_eq!(at(4), Settling { idle: IDLE_AT_LEAST, age: AGE_AT_LEAST });
        assert_eq!(at(20), at(4));
    }

    #[test]
    fn what_is_asked_is_never_exceeded() {
        let short = Duration::from_millis(20);
        let options = StoreOptions {
            settle_after: short,
            settle_at_most: short,
            ..StoreOptions::new(Path::new("/home"))
        };
        let full = Settling::with(&options, options.tail_bytes_max);
        assert_eq!(full, Settling { idle: short, age: short });
    }
}
