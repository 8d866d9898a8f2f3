//! A day of a fleet of agents, span by span: no storm is found in twenty-four calm hours, and the same fleet's outage is found with
//! what set it off.
//!
//! A request asks a model, a tool, the model, the tool and the model again; the tool asks a database. All of them have queues, and
//! at all times a few calls fail and are tried again: by chance, and by what is asked of them more at three in the afternoon than
//! at night. At night a window has a few calls, of which one retried is a large share.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use plimsoll_analysis::fleet::storms::{ATTEMPTS_MIN, Counts, ENTER, Kind};
use plimsoll_schemas::{Attr, StatusCode, UnixNanos, Value};

use super::account::Account;
use super::{Chance, SECOND, Station};
use crate::testing::{Build, TestSpan, span};

const WINDOW: i64 = 10 * SECOND;
const HOUR: i64 = 3_600 * SECOND;
const MS: i64 = SECOND / 1_000;

/// Requests a second at the day's peak and at its least.
const PEAK: f64 = 1.6;
const LEAST: f64 = 0.06;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Model,
    Tool,
}

const PLAN: [Step; 5] = [Step::Model, Step::Tool, Step::Model, Step::Tool, Step::Model];

/// Tries of one call, by the agent and by the tool.
const TRIES: u32 = 3;
const TRIES_OF_TOOL: u32 = 2;

/// Shares of the calls: the model has no room, the tool cannot use the arguments, the database breaks off.
const REFUSED: f64 = 0.01;
const WRONG: f64 = 0.01;
const BROKEN: f64 = 0.02;
const WRONG_ARGUMENTS: &str = "invalid_arguments";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The agent makes the call of its next step.
    Call,
    /// The tool asks the database for what span `tool` wants.
    Query { tool: u32, ordinal: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    request: u64,
    event: Event,
}

/// A request under way.
struct Request {
    /// So far; the first is its own. They are numbered from 1.
    spans: Vec<TestSpan>,
    /// How many steps are done.
    done: usize,
    /// How often the next one was tried.
    tried: u32,
}

impl Request {
    fn begin(&mut self, at: i64, parent: u32, what: impl FnOnce(TestSpan) -> TestSpan) -> u32 {
        let n = self.spans.len() as u32 + 1;
        self.spans.push(what(span(u64::from(n), at, at).child_of(u64::from(parent))));
        n
    }

    fn end(&mut self, n: u32, at: i64, error: Option<&'static str>) {
        let span = &mut self.spans[n as usize - 1];
        span.duration = UnixNanos(at) - span.start;
        if let Some(error) = error {
            span.status = StatusCode::Error;
            span.attributes.insert(Attr::ErrorType, Value::Str(error));
        }
    }
}

/// The fleet in some hours of a day.
struct Fleet {
    hours: Range<i64>,
    /// When the database refuses connections.
    down: Range<i64>,
    chance: Chance,
    model: Station,
    tool: Station,
    database: Station,
    requests: BTreeMap<u64, Request>,
    due: BinaryHeap<Reverse<Due>>,
    account: Account,
}

/// What the fleet's spans say.
fn observe(seed: u64, hours: Range<i64>, down: Range<i64>) -> Account {
    let mut fleet = Fleet {
        hours: hours.clone(),
        down,
        chance: Chance::new(seed),
        model: Station::new(5),
        tool: Station::new(2),
        database: Station::new(1),
        requests: BTreeMap::new(),
        due: BinaryHeap::new(),
        account: Account::new(hours.start * HOUR, ((hours.end - hours.start) * HOUR / WINDOW) as u32),
    };
    fleet.run();
    fleet.account
}

impl Fleet {
    fn run(&mut self) {
        let (mut arrival, mut arrived) = (self.hours.start * HOUR, 0);
        loop {
            // By thinning, so that the rate may change at any time.
            arrival += self.chance.exponential(PEAK);
            if arrival < self.hours.end * HOUR && self.chance.share() * PEAK > rate(arrival) {
                continue;
            }
            let is_over = arrival >= self.hours.end * HOUR;
            while let Some(Reverse(due)) =
                self.due.peek().copied().filter(|Reverse(due)| is_over || due.at <= arrival)
            {
                self.due.pop();
                self.happen(due);
            }
            if is_over {
                return;
            }
            arrived += 1;
            let root = span(1, arrival, arrival).server().on("agent").named("ask").stage("agent");
            self.requests.insert(arrived, Request { spans: vec![root], done: 0, tried: 0 });
            self.next(arrived, arrival + MS, Event::Call);
        }
    }

    fn next(&mut self, request: u64, at: i64, event: Event) {
        self.due.push(Reverse(Due { at, request, event }));
    }

    fn happen(&mut self, due: Due) {
        let mut request = self.requests.remove(&due.request).expect("it is under way");
        match due.event {
            Event::Call => match PLAN[request.done] {
                Step::Model => self.ask_model(&mut request, due),
                Step::Tool => self.ask_tool(&mut request, due),
            },
            Event::Query { tool, ordinal } => self.query(&mut request, due, tool, ordinal),
        }
        if request.done < PLAN.len() {
            self.requests.insert(due.request, request);
        } else {
            self.account.add(&request.spans);
        }
    }

