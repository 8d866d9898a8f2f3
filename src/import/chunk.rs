//! Items, gathered into requests of a bounded size.

use plimsoll_import::{Item, Verdict};
use serde_json::{Value, json};

/// Spans, or log records, or verdicts of one request.
const ITEMS_MAX: usize = 1_000;
/// Of JSON, estimated: the doors take more, and a slow disk should not hold more in flight.
const BYTES_MAX: usize = 4 << 20;

/// Of a verdict's JSON without its explanation, about.
const VERDICT_BYTES: usize = 400;

/// What is sent together.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Elements of `resourceSpans` and `resourceLogs`.
    pub spans: Vec<Value>,
    pub logs: Vec<Value>,
    pub verdicts: Vec<Verdict>,
    pub rejected: Vec<String>,
    items: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
pub struct Chunker(Chunk);

impl Chunker {
    /// The chunks that are full by this item: a long element becomes several.
    pub fn push(&mut self, item: Item) -> Vec<Chunk> {
        let mut full = Vec::new();
        match item {
            Item::Spans(element) => {
                for part in parts(element, "scopeSpans", "spans") {
                    self.0.add(&part, "scopeSpans", "spans");
                    self.0.spans.push(part);
                    full.extend(self.take_if_full());
                }
            }
            Item::Logs(element) => {
                for part in parts(element, "scopeLogs", "logRecords") {
                    self.0.add(&part, "scopeLogs", "logRecords");
                    self.0.logs.push(part);
                    full.extend(self.take_if_full());
                }
            }
            Item::Verdict(verdict) => {
                self.0.items += 1;
                self.0.bytes += verdict.explanation.as_ref().map_or(0, String::len) + VERDICT_BYTES;
                self.0.verdicts.push(verdict);
            }
            Item::Rejected(problem) => {
                self.0.items += 1;
                self.0.rejected.push(problem);
            }
        }
        full.extend(self.take_if_full());
        full
    }

    fn take_if_full(&mut self) -> Option<Chunk> {
        let is_full = self.0.items >= ITEMS_MAX || self.0.bytes >= BYTES_MAX;
        is_full.then(|| std::mem::take(&mut self.0))
    }

    pub fn finish(self) -> Option<Chunk> {
        (self.0.items > 0).then_some(self.0)
    }
}

impl Chunk {
    fn add(&mut self, element: &Value, scopes: &str, items: &str) {
        self.items += count(element, scopes, items);
        self.bytes += size(element);
    }
}

fn lists<'v>(element: &'v Value, scopes: &'v str, items: &'v str) -> impl Iterator<Item = &'v Vec<Value>> {
    let scopes = element[scopes].as_array().into_iter().flatten();
    scopes.filter_map(move |scope| scope[items].as_array())
}

fn count(element: &Value, scopes: &str, items: &str) -> usize {
    lists(element, scopes, items).map(Vec::len).sum()
}

/// About the bytes of its JSON, without writing it.
fn size(value: &Value) -> usize {
    let (mut bytes, mut open) = (0, vec![value]);
    while let Some(value) = open.pop() {
        bytes += 8;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                bytes += members.keys().map(|k| k.len() + 4).sum::<usize>();
                open.extend(members.values());
            }
            _ => {}
        }
    }
    bytes
}

/// An element of at most [`ITEMS_MAX`] items each; the resource and the scope stand with every part.
fn parts(element: Value, scopes: &str, items: &str) -> Vec<Value> {
    if count(&element, scopes, items) <= ITEMS_MAX && size(&element) <= BYTES_MAX {
        return vec![element];
    }
    split(&element, scopes, items, ITEMS_MAX, BYTES_MAX)
}

/// An element in parts of so many items, and of so many bytes where an item is not larger itself.
pub fn split(element: &Value, scopes: &str, items: &str, items_max: usize, bytes_max: usize) -> Vec<Value> {
    let mut parts = Vec::new();
    for scope in element[scopes].as_array().into_iter().flatten() {
        let all = scope[items].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut begin = 0;
        while begin < all.len() {
            let (mut end, mut bytes) = (begin, 0);
            while end < all.len() && end - begin < items_max && (end == begin || bytes < bytes_max) {
                bytes += size(&all[end]);
                end += 1;
            }
            let mut scope = scope.clone();
            scope[items] = all[begin..end].to_vec().into();
            let mut part = json!({ scopes: [scope] });
            for (key, value) in element.as_object().into_iter().flatten().filter(|(key, _)| *key != scopes) {
                part[key] = value.clone();
            }
            parts.push(part);
            begin = end;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_element_becomes_several_and_loses_nothing() {
        let spans: Vec<Value> = (0..2_500).map(|n| json!({"spanId": n})).collect();
        let element = json!({"resource": {"r": 1}, "scopeSpans": [{"scope": {"s": 1}, "spans": spans}]});
        let mut chunker = Chunker::default();
        let mut chunks = chunker.push(Item::Spans(element));
        chunks.extend(chunker.finish());
        let sizes: Vec<usize> = chunks.iter().map(|c| c.items).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        let elements = chunks.iter().flat_map(|c| &c.spans);
        let ids: Vec<i64> = elements
            .inspect(|e| {
                assert_eq!((&e["resource"]["r"], &e["scopeSpans"][0]["scope"]["s"]), (&json!(1), &json!(1)))
            })
            .flat_map(|e| e["scopeSpans"][0]["spans"].as_array().expect("spans"))
            .filter_map(|s| s["spanId"].as_i64())
            .collect();
        assert_eq!(ids, (0..2_500).collect::<Vec<i64>>());
    }
}
