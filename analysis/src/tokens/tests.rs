use plimsoll_schemas::{Attr, Rules};

use crate::analyse;
use crate::model::Tokens;
use crate::testing::{Build, TestSpan, span};

/// Input and output tokens of the whole trace.
fn check(spans: &[TestSpan], input: Option<i64>, output: Option<i64>) {
    let rules = Rules::default();
    let mut sum = Tokens::default();
    analyse(spans, &rules).runs.iter().for_each(|run| sum.add(&run.tokens));
    assert_eq!((sum.input, sum.output), (input, output));
}

fn chat(n: u64, parent: u64, input: i64) -> TestSpan {
    span(n, n as i64, 100 - n as i64).child_of(parent).with(Attr::GenAiUsageInputTokens, input)
}

#[test]
fn usage_is_taken_from_the_lowest_span_that_reports_it() {
    check(
        &[
            span(1, 0, 100)
                .with(Attr::GenAiUsageInputTokens, 30_i64)
                .with(Attr::GenAiUsageOutputTokens, 9_i64),
            chat(2, 1, 10),
            chat(3, 2, 10),
            chat(4, 1, 20),
        ],
        Some(30),
        Some(9),
    );
    check(&[chat(1, 99, 30), span(2, 1, 99).child_of(1), chat(3, 2, 30)], Some(30), None);
    check(&[span(1, 0, 100)], None, None);
}

#[test]
fn one_response_counts_once_however_many_report_it() {
    let same = |span: TestSpan| span.with(Attr::GenAiResponseId, "r");
    check(&[span(1, 0, 100), same(chat(2, 1, 10)), same(chat(3, 1, 10)), chat(4, 1, 5)], Some(15), None);
}

#[test]
fn tool_calls_and_second_copies_have_no_usage() {
    check(&[span(1, 0, 100), chat(2, 1, 10), chat(2, 1, 10), chat(3, 1, 7).tool("t")], Some(10), None);
}
