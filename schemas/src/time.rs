//! Points in time and durations: integer nanoseconds, so that sums are exact.

use std::ops::{Add, AddAssign, Sub, SubAssign};

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub i64);

/// A length of time in nanoseconds. Differences may be negative; a span's duration is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationNs(pub i64);

impl UnixNanos {
    pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
    pub const NANOS_PER_DAY: i64 = 86_400 * Self::NANOS_PER_SECOND;

    /// OTLP's fixed64; what lies beyond the year 2262 is clamped.
    pub fn from_wire(nanos: u64) -> Self {
        Self(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Days since the Unix epoch (Arrow's Date32).
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(Self::NANOS_PER_DAY)).unwrap_or(i32::MAX)
    }

    /// Microseconds since the epoch, rounded down.
    pub fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

impl DurationNs {
    pub const ZERO: Self = Self(0);

    /// From seconds as emitters report them; `None` for NaN, infinities and negative numbers.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let nanos = (seconds * 1e9).round();
        (0.0..9.2e18).contains(&nanos).then_some(Self(nanos as i64))
    }
}

impl Add<DurationNs> for UnixNanos {
    type Output = Self;
    fn add(self, d: DurationNs) -> Self {
        Self(self.0.saturating_add(d.0))
    }
}

impl Sub<DurationNs> for UnixNanos {
    type Output = Self;
    fn sub(self, d: DurationNs) -> Self {
        Self(self.0.saturating_sub(d.0))
    }
}

impl Sub for UnixNanos {
    type Output = DurationNs;
    fn sub(self, other: Self) -> DurationNs {
        DurationNs(self.0.saturating_sub(other.0))
    }
}

impl Add for DurationNs {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for DurationNs {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for DurationNs {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for DurationNs {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for DurationNs {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}
