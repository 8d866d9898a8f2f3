//! When each edge storms, by hysteresis, and which of these times belong together.

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
pub fn together(observed: &Observed<'_>, episodes: &[Episode]) -> Vec<Vec<Episode>> {
    let mut leader: Vec<usize> = (0..episodes.len()).collect();
    fn lead(leader: &mut [usize], mut of: usize) -> usize {
        while leader[of] != of {
            leader[of] = leader[leader[of]];
            of = leader[of];
        }
        of
    }
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); observed.edges.len()];
    for (a, b) in observed.connected {
        near[*a].push(*b);
        near[*b].push(*a);
    }
    let mut of_edge: Vec<Vec<usize>> = vec![Vec::new(); observed.edges.len()];
    for (at, episode) in episodes.iter().enumerate() {
        of_edge[episode.edge].push(at);
    }
    for (at, episode) in episodes.iter().enumerate() {
        for edge in near[episode.edge].iter().chain([&episode.edge]) {
            for &other in &of_edge[*edge] {
                let other_episode = &episodes[other];
                let apart =
                    episode.start.max(other_episode.start).saturating_sub(episode.end.min(other_episode.end));
                if apart <= GAP_MAX {
                    let (a, b) = (lead(&mut leader, at), lead(&mut leader, other));
                    leader[a.max(b)] = a.min(b);
                }
            }
        }
    }
    let mut storms: Vec<(usize, Vec<Episode>)> = Vec::new();
    for (at, episode) in episodes.iter().enumerate() {
        let of = lead(&mut leader, at);
        match storms.iter_mut().find(|(leader, _)| *leader == of) {
            Some((_, members)) => members.push(*episode),
            None => storms.push((of, vec![*episode])),
        }
    }
    storms.into_iter().map(|(_, members)| members).collect()
}
