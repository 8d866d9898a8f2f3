//! Changes of a tool's edition: when its schema digest or its server's version became another one, and how calls fared before and after.

use plimsoll_analysis::fleet::compare::interval::{Share, newcombe};
use serde_json::{Map, Value, json};

use crate::analyses::number;

/// Of the standard normal: intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// One row per change, by tool and time.
pub fn of(editions: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let text =
        |of: &Map<String, Value>, column: &str| of.get(column).and_then(Value::as_str).map(str::to_owned);
    // What says nothing of its edition is no edition; those that differ in credentials only are one.
    let mut known: Vec<Edition> = Vec::new();
    for row in editions {
        let (version, digest) = (text(row, "version"), text(row, "schema_digest"));
        let (Some(tool), Some(server)) = (text(row, "tool"), text(row, "server")) else { continue };
        if version.is_none() && digest.is_none() {
            continue;
        }
        let count = |column: &str| number(row, column).map_or(0, |n| n as u64);
        let one = Edition {
            key: (tool, server, version, digest),
            first: number(row, "first_unix_nano").unwrap_or(0.0) as i64,
            first_text: row
                .get("first_unix_nano")
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)),
            calls: count("calls"),
            failed: count("failed"),
            judged: count("judged"),
            wrong: count("judged_wrong"),
            samples: row.get("sample_trace_ids").cloned().unwrap_or_default(),
        };
        match known.iter_mut().find(|k| k.key == one.key) {
            Some(same) => same.add(one),
            None => known.push(one),
        }
    }
    known.sort_by(|a, b| (&a.key.0, &a.key.1, a.first).cmp(&(&b.key.0, &b.key.1, b.first)));
    let pairs =
        known.windows(2).filter(|pair| pair[0].key.0 == pair[1].key.0 && pair[0].key.1 == pair[1].key.1);
    pairs.filter_map(|pair| change(&pair[0], &pair[1]).as_object().cloned()).collect()
}

struct Edition {
    /// Tool, server, version, schema digest.
    key: (String, String, Option<String>, Option<String>),
    first: i64,
    first_text: Option<String>,
    calls: u64,
    failed: u64,
    judged: u64,
    wrong: u64,
    samples: Value,
}

impl Edition {
    fn add(&mut self, other: Self) {
        if other.first < self.first {
            (self.first, self.first_text) = (other.first, other.first_text);
        }
        self.calls += other.calls;
        self.failed += other.failed;
        self.judged += other.judged;
        self.wrong += other.wrong;
    }
}

fn change(before: &Edition, after: &Edition) -> Value {
    json!({
        "tool": after.key.0, "server": after.key.1, "at_unix_nano": after.first_text,
        "schema_changed": before.key.3 != after.key.3,
        "from": {"version": before.key.2, "schema_digest": before.key.3}, "to": {"version": after.key.2, "schema_digest": after.key.3},
        "failed": rates((before.failed, before.calls), (after.failed, after.calls)),
        "judged_wrong": rates((before.wrong, before.judged), (after.wrong, after.judged)),
        "sample_trace_ids": after.samples,
    })
}

/// Two shares, and the interval of their difference (Newcombe's hybrid score). Null where one side has nothing.
fn rates(before: (u64, u64), after: (u64, u64)) -> Value {
    if before.1 == 0 || after.1 == 0 {
        return Value::Null;
    }
    let share = |(n, of): (u64, u64)| Share { hits: n as f64, of: of as f64 };
    let interval = newcombe(share(before), share(after), Z);
    json!({
        "before": before.0 as f64 / before.1 as f64, "after": after.0 as f64 / after.1 as f64,
        "difference_low": interval.low, "difference_high": interval.high, "calls_before": before.1, "calls_after": after.1,
    })
}
