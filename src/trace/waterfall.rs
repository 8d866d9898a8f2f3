//! The drawing itself: from an analysis and a terminal to text.

use std::collections::HashSet;
use std::fmt::Write;

use plimsoll_schemas::{DurationNs, TimeClass};

use super::{Analysis, SpanRow};
use crate::terminal::{Terminal, cut, duration};

/// Columns for the span's name, duration and marks; the bar has the rest.
const NAME_SHARE: usize = 38;
const NUMBERS_WIDTH: usize = 22;
const BAR_MIN: usize = 20;

pub(super) fn draw(analysis: &Analysis, terminal: Terminal) -> String {
    let mut out = String::new();
    head(&mut out, analysis, terminal);
    let name_width = (terminal.width * NAME_SHARE / 100).max(24);
    let bar_width = terminal.width.saturating_sub(name_width + NUMBERS_WIDTH).max(BAR_MIN);
    let from: i64 = analysis.spans.iter().map(start).min().unwrap_or(0);
    let until = analysis.spans.iter().map(|s| start(s) + s.duration_ns).max().unwrap_or(0);
    let scale = Scale { from, length: (until - from).max(1), width: bar_width };
    let on_path: HashSet<&str> = analysis.critical_path.iter().map(|p| p.span_id.as_str()).collect();
    for span in &analysis.spans {
        let mark = if on_path.contains(span.span_id.as_str()) { "▸" } else { " " };
        let label = format!("{}{mark}{} {}", "  ".repeat(span.depth), span.service, span.name);
        let label = cut(&label, name_width - 1);
        let pad = " ".repeat(name_width - label.chars().count());
        let label = if span.outcome == "ok" { label } else { terminal.paint(&label, FAILED) };
        let _ = writeln!(out, "{label}{pad}{} {}", bar(span, scale, terminal), numbers(span));
    }
    foot(&mut out, analysis, terminal);
    out
}

const FAILED: u8 = 203;

/// One colour and one shade a class, so that it reads without colours too.
const fn look(class: TimeClass) -> (u8, char) {
    match class {
        TimeClass::Queue => (214, '▒'),
        TimeClass::Load => (141, '▓'),
        TimeClass::Compute => (36, '█'),
        TimeClass::Transit => (75, '╌'),
        TimeClass::Backoff => (203, '×'),
        TimeClass::Blocked => (240, '·'),
        TimeClass::Unattributed => (248, '░'),
    }
}

#[derive(Clone, Copy)]
struct Scale {
    from: i64,
    length: i64,
    width: usize,
}

impl Scale {
    fn column(self, at: i64) -> usize {
        let share = (at - self.from) as f64 / self.length as f64;
        (share * self.width as f64).floor().clamp(0.0, self.width as f64) as usize
    }
}

fn start(span: &SpanRow) -> i64 {
    span.start_unix_nano.parse().unwrap_or(0)
}

fn class(name: &str) -> TimeClass {
    TimeClass::ALL.into_iter().find(|c| c.as_str() == name).unwrap_or(TimeClass::Unattributed)
}

