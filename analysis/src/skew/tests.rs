use plimsoll_schemas::{Attr, Rules};

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// By how much the server's span and its child are shifted.
fn check(client: TestSpan, server: TestSpan, expected: Option<i64>) {
    let rules = Rules::default();
    let below = span(3, server.start.0 + 1, server.start.0 + 2).child_of(2).with(Attr::HostName, "h2");
    let analysis = analyse(&[client, server.child_of(1), below], &rules);
    assert_eq!(analysis.spans[1].flags.skew.map(|d| d.0), expected);
    assert_eq!(analysis.spans[2].flags.skew.map(|d| d.0), expected);
    assert_eq!(analysis.flags.skew, expected.is_some());
}

fn client() -> TestSpan {
    span(1, 1000, 1100).client().with(Attr::HostName, "h1")
}

fn server(start: i64, end: i64) -> TestSpan {
    span(2, start, end).server().with(Attr::HostName, "h2")
}

#[test]
fn a_server_that_does_not_fit_is_centred() {
    check(client(), server(900, 960), Some(120));
    check(client(), server(1050, 1130), Some(-40));
    check(client(), server(1010, 1090), None);
}

#[test]
fn a_server_that_lasts_longer_never_starts_before() {
    check(client(), server(900, 1050), Some(100));
    check(client(), server(1010, 1200), None);
}

#[test]
fn only_between_the_sides_of_a_call_on_two_known_hosts() {
    let rules = Rules::default();
    for (a, b) in [
        (span(1, 1000, 1100).client(), server(900, 960)),
        (span(1, 1000, 1100).client().with(Attr::HostName, "h2"), server(900, 960)),
        (span(1, 1000, 1100).with(Attr::HostName, "h1"), server(900, 960)),
    ] {
        assert!(!analyse(&[a, b.child_of(1)], &rules).flags.skew);
    }
}

#[test]
fn shifted_times_are_those_that_are_analysed() {
    let rules = Rules::default();
    let analysis = analyse(&[client(), server(900, 960).child_of(1)], &rules);
    let path: Vec<_> =
        analysis.critical_path.iter().map(|p| (p.span, p.class.as_str(), p.duration.0)).collect();
    assert_eq!(path, [(0, "transit", 20), (1, "compute", 60), (0, "transit", 20)]);
}
