//! Trace and span ids: as hex if that is what they are, else derived from the text, always the same from the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// 32 hex digits. Shorter hex (64-bit ids of Zipkin and Jaeger) is filled with zeros, a UUID loses its dashes.
pub fn trace(text: &str) -> String {
    sized(text, 32).unwrap_or_else(|| format!("{:032x}", xxh3_128(text.as_bytes()).max(1)))
}

/// 16 hex digits.
pub fn span(text: &str) -> String {
    sized(text, 16).unwrap_or_else(|| format!("{:016x}", xxh3_64(text.as_bytes()).max(1)))
}

/// As OTLP JSON has them: hex, or base64 as some writers of protobuf's JSON do.
pub fn otlp(text: &str, bytes: usize) -> Option<String> {
    if text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text.to_ascii_lowercase());
    }
    // Either alphabet, padded or not.
    let standard = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let decoded = STANDARD_NO_PAD.decode(standard).ok()?;
    (decoded.len() == bytes).then(|| decoded.iter().map(|b| format!("{b:02x}")).collect())
}

fn sized(text: &str, digits: usize) -> Option<String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    let is_hex = !plain.is_empty() && plain.len() <= digits && plain.bytes().all(|b| b.is_ascii_hexdigit());
    let is_zero = plain.bytes().all(|b| b == b'0');
    // Dashes are a UUID's; short words such as "beef" are taken for hex, which is as good a name as any.
    let is_plain = plain.len() == text.len() || plain.len() == 32;
    (is_hex && is_plain && !is_zero).then(|| format!("{:0>digits$}", plain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_shape_fit() {
        assert_eq!(trace("4BF92F3577B34DA6A3CE929D0E0E4736"), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace("a3ce929d0e0e4736"), "0000000000000000a3ce929d0e0e4736");
        assert_eq!(trace("b762699f-cf72-4a2f-b500-5bbe1258209c"), "b762699fcf724a2fb5005bbe1258209c");
        assert_eq!(trace("session 7"), trace("session 7"));
        assert_ne!(trace("session 7"), trace("session 8"));
        assert_eq!(span("00f067aa0ba902b7"), "00f067aa0ba902b7");
        assert_eq!(span("b762699f-cf72-4a2f-b500-5bbe1258209c").len(), 16);
        assert_ne!(span("0"), "0000000000000000", "an id of zeros is none");
    }

    #[test]
    fn otlp_ids_are_hex_or_base64() {
        assert_eq!(otlp("00F067AA0BA902B7", 8).as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(otlp("APBnqgupArc=", 8).as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(otlp("short", 8), None);
    }
}
