//! What of a range, and of the windows before its end, is read from cells of rollups and what from single runs.

use plimsoll_schemas::objective::Objective;

use crate::analyses::Analysis;
use crate::rollup::coverage::{Cover, Coverage, Digest, digest};
use crate::rollup::minutes::{HOUR_NS, MINUTE_NS};
use crate::rollup::relation::Held;

/// Windows over which the burn of the error budget is stated, up to the end of the range.
const BURN_WINDOWS: [(&str, i64); 5] = [
    ("5m", 5 * MINUTE_NS),
    ("30m", 30 * MINUTE_NS),
    ("1h", HOUR_NS),
    ("6h", 6 * HOUR_NS),
    ("3d", 72 * HOUR_NS),
];
/// Days are read only where a day's part is asked about: a screen of the last hour need not scan three of them.
const LONG_WINDOW_NS: i64 = 24 * HOUR_NS;
const LONG_FROM_RANGE_NS: i64 = 6 * HOUR_NS;

/// Longer ranges are read once for each statement: a month of hours is a few hundred thousand cells.
const HELD_MAX_NS: i64 = 31 * 24 * HOUR_NS;

/// From where the range and the windows before its end are read. Apart, since a window begins within an hour: of that hour's
/// minutes its counts are enough, where the range would be read with all that they hold.
#[derive(Debug)]
pub struct Rolled {
    pub by_hour: Cover,
    pub by_minute: Cover,
    pub windows: Cover,
    /// Single runs, read once for all of them.
    pub runs: Vec<(i64, i64)>,
    /// Instants across which single runs are not counted together.
    pub bounds: Vec<i64>,
}

impl Rolled {
    /// Whether a table's cells are few enough to be held at once.
    pub fn holds(&self, table: Held) -> bool {
        let cover = if table == Held::Range { &self.by_hour } else { &self.windows };
        let covered = cover.hours.stretches().chain(cover.minutes.stretches());
        cover.is_rolled() && covered.map(|(start, end)| end - start).sum::<i64>() <= HELD_MAX_NS
    }

    /// `None` where no cell helps.
    pub fn new(objectives: &[Objective], asked: &Analysis, coverage: &Coverage) -> Option<Self> {
        let mut digests: Vec<Digest> = objectives.iter().map(digest).collect();
        digests.sort_unstable();
        digests.dedup();
        let (start, end) = (asked.range.start.0, asked.range.end.0);
        let cover = |start, end, by_hour| coverage.cover(&digests, start, end, by_hour);
        let (by_hour, by_minute) = (cover(start, end, true), cover(start, end, false));
        // An hour is covered only where its minutes are.
        if !by_hour.is_rolled() || by_hour.runs != by_minute.runs {
            return None;
        }
        let mut bounds: Vec<i64> = burn_windows(asked).into_iter().map(|(_, ns)| end - ns).collect();
        bounds.extend([start, end]);
        bounds.sort_unstable();
        let from = end - longest(asked);
        let parts = bounds.windows(2).filter(|part| part[0] >= from && part[0] < part[1]);
        let windows = parts.map(|part| cover(part[0], part[1], true)).reduce(|all, part| Cover {
            hours: all.hours.union(&part.hours),
            minutes: all.minutes.union(&part.minutes),
            runs: [all.runs, part.runs].concat(),
        })?;
        let mut runs = [by_hour.runs.as_slice(), &windows.runs].concat();
        runs.sort_unstable();
        // So that the time of what is counted together says whose stretches it lies in.
        bounds.extend(runs.iter().flat_map(|(start, end)| [*start, *end]));
        bounds.sort_unstable();
        bounds.dedup();
        Some(Self { by_hour, by_minute, windows, runs: united(runs), bounds })
    }
}

/// Ordered stretches, of which none overlaps or touches the next.
fn united(stretches: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    let mut united: Vec<(i64, i64)> = Vec::with_capacity(stretches.len());
    for (start, end) in stretches {
        match united.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => united.push((start, end)),
        }
    }
    united
}

/// The longest of the windows.
pub fn longest(asked: &Analysis) -> i64 {
    burn_windows(asked).into_iter().map(|(_, ns)| ns).max().unwrap_or(0)
}

pub fn burn_windows(asked: &Analysis) -> Vec<(&'static str, i64)> {
    let is_long = asked.range.length().0 >= LONG_FROM_RANGE_NS;
    BURN_WINDOWS.into_iter().filter(|(_, ns)| is_long || *ns < LONG_WINDOW_NS).collect()
}
