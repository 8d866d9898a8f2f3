use plimsoll_schemas::Rules;

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// The pre-order as `id` words, indented by depth with dots, and the trace's flags.
fn check(spans: &[TestSpan], order: &str, flags: &str) {
    let rules = Rules::default();
    let analysis = analyse(spans, &rules);
    let words = analysis.order.iter().map(|i| {
        format!("{}{}", ".".repeat(analysis.spans[*i].depth as usize), spans[*i].span_id.bytes()[7])
    });
    assert_eq!(words.collect::<Vec<_>>().join(" "), order);
    assert_eq!(analysis.flags.words().collect::<Vec<_>>().join(" "), flags);
}

#[test]
fn siblings_stand_by_start() {
    check(
        &[
            span(4, 50, 60).child_of(1),
            span(3, 12, 14).child_of(2),
            span(2, 10, 20).child_of(1),
            span(1, 0, 100),
        ],
        "1 .2 ..3 .4",
        "",
    );
}

#[test]
fn a_missing_parent_makes_a_root_unless_a_link_stands_for_it() {
    check(&[span(1, 0, 9), span(2, 1, 5).child_of(77)], "1 2", "missing_parent multiple_roots");
    check(&[span(1, 0, 9), span(2, 1, 5).child_of(77).linked_to(1)], "1 .2", "missing_parent");
    check(&[span(1, 0, 9), span(2, 1, 5).linked_to(1)], "1 .2", "");
}

#[test]
fn cycles_are_cut_at_the_earliest_span() {
    check(&[span(1, 0, 9).child_of(1)], "1", "cycle");
    check(
        &[
            span(2, 5, 9).child_of(1),
            span(1, 0, 9).child_of(3),
            span(3, 6, 9).child_of(2),
            span(4, 1, 2).child_of(3),
        ],
        "1 .2 ..3 ...4",
        "cycle",
    );
}

#[test]
fn a_cycle_through_a_link_is_cut_there_and_no_flaw() {
    check(&[span(1, 0, 9).linked_to(2), span(2, 1, 5).child_of(1)], "1 .2", "");
}

#[test]
fn children_of_a_repeated_id_hang_from_the_first() {
    let rules = Rules::default();
    let spans =
        [span(2, 5, 9).child_of(1), span(1, 0, 9), span(2, 1, 4).child_of(1), span(3, 6, 7).child_of(2)];
    check(&spans, "1 .2 ..3 .2", "duplicate_id");
    let analysis = analyse(&spans, &rules);
    assert_eq!(analysis.spans[3].parent, Some(2));
    assert!(analysis.spans[0].flags.duplicate_id && !analysis.spans[2].flags.duplicate_id);
}

#[test]
fn what_ends_after_the_root_is_off_the_request_path() {
    let rules = Rules::default();
    let analysis = analyse(&[span(1, 0, 9), span(2, 1, 10).child_of(1)], &rules);
    assert!(analysis.spans[1].flags.outlives_root);
    assert_eq!(analysis.root, Some(0));
}
