//! The protobuf wire format, read field by field without copying. It knows no message: callers match on
//! field numbers, and ask each field for what it should be. Groups, which proto3 does not have, are passed over.

/// Why bytes are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("a field ends beyond its message")]
    Truncated,
    #[error("a varint is longer than 64 bits")]
    Varint,
    #[error("field number 0 is invalid")]
    FieldNumber,
    #[error("wire type {0} is not supported")]
    WireType(u8),
    #[error("a field is of another type than the protocol says")]
    Mismatch,
    #[error("a group does not end as it began, or nests too deep")]
    Group,
    /// It is no mistake, but no encoder writes it: prost says what it amounts to.
    #[error("a value is there twice")]
    Twice,
}

const GROUP_BEGIN: u32 = 3;
const GROUP_END: u32 = 4;
/// Groups within groups that are passed over.
const GROUPS_MAX: usize = 100;

/// The content of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    /// What it holds was passed over.
    Group,
}

impl<'a> Field<'a> {
    #[inline(always)]
    pub fn varint(self) -> Result<u64, WireError> {
        if let Self::Varint(n) = self { Ok(n) } else { Err(WireError::Mismatch) }
    }

    #[inline(always)]
    pub fn bytes(self) -> Result<&'a [u8], WireError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WireError::Mismatch) }
    }

    #[inline(always)]
    pub fn fixed64(self) -> Result<u64, WireError> {
        if let Self::Fixed64(n) = self { Ok(n) } else { Err(WireError::Mismatch) }
    }

    #[inline(always)]
    pub fn fixed32(self) -> Result<u32, WireError> {
        if let Self::Fixed32(n) = self { Ok(n) } else { Err(WireError::Mismatch) }
    }
}

/// Reads the fields of one message in their order.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and content; `None` at the end of the message.
    #[inline(always)] // Five times a span's attributes: a call, and its answer through memory, takes longer than the work.
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.tag()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            GROUP_BEGIN => {
                self.pass_over_group(tag >> 3)?;
                Field::Group
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(WireError::WireType(other as u8)),
        };
        Ok(Some((tag >> 3, field)))
    }

    /// The next field, if it has this tag and fewer than 128 bytes: of those that come many times in a row.
    #[inline(always)]
    pub fn next_short(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [next, length, rest @ ..] = self.rest else { return None };
        if *next != tag || *length >= 0x80 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some(bytes)
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<u32, WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::FieldNumber)?;
        if tag < 8 { Err(WireError::FieldNumber) } else { Ok(tag) }
    }

    /// A group has no length: its end is found by reading its fields.
    #[cold]
    fn pass_over_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            let tag = if self.rest.is_empty() { Err(WireError::Truncated) } else { self.tag() }?;
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.array::<8>()?),
                2 => {
                    let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                    self.rest = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?.1;
                }
                GROUP_BEGIN if open.len() < GROUPS_MAX => open.push(tag >> 3),
                GROUP_END if tag >> 3 == *innermost => drop(open.pop()),
                GROUP_BEGIN | GROUP_END => return Err(WireError::Group),
                5 => drop(self.array::<4>()?),
                other => return Err(WireError::WireType(other as u8)),
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Tags and most lengths take one byte.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && *byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { WireError::Truncated } else { WireError::Varint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, WireError> {
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(|| reader.next_field().transpose()).take(16).collect()
    }

    #[test]
    fn reads_every_wire_type() {
        let bytes =
            [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            fields(&bytes),
            Ok(vec![
                (1, Field::Varint(150)),
                (2, Field::Bytes(b"hi")),
                (3, Field::Fixed32(1)),
                (4, Field::Fixed64(2)),
            ])
        );
    }

    #[test]
    fn says_what_is_malformed() {
        let mut longest = [0xff; 11];
        longest[0] = 0x08;
        longest[10] = 0x01;
        assert_eq!(fields(&longest), Ok(vec![(1, Field::Varint(u64::MAX))]));
        longest[10] = 0x02;
        assert_eq!(fields(&longest), Err(WireError::Varint));
        assert_eq!(fields(&[0x12, 0x05, b'h']), Err(WireError::Truncated));
        assert_eq!(fields(&[0x08, 0x80]), Err(WireError::Truncated));
        assert_eq!(fields(&[0x02, 0x00]), Err(WireError::FieldNumber));
        assert_eq!(fields(&[0x0c]), Err(WireError::WireType(4)));
        assert_eq!(fields(&[0x0f]), Err(WireError::WireType(7)));
    }

    #[test]
    fn groups_are_passed_over() {
        // 1: { 2: 5, 3: { 1: "h" } }, 1: 7
        let group = [0x0b, 0x10, 0x05, 0x1b, 0x0a, 0x01, b'h', 0x1c, 0x0c];
        let bytes = [&group[..], &[0x08, 0x07]].concat();
        assert_eq!(fields(&bytes), Ok(vec![(1, Field::Group), (1, Field::Varint(7))]));
        assert_eq!(fields(&group), Ok(vec![(1, Field::Group)]));
        assert_eq!(fields(&group[..8]), Err(WireError::Truncated));
        assert_eq!(fields(&[0x0b, 0x14]), Err(WireError::Group));
        assert_eq!(fields(&[0x0b; 200]), Err(WireError::Group));
    }
}