/// Each column shows the class that has most of its time.
fn bar(span: &SpanRow, scale: Scale, terminal: Terminal) -> String {
    let begin = start(span);
    let (first, last) = (scale.column(begin), scale.column(begin + span.duration_ns));
    let last = last.max(first + 1).min(scale.width.max(first + 1));
    let column_ns = scale.length as f64 / scale.width as f64;
    let mut bar = " ".repeat(first);
    for column in first..last {
        let from = scale.from as f64 + column as f64 * column_ns - begin as f64;
        let overlap = |offset: i64, length: i64| {
            (from + column_ns).min((offset + length) as f64) - from.max(offset as f64)
        };
        let most = span
            .segments
            .iter()
            .map(|s| (overlap(s.offset_ns, s.duration_ns), class(&s.class)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let (colour, shade) = look(most.map_or(TimeClass::Unattributed, |(_, class)| class));
        bar.push_str(&terminal.paint(&shade.to_string(), colour));
    }
    bar.push_str(&" ".repeat(scale.width.saturating_sub(last)));
    bar
}

fn numbers(span: &SpanRow) -> String {
    let mut text = format!("{:>8}", duration(DurationNs(span.duration_ns)));
    if let Some(queue) = span.queue_ns.filter(|q| *q > 0) {
        let _ = write!(text, " q {}", duration(DurationNs(queue)));
    }
    if let Some(attempt) = span.attempt.filter(|a| *a > 1) {
        let _ = write!(text, " #{attempt}");
    }
    text
}

fn head(out: &mut String, analysis: &Analysis, terminal: Terminal) {
    let outcome =
        if analysis.outcome == "ok" { "ok".to_owned() } else { terminal.paint(&analysis.outcome, FAILED) };
    let started = analysis.start_unix_nano.parse::<i64>().unwrap_or(0);
    let _ = writeln!(
        out,
        "trace {}  tenant {}  {}  {outcome}  start {:.3} (unix s)",
        analysis.trace_id,
        analysis.tenant,
        duration(DurationNs(analysis.duration_ns)),
        started as f64 / 1e9,
    );
    let legend: Vec<String> = TimeClass::ALL
        .into_iter()
        .map(|c| {
            let (colour, shade) = look(c);
            format!("{} {}", terminal.paint(&shade.to_string(), colour), c.as_str())
        })
        .collect();
    let _ = writeln!(out, "{}  ▸ critical path\n", legend.join("  "));
}

fn foot(out: &mut String, analysis: &Analysis, terminal: Terminal) {
    let total = analysis.duration_ns.max(1) as f64;
    let parts: Vec<String> = TimeClass::ALL
        .into_iter()
        .filter_map(|c| {
            let sum: i64 =
                analysis.critical_path.iter().filter(|p| class(&p.class) == c).map(|p| p.duration_ns).sum();
            let text =
                format!("{} {} ({:.0} %)", c.as_str(), duration(DurationNs(sum)), sum as f64 / total * 100.0);
            (sum > 0).then(|| terminal.paint(&text, look(c).0))
        })
        .collect();
    if !parts.is_empty() {
        let _ = writeln!(out, "\ncritical path: {}", parts.join(", "));
    }
    for verdict in &analysis.verdicts {
        let judged = match verdict.pass {
            Some(true) => "pass",
            Some(false) => "fail",
            None => verdict.label.as_deref().unwrap_or("unclear"),
        };
        let by = verdict.evaluator.as_deref().map(|e| format!(" by {e}")).unwrap_or_default();
        let _ = writeln!(out, "verdict: {} {judged}{by}", verdict.metric);
    }
    if !analysis.flags.is_empty() {
        let _ = writeln!(out, "flags: {}", analysis.flags.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_where_their_spans_do() {
        let analysis: Analysis = serde_json::from_value(serde_json::json!({
            "trace_id": "0".repeat(32), "tenant": "acme", "start_unix_nano": "1000", "duration_ns": 100, "outcome": "ok",
            "spans": [
                {"span_id": "a", "service": "agent", "name": "run", "start_unix_nano": "1000", "duration_ns": 100, "queue_ns": null,
                 "segments": [{"class": "compute", "offset_ns": 0, "duration_ns": 50}, {"class": "blocked", "offset_ns": 50, "duration_ns": 50}],
                 "outcome": "ok", "attempt": null, "depth": 0},
                {"span_id": "b", "service": "vllm", "name": "llm_request", "start_unix_nano": "1050", "duration_ns": 50, "queue_ns": 25,
                 "segments": [{"class": "queue", "offset_ns": 0, "duration_ns": 25}, {"class": "compute", "offset_ns": 25, "duration_ns": 25}],
                 "outcome": "ok", "attempt": null, "depth": 1}],
            "critical_path": [{"span_id": "b", "class": "queue", "duration_ns": 25}],
            "verdicts": [{"metric": "task_success", "label": "fail", "pass": false, "evaluator": "judge"}]
        }))
        .expect("as the API answers");
        let text = draw(&analysis, Terminal { width: 86, colours: false });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3].chars().skip(32).take(32).collect::<String>(),
            format!("{}{}", "█".repeat(16), "·".repeat(16))
        );
        let child: String = lines[4].chars().skip(32).take(32).collect();
        assert_eq!(child, format!("{}{}{}", " ".repeat(16), "▒".repeat(8), "█".repeat(8)));
        assert!(lines[4].starts_with("  ▸vllm llm_request") && lines[4].contains("q 25 ns"), "{text}");
        assert!(
            text.contains("queue 25 ns (25 %)") && text.contains("verdict: task_success fail by judge"),
            "{text}"
        );
    }
}