    /// G/G/c: agents come back to it in their own time, and its work scatters more than exponentially.
    fn ask_model(&mut self, request: &mut Request, due: Due) {
        let call = request.begin(due.at, 1, |call| {
            let call = call.client().on("agent").named("chat").with(Attr::GenAiOperationName, "chat");
            call.with(Attr::GenAiRequestModel, "model")
        });
        if self.chance.share() < REFUSED {
            return self.answer(request, due, &[call], due.at + 20 * MS, Some("rate_limit"));
        }
        let per_s = if self.chance.share() < 0.9 { 2.0 } else { 0.4 };
        let (begun, ended) = self.model.serve(due.at, self.chance.exponential(per_s));
        let waited = (begun - due.at) as f64 / SECOND as f64;
        let engine = request.begin(due.at, call, |engine| {
            engine.server().on("engine").named("llm_request").with(Attr::TimeInQueue, waited)
        });
        self.answer(request, due, &[engine, call], ended, None);
    }

    /// M/M/c, as the database.
    fn ask_tool(&mut self, request: &mut Request, due: Due) {
        let call = request.begin(due.at, 1, |call| {
            call.client().on("agent").named("search").with(Attr::PeerService, "tool")
        });
        let tool = request.begin(due.at, call, |tool| tool.server().on("tool").named("search"));
        let (_, ended) = self.tool.serve(due.at, self.chance.exponential(2.5));
        if self.chance.share() < WRONG {
            return self.answer(request, due, &[tool, call], ended, Some(WRONG_ARGUMENTS));
        }
        self.next(due.request, ended, Event::Query { tool, ordinal: 1 });
    }

    fn query(&mut self, request: &mut Request, due: Due, tool: u32, ordinal: u32) {
        let error = if self.down.contains(&due.at) {
            Some("connection refused")
        } else {
            (self.chance.share() < BROKEN).then_some("connection reset")
        };
        let ended = match error {
            Some(_) => due.at + MS,
            None => self.database.serve(due.at, self.chance.exponential(5.0)).1,
        };
        let query = request.begin(due.at, tool, |query| {
            query.client().on("tool").named("SELECT").with(Attr::PeerService, "database")
        });
        if error.is_some() && ordinal < TRIES_OF_TOOL {
            request.end(query, ended, error);
            return self.next(due.request, ended + 20 * MS, Event::Query { tool, ordinal: ordinal + 1 });
        }
        self.answer(request, due, &[query, tool, tool - 1], ended, error);
    }

    /// The agent has its answer, with which these spans end: it tries again, goes on, or gives up.
    fn answer(
        &mut self,
        request: &mut Request,
        due: Due,
        ending: &[u32],
        at: i64,
        error: Option<&'static str>,
    ) {
        ending.iter().for_each(|n| request.end(*n, at, error));
        request.tried += 1;
        // An agent finds other arguments, and asks for something else.
        let failed = error.is_some_and(|error| error != WRONG_ARGUMENTS);
        if failed && request.tried < TRIES {
            let backoff = 100 * MS + self.chance.exponential(10.0);
            return self.next(due.request, at + backoff, Event::Call);
        }
        (request.tried, request.done) = (0, if failed { PLAN.len() } else { request.done + 1 });
        if request.done < PLAN.len() {
            self.next(due.request, at + 10 * MS, Event::Call);
        } else {
            request.end(1, at, error.filter(|_| failed));
        }
    }
}

/// Requests a second: the most at three in the afternoon, the least at night.
fn rate(at: i64) -> f64 {
    let hour = (at % (24 * HOUR)) as f64 / HOUR as f64;
    let height = ((hour - 15.0) / 24.0 * std::f64::consts::TAU).cos().max(0.0);
    LEAST + (PEAK - LEAST) * height * height
}

/// About half a million spans.
#[test]
fn twenty_four_calm_hours_have_no_storm() {
    let day = observe(9, 0..24, 0..0);
    assert_eq!(day.storms(), []);
    // There could have been false alarms: every edge was busy at times, and calls were tried again at all times.
    assert!(day.spans > 450_000, "{}", day.spans);
    assert!(day.edges.keys().map(|edge| edge.1.as_str()).eq(["model", "tool", "database"]));
    let count = |of: &dyn Fn(&Counts) -> bool| -> Vec<usize> {
        day.edges.values().map(|series| series.windows.values().filter(|c| of(c)).count()).collect()
    };
    let (busy, retried) = (count(&|c| c.attempts >= 2 * ATTEMPTS_MIN), count(&|c| c.retries > 0));
    assert!(busy.iter().all(|windows| *windows > 100), "{busy:?}");
    assert!(retried.iter().sum::<usize>() > 1_000, "{retried:?}");
    // By its share of retries alone, without regard to how few calls it is of, it would be no calm day.
    let by_chance = count(&|c| c.retry_share() >= ENTER);
    assert!(by_chance.iter().sum::<usize>() > 10, "{by_chance:?}");
}

/// The database refuses for two minutes at three in the afternoon. It is asked twice by a tool that is asked three times.
#[test]
fn an_outage_of_that_fleet_is_one_storm_from_below() {
    let outage = 15 * HOUR..15 * HOUR + 120 * SECOND;
    let day = observe(9, 14..16, outage);
    let storms = day.storms();
    let [storm] = storms.as_slice() else { panic!("{storms:?}") };
    assert_eq!((storm.start, storm.end, storm.open), (360, 372, false), "{storm:?}");
    assert!(storm.edges.iter().map(|edge| day.callee(edge.edge)).eq(["tool", "database"]), "{storm:?}");
    let trigger = storm.trigger.expect("something failed first");
    assert_eq!((day.callee(trigger.edge), trigger.window, trigger.kind), ("database", 360, Kind::Dependency));
    assert!((5.0..=6.0).contains(&storm.layered_amplification), "{storm:?}");
    assert_eq!(storm.metastable, Some(false), "{storm:?}");
}
