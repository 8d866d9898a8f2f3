//! Claims on one span's time, laid over each other: what an earlier layer has taken a later one cannot.

use plimsoll_schemas::{DurationNs, TimeClass};

use crate::model::{ClassTimes, Segment};
use crate::trace::Interval;

/// Scratch space, used for one span after another. Every layer is one merge over sorted lists.
#[derive(Debug)]
pub(crate) struct Layers {
    /// The span's time in order and without gaps. What nothing claimed so far has no class.
    pieces: Vec<Piece>,
    next: Vec<Piece>,
}

type Piece = (Interval, Option<TimeClass>);

/// Pieces of an ordinary span: room for them is made at once.
const PIECES: usize = 16;

impl Layers {
    pub fn new() -> Self {
        Self { pieces: Vec::with_capacity(PIECES), next: Vec::with_capacity(PIECES) }
    }

    /// Begins with a span and the first claims on it, which are disjoint, in order and within it.
    pub fn begin(&mut self, span: Interval, class: TimeClass, claims: &[Interval]) {
        self.pieces.clear();
        let mut at = span.start;
        for &claim in claims {
            keep(&mut self.pieces, at, claim.start, None);
            self.pieces.push((claim, Some(class)));
            at = claim.end;
        }
        keep(&mut self.pieces, at, span.end, None);
    }

    /// Gives `class` what is still free of the claims, which are disjoint and in order. Returns how much that was.
    #[inline]
    pub fn take(&mut self, class: TimeClass, claims: &[Interval]) -> i64 {
        if claims.is_empty() { 0 } else { self.lay(class, claims) }
    }

    fn lay(&mut self, class: TimeClass, mut claims: &[Interval]) -> i64 {
        self.next.clear();
        let mut taken = 0;
        for &(piece, owner) in &self.pieces {
            let mut at = piece.start;
            while let (None, [claim, later @ ..]) = (owner, claims)
                && claim.start < piece.end
            {
                let got = claim.clip(Interval { start: at, end: piece.end });
                if got.len() > 0 {
                    keep(&mut self.next, at, got.start, None);
                    self.next.push((got, Some(class)));
                    taken += got.len();
                    at = got.end;
                }
                if claim.end > piece.end {
                    break;
                }
                claims = later;
            }
            keep(&mut self.next, at, piece.end, owner);
        }
        std::mem::swap(&mut self.pieces, &mut self.next);
        taken
    }

    /// Gives `class` the first `budget` nanoseconds that are free.
    pub fn take_first(&mut self, class: TimeClass, mut budget: i64) {
        self.next.clear();
        for &(piece, owner) in &self.pieces {
            let got = if owner.is_none() { piece.len().min(budget) } else { 0 };
            keep(&mut self.next, piece.start, piece.start + got, Some(class));
            keep(&mut self.next, piece.start + got, piece.end, owner);
            budget -= got;
        }
        std::mem::swap(&mut self.pieces, &mut self.next);
    }

    /// Appends the partition, the remainder being of class `residual`.
    pub fn finish(&self, residual: TimeClass, segments: &mut Vec<Segment>) -> ClassTimes {
        let mut times = ClassTimes::default();
        let begin = self.pieces.first().map_or(0, |(first, _)| first.start);
        let mut last: Option<TimeClass> = None;
        for (piece, owner) in &self.pieces {
            let class = owner.unwrap_or(residual);
            let duration = DurationNs(piece.len());
            times.add(class, duration);
            match segments.last_mut() {
                Some(segment) if last == Some(class) => segment.duration += duration,
                _ => segments.push(Segment { class, offset: DurationNs(piece.start - begin), duration }),
            }
            last = Some(class);
        }
        times
    }
}

fn keep(pieces: &mut Vec<Piece>, start: i64, end: i64, owner: Option<TimeClass>) {
    if start < end {
        pieces.push((Interval { start, end }, owner));
    }
}
