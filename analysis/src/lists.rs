//! Lists of spans by owner, such as the children of each span, in one allocation for all of them.

#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    /// Where each owner's items begin and, at the next, end; then the items.
    places: Vec<usize>,
    owners: usize,
}

impl Lists {
    /// Gives each item of `order` to its owner among `n`, if it has one. Every list keeps the order.
    pub fn new(
        n: usize,
        order: impl ExactSizeIterator<Item = usize> + Clone,
        owner: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut places = Vec::with_capacity(n + 2 + order.len());
        places.resize(n + 2, 0);
        for owner in order.clone().filter_map(&owner) {
            places[owner + 2] += 1;
        }
        let mut end = n + 2;
        for start in &mut places {
            end += *start;
            *start = end;
        }
        places.resize(end, 0);
        for item in order {
            if let Some(owner) = owner(item) {
                // One behind the counts, so that after this pass `places[owner]` is where the list begins.
                let place = places[owner + 1];
                places[owner + 1] += 1;
                places[place] = item;
            }
        }
        Self { places, owners: n }
    }

    /// How many owners there are, those of nothing included.
    pub fn len(&self) -> usize {
        self.owners
    }

    pub fn of(&self, owner: usize) -> &[usize] {
        match self.places[owner..] {
            [start, end, ..] => &self.places[start..end],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_keeps_the_order() {
        let lists = Lists::new(4, [3, 1, 2, 0].into_iter(), |i| [None, Some(0), Some(3), Some(0)][i]);
        assert_eq!(lists.of(0), [3, 1]);
        assert_eq!(lists.of(1), [0; 0]);
        assert_eq!(lists.of(3), [2]);
    }
}
