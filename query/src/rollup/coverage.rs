//! What of the rollups is right, and as of when.
//!
//! A minute or hour is covered if its cells are what the runs, traces and verdicts up to `through` say. What came
//! after that is looked up (see [`super::changes`]), so that nothing stale is ever read. Losing this costs time only:
//! what is not covered is answered from single runs, and rolled up again.

use std::collections::BTreeMap;

use plimsoll_schemas::objective::Objective;
use plimsoll_schemas::table::Table;
use plimsoll_store::{Home, StoreError};
use serde::{Deserialize, Serialize};

use super::minutes::Minutes;

const FILE: &str = "rolled.json";
/// Stretches of an answer that are read from single runs; where they would be more, what lies between near ones is too.
const STRETCHES_MAX: usize = 32;

/// By what runs are judged, as far as their counts depend on it: empty where by nothing.
pub type Digest = String;

/// The digest of all runs, judged by nothing.
pub const ALL_RUNS: &str = "";

/// What an objective counts, without its name and its target.
pub fn digest(objective: &Objective) -> Digest {
    let Objective { stage, filter, threshold, quality, evaluator, .. } = objective;
    if filter.is_empty() && threshold.is_none() && quality.is_empty() && evaluator.is_none() {
        return Digest::new();
    }
    digest_of(&serde_json::json!([stage, filter, threshold.map(|t| t.0), quality, evaluator]).to_string())
}

pub fn digest_of(text: &str) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// See the module's description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// What the counts mean besides objectives: other configured meanings of labels, or another version of us, make others.
    pub meaning: String,
    /// The log's sequence up to which changes are accounted for.
    pub through: u64,
    /// Whether no pass of settling can have that sequence any more.
    pub is_final: bool,
    /// And the passes of settling; not known of another process'.
    #[serde(skip)]
    pub settled: Option<u64>,
    of: BTreeMap<Digest, Rolled>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    pub minutes: Minutes,
    /// Whole hours.
    pub hours: Minutes,
}

impl Rolled {
    pub fn of(&self, table: Table) -> &Minutes {
        if table == Table::StageHours { &self.hours } else { &self.minutes }
    }

    pub fn of_mut(&mut self, table: Table) -> &mut Minutes {
        if table == Table::StageHours { &mut self.hours } else { &mut self.minutes }
    }

    pub fn add(&mut self, table: Table, stretch: &Minutes) {
        let of = self.of_mut(table);
        *of = of.union(stretch);
    }
}

/// From where an answer over a stretch of time is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    pub hours: Minutes,
    pub minutes: Minutes,
    /// Nanoseconds of which single runs are read.
    pub runs: Vec<(i64, i64)>,
}

impl Coverage {
    /// As the last process left it; nothing where it cannot be read.
    pub async fn load(home: &Home) -> Self {
        match home.get(FILE).await {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %home.name(FILE).display(), %error, "damaged: everything is rolled up again");
                Self::default()
            }),
            Ok(None) | Err(_) => Self::default(),
        }
    }

    pub async fn save(&self, home: &Home) -> Result<(), StoreError> {
        home.put(FILE, serde_json::to_vec(self).unwrap_or_default().into()).await
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.of.values().all(|rolled| rolled.minutes.is_empty() && rolled.hours.is_empty())
    }

    pub fn rolled(&self, digest: &str) -> Rolled {
        self.of.get(digest).cloned().unwrap_or_default()
    }

    pub fn rolled_mut(&mut self, digest: &str) -> &mut Rolled {
        self.of.entry(digest.to_owned()).or_default()
    }

    /// Lets go of what nobody judges by any more.
    pub fn retain(&mut self, digests: &[Digest]) {
        self.of.retain(|digest, _| digests.contains(digest));
    }

    /// Lets go of all if it was counted otherwise; and of tables that hold nothing: somebody took them away. Of single stretches nothing can be told, many of
    /// them have no runs.
    pub fn still(mut self, meaning: &str, held: &BTreeMap<Digest, Rolled>) -> Self {
        if self.meaning != meaning {
            return Self::default();
        }
        self.of.retain(|digest, rolled| {
            let held = held.get(digest);
            [Table::StageMinutes, Table::StageHours].into_iter().all(|table| {
                rolled.of(table).is_empty() || held.is_some_and(|held| !held.of(table).is_empty())
            })
        });
        self
    }

    /// Lets go of minutes in which something changed.
    pub fn uncover(&mut self, changed: &Minutes) {
        let hours = changed.hours();
        for rolled in self.of.values_mut() {
            rolled.minutes = rolled.minutes.without(changed);
            rolled.hours = rolled.hours.without(&hours);
        }
    }

    /// From where runs between two instants are read, of all that these digests judge by; `by_hour` if cells may be as wide.
    pub fn cover(&self, digests: &[Digest], start: i64, end: i64, by_hour: bool) -> Cover {
        let whole = Minutes::within(start, end);
        let (mut minutes, mut hours) = (whole.clone(), whole.whole_hours());
        for digest in digests {
            let rolled = self.rolled(digest);
            minutes = minutes.intersection(&rolled.minutes);
            hours = hours.intersection(&rolled.hours);
        }
        if !by_hour || digests.is_empty() {
            hours = Minutes::default();
        }
        if digests.is_empty() {
            minutes = Minutes::default();
        }
        let mut rolled = hours.union(&minutes);
        // Between n stretches of cells and the ends lie up to n + 1 of runs.
        if rolled.ranges().len() >= STRETCHES_MAX {
            let mut ranges = rolled.ranges().to_vec();
            ranges.sort_by_key(|(start, end)| start - end);
            rolled = ranges.into_iter().take(STRETCHES_MAX - 1).collect();
        }
        let hours = hours.intersection(&rolled);
        let minutes = minutes.intersection(&rolled).without(&hours);
        let mut runs = Vec::new();
        let mut from = start;
        for (first, last) in rolled.stretches() {
            runs.push((from, first));
            from = last;
        }
        runs.push((from, end));
        runs.retain(|(from, to)| from < to);
        Cover { hours, minutes, runs }
    }
}

