//! OTLP in files: JSON with ids in hex or base64, protobuf, and both as the Collector's file exporter writes them.

use std::io::{BufRead, Read};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use super::Sink;
use crate::error::ImportError;
use crate::id;
use crate::item::Item;
use crate::stream;

/// One request of protobuf; the Collector's batches are far smaller.
const MESSAGE_BYTES_MAX: u64 = 256 << 20;

pub fn requests(input: impl BufRead, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let arrays = ["resourceSpans", "resource_spans", "resourceLogs", "resource_logs"];
    stream::elements(input, &arrays, &[], &mut |_, array, value| match array {
        "resourceSpans" | "resource_spans" => sink(Item::Spans(with_hex_ids(value))),
        "resourceLogs" | "resource_logs" => sink(Item::Logs(with_hex_ids(value))),
        // An array of requests.
        _ => {
            let mut value = value;
            for array in arrays {
                let elements = value.get_mut(array).map(Value::take);
                for element in elements.iter().flat_map(|e| e.as_array()).flatten() {
                    let element = with_hex_ids(element.clone());
                    sink(if array.contains("pans") { Item::Spans(element) } else { Item::Logs(element) })?;
                }
            }
            Ok(())
        }
    })
}

/// Ids of any case in base64 become hex; what is neither stays, and is rejected by the door with its reason.
fn with_hex_ids(mut value: Value) -> Value {
    let mut open = vec![&mut value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                for (key, member) in members {
                    let bytes = match key.as_str() {
                        "traceId" | "trace_id" => 16,
                        "spanId" | "span_id" | "parentSpanId" | "parent_span_id" => 8,
                        // Not into values: an attribute may be called as it likes.
                        "attributes" | "body" => continue,
                        _ => {
                            open.push(member);
                            continue;
                        }
                    };
                    if let Some(hex) = member.as_str().and_then(|text| id::otlp(text, bytes)) {
                        *member = hex.into();
                    }
                }
            }
            _ => {}
        }
    }
    value
}

/// A request begins with the tag of its first field; a length before it is big-endian and so begins with a zero.
pub fn is_protobuf(beginning: &[u8]) -> bool {
    const RESOURCE_SPANS: u8 = 0x0a;
    beginning.first() == Some(&RESOURCE_SPANS)
        || (beginning.first() == Some(&0) && beginning.get(4) == Some(&RESOURCE_SPANS))
}

pub fn protobuf(input: &mut impl BufRead, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let is_framed = input.fill_buf()?.first() == Some(&0);
    let mut number = 0_u64;
    loop {
        if input.fill_buf()?.is_empty() {
            return Ok(());
        }
        number += 1;
        let damaged = |problem: String| ImportError::Damaged(format!("request {number}: {problem}"));
        let mut message = Vec::new();
        if is_framed {
            let mut length = [0_u8; 4];
            input.read_exact(&mut length).map_err(|_| damaged("cut off within its length".into()))?;
            let length = u64::from(u32::from_be_bytes(length));
            if length > MESSAGE_BYTES_MAX {
                return Err(damaged(format!("{length} bytes is more than {MESSAGE_BYTES_MAX}")));
            }
            input.take(length).read_to_end(&mut message)?;
            if (message.len() as u64) < length {
                return Err(damaged(format!("cut off: {} of {length} bytes", message.len())));
            }
        } else {
            input.take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut message)?;
            if message.len() as u64 > MESSAGE_BYTES_MAX {
                return Err(damaged(format!("one request of more than {MESSAGE_BYTES_MAX} bytes")));
            }
        }
        let request = ExportTraceServiceRequest::decode(message.as_slice())
            .map_err(|e| damaged(format!("not a traces request in protobuf: {e}")))?;
        for resource_spans in request.resource_spans {
            let value = serde_json::to_value(&resource_spans).map_err(|e| damaged(e.to_string()))?;
            sink(Item::Spans(value))?;
        }
    }
}

/// For tests of other formats: the spans of an element.
#[cfg(test)]
pub fn spans(element: &Value) -> Vec<&Value> {
    let scopes = element["scopeSpans"].as_array().into_iter().flatten();
    scopes.flat_map(|s| s["spans"].as_array().into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_in_base64_become_hex() {
        let line = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "S/kvNXezTaajzpKdDg5HNg==", "spanId": "APBnqgupArc=", "parentSpanId": "",
            "attributes": [{"key": "traceId", "value": {"stringValue": "S/kvNXezTaajzpKdDg5HNg=="}}],
        }]}]}]});
        let mut items = Vec::new();
        let text = format!("{line}\n{line}\n");
        requests(text.as_bytes(), &mut |item| {
            items.push(item);
            Ok(())
        })
        .expect("two lines");
        let [Item::Spans(element), Item::Spans(_)] = items.as_slice() else { panic!("{items:?}") };
        let span = spans(element)[0];
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["spanId"], "00f067aa0ba902b7");
        assert_eq!(span["parentSpanId"], "");
        assert_eq!(span["attributes"][0]["value"]["stringValue"], "S/kvNXezTaajzpKdDg5HNg==");
    }

    #[test]
    fn a_cut_off_file_gives_what_is_whole() {
        let whole = json!({"resourceSpans": [{"scopeSpans": []}]}).to_string();
        let text = format!("{whole}\n{}", &whole[..20]);
        let mut items = 0;
        let error = requests(text.as_bytes(), &mut |_| {
            items += 1;
            Ok(())
        })
        .expect_err("cut off");
        assert_eq!(items, 1);
        assert!(error.to_string().contains("document 2"), "{error}");
    }
}
