//! A set of minutes since the epoch, as the ranges that it consists of: what is rolled up is mostly one long stretch.

use plimsoll_schemas::UnixNanos;
use serde::{Deserialize, Serialize};

pub const MINUTE_NS: i64 = 60 * UnixNanos::NANOS_PER_SECOND;
pub const HOUR_MINUTES: i64 = 60;
pub const HOUR_NS: i64 = HOUR_MINUTES * MINUTE_NS;

/// Half-open ranges, in order, none of which touches the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minutes(Vec<(i64, i64)>);

impl Minutes {
    pub fn of(start: i64, end: i64) -> Self {
        if start < end { Self(vec![(start, end)]) } else { Self::default() }
    }

    /// Those that lie wholly within a stretch of time.
    pub fn within(start_unix_nano: i64, end_unix_nano: i64) -> Self {
        let start =
            start_unix_nano.div_euclid(MINUTE_NS) + i64::from(start_unix_nano.rem_euclid(MINUTE_NS) > 0);
        Self::of(start, end_unix_nano.div_euclid(MINUTE_NS))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ranges(&self) -> &[(i64, i64)] {
        &self.0
    }

    /// As stretches of nanoseconds.
    pub fn stretches(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().map(|(start, end)| (start.saturating_mul(MINUTE_NS), end.saturating_mul(MINUTE_NS)))
    }

    pub fn union(&self, other: &Self) -> Self {
        self.sweep(other, |a, b| a || b)
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.sweep(other, |a, b| a && b)
    }

    pub fn without(&self, other: &Self) -> Self {
        self.sweep(other, |a, b| a && !b)
    }

    /// The minutes of every hour of which a minute is in the set.
    pub fn hours(&self) -> Self {
        Self::from_iter(self.0.iter().map(|(start, end)| (hour_of(*start), hour_from(*end))))
    }

    /// The minutes of every hour that is in the set as a whole.
    pub fn whole_hours(&self) -> Self {
        Self::from_iter(self.0.iter().map(|(start, end)| (hour_from(*start), hour_of(*end))))
    }

    /// The minutes of the set in the last hour that has any; and when that hour starts.
    pub fn last_hour(&self) -> Option<(i64, Self)> {
        let (_, end) = self.0.last()?;
        let hour = hour_of(end - 1);
        Some((hour, self.intersection(&Self::of(hour, hour + HOUR_MINUTES))))
    }

    /// The minutes of which `keep` says so by whether each set has them; it is false where neither has.
    fn sweep(&self, other: &Self, keep: impl Fn(bool, bool) -> bool) -> Self {
        let bounds = |set: &Self, which: usize| -> Vec<(i64, usize)> {
            set.0.iter().flat_map(|(start, end)| [(*start, which), (*end, which)]).collect()
        };
        let mut edges = [bounds(self, 0), bounds(other, 1)].concat();
        edges.sort_unstable();
        let (mut inside, mut ranges, mut open) = ([false; 2], Vec::new(), None);
        for (at, which) in edges {
            inside[which] = !inside[which];
            match (keep(inside[0], inside[1]), open) {
                (true, None) => open = Some(at),
                (false, Some(start)) => {
                    ranges.push((start, at));
                    open = None;
                }
                _ => {}
            }
        }
        Self::from_iter(ranges)
    }
}

/// The first minute of its hour.
fn hour_of(minute: i64) -> i64 {
    minute.div_euclid(HOUR_MINUTES) * HOUR_MINUTES
}

/// The first minute of an hour from there on.
fn hour_from(minute: i64) -> i64 {
    hour_of(minute + HOUR_MINUTES - 1)
}

impl FromIterator<(i64, i64)> for Minutes {
    /// Of ranges in any order, which may overlap.
    fn from_iter<I: IntoIterator<Item = (i64, i64)>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(start, end)| start < end).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        Self(merged)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((-200_i64..200, 0_i64..90).prop_map(|(a, n)| (a, a + n)), 0..8)
    }

    fn one_by_one(ranges: &[(i64, i64)]) -> BTreeSet<i64> {
        ranges.iter().flat_map(|(a, b)| *a..*b).collect()
    }

    fn check(set: &Minutes, want: &BTreeSet<i64>) {
        assert_eq!(&one_by_one(set.ranges()), want);
        assert!(set.ranges().windows(2).all(|w| w[0].1 < w[1].0), "{set:?}");
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in ranges(), b in ranges()) {
            let (x, y) = (Minutes::from_iter(a.clone()), Minutes::from_iter(b.clone()));
            let (a, b) = (one_by_one(&a), one_by_one(&b));
            check(&x, &a);
            check(&x.union(&y), &a.union(&b).copied().collect());
            check(&x.intersection(&y), &a.intersection(&b).copied().collect());
            check(&x.without(&y), &a.difference(&b).copied().collect());
            let hours: BTreeSet<i64> = a.iter().map(|m| m.div_euclid(60)).collect();
            check(&x.hours(), &hours.iter().flat_map(|h| h * 60..h * 60 + 60).collect());
            let whole = hours.iter().filter(|h| (*h * 60..*h * 60 + 60).all(|m| a.contains(&m)));
            check(&x.whole_hours(), &whole.flat_map(|h| h * 60..h * 60 + 60).collect());
            let last = a.last().map(|m| m.div_euclid(60) * 60);
            prop_assert_eq!(x.last_hour().map(|(hour, _)| hour), last);
        }

        #[test]
        fn a_stretch_has_its_whole_minutes(start in -MINUTE_NS * 3..MINUTE_NS * 3, length in 0..MINUTE_NS * 5) {
            let end = start + length;
            let whole = (-10_i64..10).filter(|m| m * MINUTE_NS >= start && (m + 1) * MINUTE_NS <= end);
            check(&Minutes::within(start, end), &whole.collect());
        }
    }
}
