//! Which file is read next: whoever is idle takes the next one of them all.
//!
//! While a query runs it learns what it need not read any more: `ORDER BY start_time DESC LIMIT n` has n rows, a join knows which
//! keys its other side has. A file that this rules out, by what the index knows of it, is passed over here, before anything is set up
//! for it. What that costs is a comparison of two numbers, of many files at once.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::physical_expr::{DynamicFilterTracking, PhysicalExpr, conjunction, split_conjunction};
use parking_lot::Mutex;
use plimsoll_schemas::table::Table;
use plimsoll_store::DataFile;

use crate::tables::prune;

/// Files that are looked at together.
const STRETCH: usize = 1_024;
/// Below so many bytes nothing is divided.
const PART_BYTES_MIN: u64 = 10 << 20;
/// Parts for each partition, so that none waits long for the last one.
const PARTS_PER_PARTITION: u64 = 4;

/// What is opened at once: a file, or where there are few of them the row groups that begin between two of its bytes.
#[derive(Debug, Clone)]
pub struct Part {
    pub file: Arc<DataFile>,
    pub bytes: Option<(i64, i64)>,
}

/// All parts of these files, the newest first.
pub fn parts(files: &[&Arc<DataFile>], partitions: usize) -> Arc<Vec<Part>> {
    let bytes: u64 = files.iter().map(|f| f.size_bytes).sum();
    let share = (bytes / (partitions.max(1) as u64 * PARTS_PER_PARTITION)).max(PART_BYTES_MIN);
    let mut parts = Vec::with_capacity(files.len());
    for file in files {
        let count = file.size_bytes.div_ceil(share).max(1);
        let at = |n: u64| (file.size_bytes * n / count) as i64;
        parts.extend(
            (0..count)
                .map(|n| Part { file: Arc::clone(file), bytes: (count > 1).then(|| (at(n), at(n + 1))) }),
        );
    }
    let mut parts = Arc::new(parts);
    sort(&mut parts, true);
    parts
}

/// The newest or the oldest first.
pub fn sort(parts: &mut Arc<Vec<Part>>, newest_first: bool) {
    let parts = Arc::make_mut(parts);
    if newest_first {
        parts.sort_by_key(|part| Reverse(part.file.time_range.1));
    } else {
        parts.sort_by_key(|part| part.file.time_range.0);
    }
}

/// What all partitions of one execution take parts from.
#[derive(Debug)]
pub struct Queue {
    table: Table,
    parts: Arc<Vec<Part>>,
    /// What is learnt while the query runs, in terms of the columns of `schema`; the rest of its predicate planning has made use of.
    learnt: Option<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    /// The next part.
    at: usize,
    /// Of the next parts, whether they are still to be read.
    wanted: std::vec::IntoIter<bool>,
    tracking: DynamicFilterTracking,
    passed_over: usize,
}

impl Queue {
    pub fn new(
        table: Table,
        parts: Arc<Vec<Part>>,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
    ) -> Self {
        let is_learnt =
            |e: &&Arc<dyn PhysicalExpr>| DynamicFilterTracking::classify(e).contains_dynamic_filter();
        let learnt: Vec<_> =
            predicate.into_iter().flat_map(split_conjunction).filter(is_learnt).cloned().collect();
        let learnt = (!learnt.is_empty()).then(|| conjunction(learnt));
        let tracking = learnt.as_ref().map_or(DynamicFilterTracking::Static, DynamicFilterTracking::classify);
        let taken = Taken { at: 0, wanted: Vec::new().into_iter(), tracking, passed_over: 0 };
        Self { table, parts, learnt, schema, taken: Mutex::new(taken) }
    }

    /// The next part that is still wanted, and how many were passed over before it since the last call.
    pub fn next(&self) -> Result<(Option<Part>, usize)> {
        let mut taken = self.taken.lock();
        let passed_over = taken.passed_over;
        loop {
            if taken.tracking.watcher().is_some_and(|w| w.changed()) {
                taken.wanted = Vec::new().into_iter();
            }
            let wanted = match taken.wanted.next() {
                Some(wanted) => wanted,
                None => {
                    let rest = &self.parts[taken.at..];
                    taken.wanted = self.wanted(&rest[..rest.len().min(STRETCH)])?.into_iter();
                    let Some(wanted) = taken.wanted.next() else {
                        return Ok((None, taken.passed_over - passed_over));
                    };
                    wanted
                }
            };
            let part = &self.parts[taken.at];
            taken.at += 1;
            if wanted {
                return Ok((Some(part.clone()), taken.passed_over - passed_over));
            }
            taken.passed_over += 1;
        }
    }

    fn wanted(&self, parts: &[Part]) -> Result<Vec<bool>> {
        let Some(learnt) = &self.learnt else { return Ok(vec![true; parts.len()]) };
        let files: Vec<&DataFile> = parts.iter().map(|part| part.file.as_ref()).collect();
        prune::may_match(self.table, self.schema.clone(), &files, learnt.clone())
    }
}
