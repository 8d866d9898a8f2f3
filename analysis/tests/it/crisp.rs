//! Golden critical paths of CRISP (USENIX ATC'22), from its repository's `test_cases` (Apache-2.0).
//!
//! Cases 19 and 21 count the overlaps of calls twice, and give the root nothing where only it covers the time.
//! There our own answer is asserted, which gives every nanosecond to exactly one span.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_analysis::analyse;
use plimsoll_schemas::{DurationNs, Rules, Span, SpanId, UnixNanos};
use serde_json::Value;

use crate::testing;

type Exclusive = BTreeMap<String, i64>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/uber-crisp")
}

#[test]
fn critical_paths_are_crisps() {
    let Ok(files) = std::fs::read_dir(folder()) else {
        println!("skipped: {} is missing", folder().display());
        return;
    };
    let mut cases = 0;
    for file in files {
        let path = file.expect("a folder's entry").path();
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        check(&name, &serde_json::from_str(&text).expect("JSON"));
        cases += 1;
    }
    assert_eq!(cases, 17);
}

fn check(name: &str, case: &Value) {
    let spans: Vec<Span<'_>> = case["data"][0]["spans"]
        .as_array()
        .expect("spans")
        .iter()
        .map(|s| read(&case["data"][0], s))
        .collect();
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let mut found = Exclusive::new();
    for part in &answer.critical_path {
        let span = &spans[part.span];
        *found.entry(format!("[{}] {}", span.service, span.name)).or_default() += part.duration.0;
    }
    assert_eq!(found, expected(name, case), "case {name}");
    let root = answer.root.expect("a root");
    assert_eq!(found.values().sum::<i64>(), spans[root].duration.0, "case {name}");
}

fn expected(name: &str, case: &Value) -> Exclusive {
    if matches!(name, "19" | "21") {
        // O2 ends at 210, O3 runs from 205 to 305, O4 from 300 to 600 and ends with the root. Back from 300 the last
        // to have finished is O2: from 210 to 300 and before 10 the root has nothing but itself.
        return [("[S1] O1", 100), ("[S2] O2", 200), ("[S4] O4", 300)]
            .map(|(op, ns)| (op.to_owned(), ns))
            .into();
    }
    let golden = match &case["testing"] {
        Value::Array(paths) => &paths[0],
        testing => &testing["opTimeExclusive"],
    };
    let golden = golden.as_object().expect("a golden path").iter();
    golden.map(|(op, ns)| (op.clone(), ns.as_i64().expect("a number"))).filter(|(_, ns)| *ns > 0).collect()
}

fn read<'a>(trace: &'a Value, span: &'a Value) -> Span<'a> {
    let text = |v: &'a Value| v.as_str().expect("text");
    let number = |v: &Value| v.as_i64().expect("a number");
    let mut read: Span<'a> = testing::span(1, 0, 0);
    read.span_id = id(text(&span["spanID"]));
    read.parent_span_id = span["references"][0]["spanID"].as_str().map(id);
    read.start = UnixNanos(number(&span["startTime"]));
    read.duration = DurationNs(number(&span["duration"]));
    read.name = text(&span["operationName"]);
    read.service = text(&trace["processes"][text(&span["processID"])]["serviceName"]);
    read
}

fn id(letters: &str) -> SpanId {
    let mut bytes = [0; SpanId::BYTES];
    bytes[..letters.len()].copy_from_slice(letters.as_bytes());
    SpanId::from_bytes(bytes)
}