impl Cover {
    /// Whether any cell is read.
    pub fn is_rolled(&self) -> bool {
        !self.hours.is_empty() || !self.minutes.is_empty()
    }
}

/// A condition on `start_unix_nano`.
pub fn within(stretches: impl IntoIterator<Item = (i64, i64)>) -> String {
    is_within("start_unix_nano", stretches)
}

/// A condition on a time.
pub fn is_within(time: &str, stretches: impl IntoIterator<Item = (i64, i64)>) -> String {
    let each: Vec<String> =
        stretches.into_iter().map(|(start, end)| format!("{time} >= {start} AND {time} < {end}")).collect();
    match each.as_slice() {
        [] => "false".to_owned(),
        [one] => one.clone(),
        all => format!("({})", all.join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::objective::built_in;
    use proptest::prelude::*;

    use super::super::minutes::MINUTE_NS;
    use super::*;

    proptest! {
        #[test]
        fn every_instant_is_read_once(
            minutes in prop::collection::vec((0_i64..600, 1_i64..90), 0..60),
            hours in prop::collection::vec(0_i64..12, 0..6),
            changed in prop::collection::vec(0_i64..700, 0..6),
            start in 0_i64..700 * MINUTE_NS, length in 1_i64..700 * MINUTE_NS, by_hour in any::<bool>(),
        ) {
            let mut coverage = Coverage::default();
            coverage.rolled_mut("a").minutes = minutes.iter().map(|(at, n)| (*at, at + n)).collect();
            coverage.rolled_mut("a").hours = hours.iter().map(|h| (h * 60, h * 60 + 60)).collect();
            let changed: Minutes = changed.iter().map(|at| (*at, at + 1)).collect();
            coverage.uncover(&changed);
            let cover = coverage.cover(&["a".to_owned()], start, start + length, by_hour);
            let mut parts: Vec<(i64, i64)> = cover.hours.stretches().chain(cover.minutes.stretches()).collect();
            parts.extend(&cover.runs);
            parts.sort_unstable();
            prop_assert_eq!((parts[0].0, parts[parts.len() - 1].1), (start, start + length));
            prop_assert!(parts.windows(2).all(|w| w[0].1 == w[1].0), "{:?}", parts);
            prop_assert!(cover.runs.len() <= STRETCHES_MAX);
            let cells = cover.hours.union(&cover.minutes);
            prop_assert!(cells.intersection(&changed).is_empty());
            prop_assert!(by_hour || cover.hours.is_empty());
            prop_assert_eq!(coverage.cover(&[], start, start + length, by_hour).runs, vec![(start, start + length)]);
        }
    }

    #[test]
    fn only_what_counts_tells_objectives_apart() {
        let mut objective = built_in(Some("inference"));
        objective.target = 0.5;
        assert_eq!(digest(&objective), ALL_RUNS);
        objective.quality.push("faithful".into());
        let judged = digest(&objective);
        objective.name.push('x');
        assert_eq!(digest(&objective), judged);
        objective.quality.push("safe".into());
        assert_ne!(digest(&objective), judged);
    }

    #[tokio::test]
    async fn a_damaged_file_covers_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(&folder.path().into()).expect("opens");
        let mut coverage = Coverage { through: 7, ..Coverage::default() };
        coverage.rolled_mut(ALL_RUNS).minutes = Minutes::of(1, 5);
        coverage.save(&home).await.expect("written");
        assert_eq!(Coverage::load(&home).await, coverage);
        std::fs::write(folder.path().join(FILE), "{").expect("written");
        assert!(Coverage::load(&home).await.is_empty());
    }
}
