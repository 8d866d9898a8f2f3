//! When each edge storms, by hysteresis, and which of these times belong together.

use std::collections::BTreeMap;
use std::ops::Range;

use super::connections::Connections;
use super::{ATTEMPTS_MIN, Counts, ENTER, EdgeSeries, LEAVE, Observed};

/// Windows between two times of storming that still are one storm: retries come in waves.
const GAP_MAX: u32 = 6;

/// One edge storming without a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    pub edge: usize,
    pub start: u32,
    /// The window after the last.
    pub end: u32,
    /// It has not ended within the range.
    pub open: bool,
}

pub fn find(observed: &Observed<'_>, budget: f64) -> Vec<Episode> {
    let enter = ENTER.max(budget);
    let mut episodes = Vec::new();
    for (edge, series) in observed.edges.iter().enumerate() {
        of_edge(edge, series, observed.windows, enter, &mut episodes);
    }
    episodes
}

fn of_edge(edge: usize, series: &EdgeSeries<'_>, windows: u32, enter: f64, episodes: &mut Vec<Episode>) {
    let begins = |c: &Counts| c.attempts >= ATTEMPTS_MIN && c.retry_share() >= enter;
    let ends = |c: &Counts| c.retry_share() < LEAVE;
    let mut start: Option<u32> = None;
    let mut next = 0;
    for (window, counts) in series.windows.iter().filter(|(w, _)| *w < windows) {
        // A window in which nothing was tried has no retries.
        if let Some(begun) = start.filter(|_| *window > next) {
            episodes.push(Episode { edge, start: begun, end: next, open: false });
            start = None;
        }
        match start {
            None if begins(counts) => start = Some(*window),
            Some(begun) if ends(counts) => {
                episodes.push(Episode { edge, start: begun, end: *window, open: false });
                start = None;
            }
            _ => {}
        }
        next = window + 1;
    }
    if let Some(begun) = start {
        episodes.push(Episode { edge, start: begun, end: next, open: next >= windows });
    }
}

/// The episodes by storm: of one edge or of connected ones, at the same time or nearly so.
///
/// Each edge's episodes are waves first, and two edges' waves are walked side by side: what is compared grows with the number of
/// waves, not with their pairs.
pub fn together(connections: &Connections, episodes: &[Episode]) -> Vec<Vec<Episode>> {
    let waves = waves(episodes);
    // Episodes are found edge by edge, so each edge's waves stand together.
    let of_edge = |edge: usize| {
        let begin = waves.partition_point(|w| w.edge < edge);
        begin..begin + waves[begin..].partition_point(|w| w.edge == edge)
    };
    let mut leaders = Leaders((0..waves.len()).collect());
    for mine in waves.chunk_by(|a, b| a.edge == b.edge) {
        let edge = mine[0].edge;
        // The connection holds both ways: each pair is walked once.
        for &other in connections.near(edge).iter().filter(|other| **other > edge) {
            leaders.unite_near(&waves, of_edge(edge), of_edge(other));
        }
    }
    let mut storms: BTreeMap<usize, Vec<Episode>> = BTreeMap::new();
    for (at, wave) in waves.iter().enumerate() {
        storms.entry(leaders.of(at)).or_default().extend(&episodes[wave.episodes.clone()]);
    }
    storms.into_values().collect()
}

/// Episodes of one edge that belong together by themselves.
#[derive(Debug)]
struct Wave {
    edge: usize,
    start: u32,
    end: u32,
    episodes: Range<usize>,
}

fn waves(episodes: &[Episode]) -> Vec<Wave> {
    let mut waves: Vec<Wave> = Vec::new();
    for (at, episode) in episodes.iter().enumerate() {
        match waves.last_mut().filter(|w| w.edge == episode.edge && episode.start - w.end <= GAP_MAX) {
            Some(wave) => (wave.end, wave.episodes.end) = (episode.end, at + 1),
            None => waves.push(Wave {
                edge: episode.edge,
                start: episode.start,
                end: episode.end,
                episodes: at..at + 1,
            }),
        }
    }
    waves
}

/// The first wave of each storm stands for it.
#[derive(Debug)]
struct Leaders(Vec<usize>);

impl Leaders {
    fn of(&mut self, mut wave: usize) -> usize {
        while self.0[wave] != wave {
            self.0[wave] = self.0[self.0[wave]];
            wave = self.0[wave];
        }
        wave
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// A pause within a wave is no longer than what may lie between two waves of a storm, so a wave is near another where the
    /// spans of both are.
    fn unite_near(&mut self, waves: &[Wave], one: Range<usize>, other: Range<usize>) {
        let (mut a, mut b) = (one.start, other.start);
        while a < one.end && b < other.end {
            let (x, y) = (&waves[a], &waves[b]);
            if x.start.max(y.start).saturating_sub(x.end.min(y.end)) <= GAP_MAX {
                self.unite(a, b);
            }
            // What ends first has met all that it can meet.
            if x.end <= y.end { a += 1 } else { b += 1 }
        }
    }
}
