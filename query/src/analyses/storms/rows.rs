//! From rows of SQL to what the search for storms takes, and from storms to rows of the answer.

use std::collections::BTreeMap;

use plimsoll_analysis::Edge;
use plimsoll_analysis::fleet::storms::{Counts, EdgeSeries, Observed, Requests, Storm};
use plimsoll_schemas::DurationNs;
use serde_json::{Map, Value, json};

use super::{Windows, count};
use crate::analyses::ratio;

/// Windows before and after a storm that its series shows.
const AROUND: u32 = 30;

type Names = (String, String, String);

/// The edges of a range, by name.
#[derive(Debug, Default)]
pub struct Edges(Vec<Read>);

/// An edge's names, depth and windows.
type Read = (Names, u32, Vec<(u32, Counts)>);

fn names(row: &Map<String, Value>, prefix: &str) -> Names {
    let text = |column: &str| {
        row.get(&format!("{prefix}{column}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (text("caller"), text("callee"), text("operation"))
}

impl Edges {
    /// Rows are sorted by edge and window.
    pub fn read(rows: Vec<Map<String, Value>>) -> Self {
        let mut edges: Vec<Read> = Vec::new();
        for row in rows {
            let names = names(&row, "");
            let ns = |column: &str| DurationNs(count(&row, column) as i64);
            let counts = Counts {
                logical_calls: count(&row, "logical_calls"),
                attempts: count(&row, "attempts"),
                retries: count(&row, "retries"),
                failed: count(&row, "failed"),
                failed_overload: count(&row, "failed_overload"),
                failed_deadline: count(&row, "failed_deadline"),
                failed_correctness: count(&row, "failed_correctness"),
                wasted: ns("wasted_ns"),
                queue_known: count(&row, "queue_known"),
                queue: ns("queue_ns"),
            };
            let (depth, window) = (count(&row, "depth") as u32, (count(&row, "window") as u32, counts));
            match edges.last_mut().filter(|(known, ..)| *known == names) {
                Some((_, known, windows)) => {
                    *known = depth.min(*known);
                    windows.push(window);
                }
                None => edges.push((names, depth, vec![window])),
            }
        }
        Self(edges)
    }

    pub fn series(&self) -> Vec<EdgeSeries<'_>> {
        self.0
            .iter()
            .map(|((caller, callee, operation), depth, windows)| EdgeSeries {
                edge: Edge { caller, callee, operation },
                depth: *depth,
                windows: windows.clone(),
            })
            .collect()
    }

    pub fn names(&self, edge: usize) -> (&str, &str, &str) {
        let (caller, callee, operation) = &self.0[edge].0;
        (caller, callee, operation)
    }

    /// Pairs that share more than a few of the traces in which the first was retried.
    pub fn connected(&self, rows: Vec<Map<String, Value>>, share: f64) -> Vec<(usize, usize)> {
        let index: BTreeMap<&Names, usize> =
            self.0.iter().enumerate().map(|(i, (names, ..))| (names, i)).collect();
        let pairs: Vec<(usize, usize, u64)> = rows
            .iter()
            .filter_map(|row| {
                let (of, other) = (index.get(&names(row, "of_"))?, index.get(&names(row, ""))?);
                Some((*of, *other, count(row, "traces")))
            })
            .collect();
        let own: BTreeMap<usize, u64> = pairs.iter().filter(|p| p.0 == p.1).map(|p| (p.0, p.2)).collect();
        let own = |edge: usize| own.get(&edge).copied().unwrap_or(0);
        let enough =
            |p: &&(usize, usize, u64)| p.0 != p.1 && p.2 as f64 >= (share * own(p.0) as f64).max(1.0);
        pairs.iter().filter(enough).map(|p| (p.0, p.1)).collect()
    }
}

/// By window, without gaps.
pub fn requests(rows: Vec<Map<String, Value>>, windows: u32) -> Vec<Requests> {
    let mut requests = vec![Requests::default(); windows as usize];
    for row in rows {
        if let Some(slot) = requests.get_mut(count(&row, "window") as usize) {
            *slot = Requests { offered: count(&row, "offered"), good: count(&row, "good") };
        }
    }
    requests
}

/// One storm and what it was found in.
pub struct Found<'a> {
    pub observed: &'a Observed<'a>,
    pub windows: &'a Windows,
    pub storm: &'a Storm,
    /// Traces that it hit.
    pub hit: Map<String, Value>,
}

impl Found<'_> {
    pub fn row(mut self) -> Map<String, Value> {
        let storm = self.storm;
        let peak = |of: fn(&plimsoll_analysis::fleet::storms::StormEdge) -> f64| {
            storm.edges.iter().map(of).fold(0.0, f64::max)
        };
        let sum = |of: fn(&plimsoll_analysis::fleet::storms::StormEdge) -> u64| {
            storm.edges.iter().map(of).sum::<u64>()
        };
        let trigger = storm.trigger.map(|t| (self.observed.edges[t.edge].edge, t));
        let row = json!({
            "start_unix_nano": self.time(storm.start), "end_unix_nano": self.time(storm.end), "open": storm.open,
            "kind": trigger.map(|(_, t)| t.kind.as_str()),
            "trigger_caller": trigger.map(|(e, _)| e.caller), "trigger_callee": trigger.map(|(e, _)| e.callee),
            "trigger_operation": trigger.map(|(e, _)| e.operation),
            "trigger_unix_nano": trigger.map(|(_, t)| self.time(t.window)),
            "metastable": storm.metastable,
            "provisional": self.hit.get("is_live").and_then(Value::as_bool).unwrap_or(false),
            "peak_amplification": peak(|e| e.peak_amplification), "layered_amplification": storm.layered_amplification,
            "peak_retry_share": peak(|e| e.peak_retry_share),
            "attempts": sum(|e| e.attempts), "retries": sum(|e| e.retries),
            "attempts_above_baseline": storm.attempts_above_baseline, "wasted_ns": storm.wasted.0,
            "traces": self.hit.remove("traces"), "goodput_lost": storm.goodput_lost,
            "sample_trace_ids": self.hit.remove("sample_trace_ids").filter(|ids| !ids.is_null()).unwrap_or_else(|| json!([])),
            "edges": self.edges(), "series": self.series(),
        });
        match row {
            Value::Object(row) => row,
            _ => Map::new(),
        }
    }

    fn time(&self, window: u32) -> String {
        self.windows.start(window).to_string()
    }

    /// The edges that storm, and those below and above that fail with them; the shallowest first.
    fn edges(&self) -> Value {
        let storm = self.storm;
        let mut which: Vec<usize> = storm.edges.iter().map(|e| e.edge).collect();
        for (a, b) in self.observed.connected {
            if storm.edges.iter().any(|e| e.edge == *a) && !which.contains(b) {
                which.push(*b);
            }
        }
        which.sort_by_key(|e| (self.observed.edges[*e].depth, *e));
        let trigger = storm.trigger.map(|t| t.edge);
        let described = which.into_iter().filter_map(|e| {
            let series = &self.observed.edges[e];
            let mut sum = Counts::default();
            let within = series.windows.iter().filter(|(w, _)| (storm.start..storm.end).contains(w));
            for (_, c) in within {
                sum.logical_calls += c.logical_calls;
                sum.attempts += c.attempts;
                sum.retries += c.retries;
                sum.failed += c.failed;
                sum.wasted += c.wasted;
            }
            let part = storm.edges.iter().find(|p| p.edge == e);
            // What failed with it only outside of it is no part of its picture.
            (part.is_some() || sum.failed > 0 || trigger == Some(e)).then(|| {
                json!({
                    "caller": series.edge.caller, "callee": series.edge.callee, "operation": series.edge.operation, "depth": series.depth,
                    "storming": part.is_some(), "trigger": trigger == Some(e),
                    "logical_calls": sum.logical_calls, "attempts": sum.attempts, "retries": sum.retries, "failed_attempts": sum.failed,
                    "wasted_ns": sum.wasted.0,
                    "amplification": ratio(Some(sum.attempts as f64), Some(sum.logical_calls as f64)),
                    "retry_share": ratio(Some(sum.retries as f64), Some(sum.attempts as f64)),
                    "peak_amplification": part.map(|p| p.peak_amplification), "peak_retry_share": part.map(|p| p.peak_retry_share),
                    "start_unix_nano": part.map(|p| self.time(p.start)), "end_unix_nano": part.map(|p| self.time(p.end)),
                })
            })
        });
        described.collect()
    }

    /// Requests that arrived against attempts on the storm's edges, with some of the calm around it.
    fn series(&self) -> Value {
        let from = self.storm.start.saturating_sub(AROUND);
        let until = (self.storm.end + AROUND).min(self.observed.windows);
        let deepest = self.storm.edges.last().map(|e| e.edge);
        (from..until)
            .map(|w| {
                let requests = self.observed.requests.get(w as usize);
                let leaf = deepest.map(|e| self.observed.edges[e].at(w));
                let retries: u64 = self.storm.edges.iter().map(|e| self.observed.edges[e.edge].at(w).retries).sum();
                json!({
                    "time_unix_nano": self.time(w), "offered": requests.map(|r| r.offered), "good": requests.map(|r| r.good),
                    "leaf_attempts": leaf.map(|c| c.attempts), "retries": retries,
                })
            })
            .collect()
    }
}
