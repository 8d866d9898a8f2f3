//! The known attributes of one span. Most questions are about attributes that a span does not have, and are answered by a bit.

use crate::attr::{Attr, Value};

const _: () = assert!(Attr::COUNT <= 128, "an attribute is a bit of a u128 here");

/// Attributes in the order of [`Attr`], each once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes<'a> {
    /// Bit n: the attribute with number n is there.
    present: u128,
    list: Vec<(Attr, Value<'a>)>,
}

impl<'a> Attributes<'a> {
    pub fn with_capacity(attributes: usize) -> Self {
        Self { present: 0, list: Vec::with_capacity(attributes) }
    }

    /// Of an attribute that comes again the last value stays.
    pub fn insert(&mut self, attr: Attr, value: Value<'a>) {
        let at = self.rank(attr);
        if self.has(attr) {
            self.list[at].1 = value;
        } else {
            self.list.insert(at, (attr, value));
            self.present |= bit(attr);
        }
    }

    /// [`Self::insert`] for what comes in order, as columns do: the end is the place.
    #[inline]
    pub fn push(&mut self, attr: Attr, value: Value<'a>) {
        if self.present < bit(attr) {
            self.list.push((attr, value));
            self.present |= bit(attr);
        } else {
            self.insert(attr, value);
        }
    }

    /// Inlined as far as the bit, which is most often the answer.
    #[inline]
    pub fn get(&self, attr: Attr) -> Option<Value<'a>> {
        if self.has(attr) { self.find(attr) } else { None }
    }

    /// The lists are short: to look through one takes less than to count bits.
    fn find(&self, attr: Attr) -> Option<Value<'a>> {
        self.list.iter().find(|(known, _)| *known == attr).map(|(_, value)| *value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Attr, Value<'a>)> {
        self.list.iter()
    }

    /// Which are there, by their numbers.
    #[inline]
    pub fn present(&self) -> u128 {
        self.present
    }

    #[inline]
    fn has(&self, attr: Attr) -> bool {
        self.present & bit(attr) != 0
    }

    /// How many stand before it.
    fn rank(&self, attr: Attr) -> usize {
        (self.present & (bit(attr) - 1)).count_ones() as usize
    }
}

const fn bit(attr: Attr) -> u128 {
    1 << attr as u32
}

impl<'a> FromIterator<(Attr, Value<'a>)> for Attributes<'a> {
    fn from_iter<I: IntoIterator<Item = (Attr, Value<'a>)>>(items: I) -> Self {
        let mut attributes = Self::default();
        attributes.extend(items);
        attributes
    }
}

impl<'a> Extend<(Attr, Value<'a>)> for Attributes<'a> {
    fn extend<I: IntoIterator<Item = (Attr, Value<'a>)>>(&mut self, items: I) {
        for (attr, value) in items {
            self.push(attr, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_whatever_the_order() {
        let all = Attr::ALL;
        let mut attributes: Attributes<'_> =
            all.iter().rev().step_by(3).map(|a| (*a, Value::Int(*a as i64))).collect();
        attributes.insert(all[all.len() - 1], Value::Int(-1));
        for (n, attr) in all.iter().enumerate() {
            let expected = match (all.len() - 1 - n).is_multiple_of(3) {
                true if n == all.len() - 1 => Some(Value::Int(-1)),
                true => Some(Value::Int(*attr as i64)),
                false => None,
            };
            assert_eq!(attributes.get(*attr), expected, "{attr:?}");
        }
        assert!(attributes.iter().map(|(a, _)| a).is_sorted());
    }
}
