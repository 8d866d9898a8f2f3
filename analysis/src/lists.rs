//! Lists of spans by owner, such as the children of each span, in two allocations for all of them.

#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    starts: Vec<usize>,
    items: Vec<usize>,
}

impl Lists {
    /// Gives each item of `order` to its owner among `n`, if it has one. Every list keeps the order.
    pub fn new(
        n: usize,
        order: impl Iterator<Item = usize> + Clone,
        owner: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut starts = filled(n + 2);
        let mut owned = 0;
        for item in order.clone() {
            if let Some(owner) = owner(item) {
                starts[owner + 2] += 1;
                owned += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut items = filled(owned);
        for item in order {
            if let Some(owner) = owner(item) {
                // One behind the counts, so that after this pass `starts[owner]` is where the list begins.
                let slot = &mut starts[owner + 1];
                items[*slot] = item;
                *slot += 1;
            }
        }
        Self { starts, items }
    }

    /// How many owners there are, those of nothing included.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(2)
    }

    pub fn of(&self, owner: usize) -> &[usize] {
        match self.starts[owner..] {
            [start, end, ..] => &self.items[start..end],
            _ => &[],
        }
    }
}

/// Zeros. For small traces this takes less than to ask the allocator for memory that is zero.
fn filled(n: usize) -> Vec<usize> {
    let mut zeros = Vec::with_capacity(n);
    zeros.resize(n, 0);
    zeros
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
