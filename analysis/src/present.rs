//! Which attributes a span has, as bits: most spans have none of those that a question is about, and then
//! the question costs one comparison instead of a search for each.

use plimsoll_schemas::{Attr, Span};

const _: () = assert!(Attr::COUNT <= 128, "an attribute is a bit of a u128 here");

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AttrSet(u128);

impl AttrSet {
    pub const fn of(attrs: &[Attr]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < attrs.len() {
            bits |= 1 << attrs[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    pub fn on(span: &Span<'_>) -> Self {
        Self(span.attributes.present())
    }

    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build, span};

    #[test]
    fn a_set_meets_what_it_shares_something_with() {
        let on = AttrSet::on(&span(1, 0, 9).with(Attr::HostName, "h").with(Attr::ErrorType, "e"));
        assert!(on.meets(AttrSet::of(&[Attr::UserId, Attr::ErrorType])));
        assert!(!on.meets(AttrSet::of(&[Attr::UserId])));
        assert!(!on.meets(AttrSet::default()));
        // The last attribute has a bit too.
        assert!(AttrSet::of(Attr::ALL).meets(AttrSet::of(&Attr::ALL[Attr::COUNT - 1..])));
    }
}
