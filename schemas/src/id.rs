//! Identifiers. Trace and span ids are bytes in memory and lower-case hex on every screen and in every table.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text or byte string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("expected {expected} hex digits, got {got}")]
    Length { expected: usize, got: usize },
    #[error("expected hex digits only")]
    NotHex,
    #[error("all-zero ids are invalid")]
    Zero,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            pub const BYTES: usize = $bytes;
            pub const HEX_DIGITS: usize = $bytes * 2;

            /// The id as it came over the wire; `None` for a wrong length or all zeros (OTLP: invalid).
            pub fn from_wire(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                bytes.iter().any(|b| *b != 0).then_some(Self(bytes))
            }

            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            pub const fn bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Lower-case hex, without an allocation.
            pub fn hex(&self) -> [u8; $bytes * 2] {
                let mut out = [0; $bytes * 2];
                for (digits, byte) in out.as_chunks_mut().0.iter_mut().zip(self.0) {
                    *digits = DIGITS[usize::from(byte)];
                }
                out
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = self.hex();
                f.pad(std::str::from_utf8(&hex).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.as_bytes();
                if digits.len() != Self::HEX_DIGITS {
                    return Err(IdError::Length { expected: Self::HEX_DIGITS, got: digits.len() });
                }
                // Two loops without a branch or a table: many digits are read at once. What is no digit leaves a mark.
                let (mut nibbles, mut marks) = ([0; $bytes * 2], 0);
                for (nibble, digit) in nibbles.iter_mut().zip(digits) {
                    let is_letter = (digit >> 6) & 1;
                    *nibble = (digit & 0x0f) + 9 * is_letter;
                    marks |= ((digit & 0xf0) | (is_letter << 5)) ^ (0x30 + 0x30 * is_letter);
                    marks |= (*nibble >> 4) | (((*nibble + 6) >> 4) ^ is_letter);
                }
                if marks != 0 {
                    return Err(IdError::NotHex);
                }
                let mut bytes = [0; $bytes];
                for (byte, [high, low]) in bytes.iter_mut().zip(nibbles.as_chunks().0) {
                    *byte = (high << 4) | low;
                }
                if bytes == [0; $bytes] { Err(IdError::Zero) } else { Ok(Self(bytes)) }
            }
        }
    };
}

id!(
    /// A trace's id, chosen by the client: unique only together with its [`Tenant`].
    TraceId, 16
);
id!(
    /// A span's id, unique within its trace.
    SpanId, 8
);

/// The digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Whose data it is. It comes from the credential or the trusted `X-Scope-OrgID` header, never from the trace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

/// Why a text cannot name a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is 1 to {max} characters of a-z, A-Z, 0-9, '-', '_' and '.', and not '.' or '..'", max = Tenant::CHARS_MAX)]
pub struct TenantError;

impl Tenant {
    pub const CHARS_MAX: usize = 64;
    pub const DEFAULT: &'static str = "default";

    pub fn new(text: &str) -> Result<Self, TenantError> {
        let fits = (1..=Self::CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !matches!(text, "." | "..");
        if fits { Ok(Self(text.into())) } else { Err(TenantError) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_there_and_back() {
        let id: TraceId = "0123456789abcdef0123456789ABCDEF".parse().expect("valid");
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
    }

    /// Every byte in every place, against the language's own reading of digits.
    #[test]
    fn a_digit_is_one_of_sixteen() {
        for byte in 0..=u8::MAX {
            for place in 0..16 {
                let mut digits = *b"0123456789abcdef";
                digits[place] = byte;
                let Ok(text) = std::str::from_utf8(&digits) else { continue };
                let expected = text
                    .bytes()
                    .all(|digit| digit.is_ascii_hexdigit())
                    .then(|| u64::from_str_radix(text, 16).expect("digits").to_be_bytes());
                let got = text.parse::<SpanId>().ok().map(|id| *id.bytes());
                assert_eq!(got, expected, "{text}");
            }
        }
    }

    #[test]
    fn bad_ids_say_why() {
        assert_eq!("12".parse::<SpanId>(), Err(IdError::Length { expected: 16, got: 2 }));
        assert_eq!("000000000000000g".parse::<SpanId>(), Err(IdError::NotHex));
        assert_eq!("0000000000000000".parse::<SpanId>(), Err(IdError::Zero));
        assert_eq!(SpanId::from_wire(&[0; 8]), None);
        assert_eq!(SpanId::from_wire(&[1; 7]), None);
    }

    #[test]
    fn a_tenant_is_a_plain_word() {
        assert!(Tenant::new("acme-1.eu").is_ok());
        for bad in ["", "..", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(Tenant::new(bad), Err(TenantError));
        }
    }
}
