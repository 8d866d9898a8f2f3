use plimsoll_schemas::{Attr, Outcome, Rules};

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// The outcome of a span above a child.
fn check(above: TestSpan, child: TestSpan, expected: Outcome) {
    let rules = Rules::default();
    assert_eq!(analyse(&[above, child.child_of(1)], &rules).spans[0].outcome, expected);
}

#[test]
fn an_error_without_a_word_is_explained_by_what_failed_below() {
    let overloaded = span(2, 1, 5).with(Attr::HttpStatusCode, 503_i64);
    check(span(1, 0, 9).failed(), overloaded.clone(), Outcome::Dependency);
    check(span(1, 0, 9).failed().with(Attr::ErrorType, "_OTHER"), overloaded.clone(), Outcome::Dependency);
    check(
        span(1, 0, 9).failed().with(Attr::ErrorType, "ValidationError"),
        overloaded.clone(),
        Outcome::Correctness,
    );
    check(span(1, 0, 9).with(Attr::HttpStatusCode, 500_i64), overloaded.clone(), Outcome::Internal);
    check(span(1, 0, 9), overloaded, Outcome::Ok);
    check(span(1, 0, 9).failed(), span(2, 1, 5), Outcome::Internal);
}

#[test]
fn a_configured_rule_comes_first() {
    let miss = || crate::testing::span(1, 0, 9).with(plimsoll_schemas::Attr::HttpStatusCode, 404).failed();
    let of = |rules: &plimsoll_schemas::Rules| crate::analyse(&[miss()], rules).spans[0].outcome;
    let mut rules = plimsoll_schemas::Rules::default();
    assert_eq!(of(&rules), Outcome::Correctness);
    let rule = plimsoll_schemas::outcome::OutcomeRule {
        outcome: Outcome::Ok,
        service: Some("svc".into()),
        name: None,
        status: None,
        message: None,
        attribute: Some("http.response.status_code".into()),
        value: Some("404".into()),
    };
    rules.outcomes.push(rule);
    assert_eq!(of(&rules), Outcome::Ok);
    rules.outcomes[0].value = Some("5*".into());
    assert_eq!(of(&rules), Outcome::Correctness);
}
