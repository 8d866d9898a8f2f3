use plimsoll_schemas::Rules;
use plimsoll_schemas::stage::StageRule;

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

fn check(spans: &[TestSpan], expected: &[&str]) {
    let rule = StageRule { stage: "ruled".into(), name: Some("rule*".into()), ..StageRule::default() };
    let rules = Rules { stages: vec![rule], ..Rules::default() };
    let analysis = analyse(spans, &rules);
    let stages: Vec<&str> = analysis.spans.iter().map(|s| s.stage).collect();
    assert_eq!(stages, expected);
}

#[test]
fn rules_come_before_evidence_before_the_parent_before_the_service() {
    check(
        &[
            span(1, 0, 9).on("front"),
            span(2, 1, 8).child_of(1).on("other"),
            span(3, 2, 7).child_of(2).tool("t"),
            span(4, 3, 6).child_of(3),
            span(5, 3, 6).child_of(3).tool("t").named("ruled call"),
        ],
        &["front", "front", "execute", "execute", "ruled"],
    );
    check(&[span(1, 0, 9).on("")], &["unknown_service"]);
}

#[test]
fn a_consumer_elsewhere_has_a_stage_of_its_own() {
    check(
        &[
            span(1, 0, 9).producer().stage("plan"),
            span(2, 20, 30).child_of(1).consumer().on("worker"),
            span(3, 20, 30).child_of(1).consumer(),
        ],
        &["plan", "worker", "plan"],
    );
}
