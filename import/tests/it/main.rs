//! Every format, from bytes to items.

mod damage;
mod encodings;
mod formats;
mod shared;

use plimsoll_import::{Format, Item, Verdict};
use serde_json::Value;

/// What a file gives, sorted by kind.
#[derive(Debug, Default)]
pub struct Read {
    pub format: Option<Format>,
    /// Each with its resource's attributes.
    pub spans: Vec<(Value, Value)>,
    pub logs: Vec<Value>,
    pub verdicts: Vec<Verdict>,
    pub rejected: Vec<String>,
    pub error: Option<String>,
}

pub fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let ended = plimsoll_import::read(bytes, None, &mut |item| {
        match item {
            Item::Spans(element) => {
                for scope in element["scopeSpans"].as_array().into_iter().flatten() {
                    let spans = scope["spans"].as_array().into_iter().flatten();
                    read.spans.extend(spans.map(|s| (s.clone(), element["resource"].clone())));
                }
            }
            Item::Logs(element) => read.logs.push(element),
            Item::Verdict(verdict) => read.verdicts.push(verdict),
            Item::Rejected(problem) => read.rejected.push(problem),
        }
        Ok(())
    });
    match ended {
        Ok(format) => read.format = Some(format),
        Err(error) => read.error = Some(error.to_string()),
    }
    read
}

/// The value of an attribute, whatever its type.
pub fn attribute<'v>(owner: &'v Value, key: &str) -> Option<&'v Value> {
    let attributes = owner["attributes"].as_array()?;
    let value = &attributes.iter().find(|a| a["key"] == key)?["value"];
    value.as_object()?.values().next()
}
