//! Which edges occur in the same requests, by edge: every part of the search asks for the neighbours of a few, never for all pairs.

/// Edges by their neighbours, in either direction.
#[derive(Debug)]
pub struct Connections {
    near: Vec<Vec<usize>>,
}

impl Connections {
    /// Of `edges` edges; what names another is left out.
    pub fn of(edges: usize, pairs: &[(usize, usize)]) -> Self {
        let mut near: Vec<Vec<usize>> = vec![Vec::new(); edges];
        for &(a, b) in pairs.iter().filter(|(a, b)| a != b && *a < edges && *b < edges) {
            near[a].push(b);
            near[b].push(a);
        }
        for neighbours in &mut near {
            neighbours.sort_unstable();
            neighbours.dedup();
        }
        Self { near }
    }

    /// In ascending order.
    pub fn near(&self, edge: usize) -> &[usize] {
        &self.near[edge]
    }
}
