//! From traces to storms, as the product does it: each trace is analysed, its edges are counted by window, and edges that are
//! retried or fail in the same traces are connected.

use std::collections::BTreeMap;

use plimsoll_analysis::fleet::storms::{BUDGET, Counts, EdgeSeries, Observed, Requests, Storm, find};
use plimsoll_analysis::{Edge, EdgeWindow, analyse};
use plimsoll_schemas::{Outcome, Rules};

use crate::testing::TestSpan;

type Names = (String, String, String);

/// One edge over time.
#[derive(Default)]
pub struct Series {
    depth: Option<u32>,
    pub windows: BTreeMap<u32, Counts>,
    /// In how many traces it was retried or failed.
    troubled: u32,
}

/// Of a stretch of time that begins at `from`, from which windows are numbered.
pub struct Account {
    from: i64,
    rules: Rules,
    requests: Vec<Requests>,
    pub spans: usize,
    pub edges: BTreeMap<Names, Series>,
    /// In how many traces two edges were retried or failed.
    together: BTreeMap<(Names, Names), u32>,
}

impl Account {
    pub fn new(from: i64, windows: u32) -> Self {
        Self {
            from,
            rules: Rules::default(),
            requests: vec![Requests::default(); windows as usize],
            spans: 0,
            edges: BTreeMap::new(),
            together: BTreeMap::new(),
        }
    }

    fn window(&self, at: i64) -> u32 {
        ((at - self.from) / Rules::EDGE_WINDOW.0) as u32
    }

    /// One trace, whose first span is its root.
    pub fn add(&mut self, spans: &[TestSpan]) {
        let answer = analyse(spans, &self.rules);
        self.spans += spans.len();
        let arrived = self.window(spans[0].start.0) as usize;
        if let (Some(window), Some(request)) =
            (self.requests.get_mut(arrived), answer.runs.iter().find(|r| r.is_request))
        {
            window.offered += 1;
            window.good += u64::from(request.outcome == Outcome::Ok);
        }
        let mut troubled: Vec<Names> = Vec::new();
        for row in &answer.edges {
            let window = self.window(row.window.0);
            let series = self.edges.entry(names(&row.edge)).or_default();
            series.depth = series.depth.into_iter().chain([row.depth]).min();
            count(series.windows.entry(window).or_default(), row);
            if row.retries + row.failed_attempts > 0 && !troubled.contains(&names(&row.edge)) {
                series.troubled += 1;
                troubled.push(names(&row.edge));
            }
        }
        for (at, a) in troubled.iter().enumerate() {
            for b in &troubled[at + 1..] {
                *self.together.entry((a.clone(), b.clone())).or_default() += 1;
            }
        }
    }

    pub fn storms(&self) -> Vec<Storm> {
        let series = self.edges.iter().map(|(names, series)| EdgeSeries {
            edge: Edge { caller: &names.0, callee: &names.1, operation: &names.2 },
            depth: series.depth.unwrap_or(0),
            windows: series.windows.iter().map(|(w, c)| (*w, *c)).collect(),
        });
        let edges: Vec<EdgeSeries<'_>> = series.collect();
        let at = |names: &Names| self.edges.keys().position(|known| known == names).expect("counted");
        // A fiftieth of the traces in trouble, as a query has it.
        let often = |of: &Names, times: u32| times * 50 >= self.edges[of].troubled;
        let connected = self.together.iter().filter(|((a, b), times)| often(a, **times) || often(b, **times));
        let connected: Vec<(usize, usize)> = connected.map(|((a, b), _)| (at(a), at(b))).collect();
        let observed = Observed {
            windows: self.requests.len() as u32,
            edges: &edges,
            connected: &connected,
            requests: &self.requests,
        };
        find(&observed, BUDGET)
    }

    /// The callee of one of the edges that [`Account::storms`] names.
    pub fn callee(&self, edge: usize) -> &str {
        self.edges.keys().nth(edge).map_or("", |names| names.1.as_str())
    }
}

fn names(edge: &Edge<'_>) -> Names {
    (edge.caller.to_owned(), edge.callee.to_owned(), edge.operation.to_owned())
}

fn count(sum: &mut Counts, row: &EdgeWindow<'_>) {
    sum.logical_calls += u64::from(row.logical_calls);
    sum.attempts += u64::from(row.attempts);
    sum.retries += u64::from(row.retries);
    sum.failed += u64::from(row.failed_attempts);
    sum.failed_overload += u64::from(row.failed_overload);
    sum.failed_deadline += u64::from(row.failed_deadline);
    sum.failed_correctness += u64::from(row.failed_correctness);
    sum.wasted += row.wasted;
    sum.queue_known += u64::from(row.queue_known);
    sum.queue += row.queue;
}
