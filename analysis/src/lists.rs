//! Lists of spans by owner, such as the children of each span, in two allocations for a whole trace.

#[derive(Debug, Default)]
pub(crate) struct Lists {
    starts: Vec<usize>,
    items: Vec<usize>,
}

impl Lists {
    /// Gives each item of `order` to its owner among `n`, if it has one. Every list keeps the order.
    pub fn new(n: usize, order: &[usize], owner: impl Fn(usize) -> Option<usize>) -> Self {
        let mut starts = vec![0; n + 2];
        let mut owned = 0;
        for item in order {
            if let Some(owner) = owner(*item) {
                starts[owner + 2] += 1;
                owned += 1;
            }
        }
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut items = vec![0; owned];
        for item in order {
            if let Some(owner) = owner(*item) {
                // One behind the counts, so that after this pass `starts[owner]` is where the list begins.
                let slot = &mut starts[owner + 1];
                items[*slot] = *item;
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
        &self.items[self.starts[owner]..self.starts[owner + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_keeps_the_order() {
        let lists = Lists::new(4, &[3, 1, 2, 0], |i| [None, Some(0), Some(3), Some(0)][i]);
        assert_eq!(lists.of(0), [3, 1]);
        assert_eq!(lists.of(1), [0; 0]);
        assert_eq!(lists.of(3), [2]);
    }
}
