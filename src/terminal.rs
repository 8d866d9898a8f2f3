//! What a terminal can show: its width, whether it has colours, and text laid out in columns.

use std::io::IsTerminal;

use plimsoll_schemas::DurationNs;

/// Taken where nothing says how wide the terminal is.
const WIDTH_DEFAULT: usize = 120;
const RESET: &str = "\x1b[0m";

/// What output may assume of the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    pub width: usize,
    pub colours: bool,
}

impl Terminal {
    /// Of standard output. A pipe is wide and has no colours; `NO_COLOR` and `COLUMNS` are heeded.
    pub fn of_stdout() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let named = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
        let width = named.or_else(|| terminal_size::terminal_size().map(|(w, _)| usize::from(w.0)));
        Self { width: width.unwrap_or(WIDTH_DEFAULT), colours }
    }

    /// `text` in one of the 256 colours.
    pub fn paint(&self, text: &str, colour: u8) -> String {
        if self.colours { format!("\x1b[38;5;{colour}m{text}{RESET}") } else { text.to_owned() }
    }
}

/// At most `width` characters; what was cut shows as `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Three significant digits and a unit.
pub fn duration(ns: DurationNs) -> String {
    let ns = ns.0 as f64;
    let (value, unit) = match ns.abs() {
        n if n >= 60e9 => (ns / 60e9, "m"),
        n if n >= 1e9 => (ns / 1e9, "s"),
        n if n >= 1e6 => (ns / 1e6, "ms"),
        n if n >= 1e3 => (ns / 1e3, "µs"),
        _ => return format!("{ns} ns"),
    };
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// Rows under a heading, each column as wide as its widest cell; numbers stand to the right.
pub fn columns(heading: &[String], rows: &[Vec<String>], numeric: &[bool]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|row| row.get(i));
        cells.chain(heading.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let pad = " ".repeat(widths[i] - cell.chars().count());
            if numeric.get(i) == Some(&true) { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
    let mut text = vec![line(heading), rule.join("  ")];
    text.extend(rows.iter().map(|row| line(row)));
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let heading = ["service".to_owned(), "spans".to_owned()];
        let rows = vec![vec!["vllm".to_owned(), "7".to_owned()], vec!["größe".to_owned(), "1234".to_owned()]];
        let text = columns(&heading, &rows, &[false, true]);
        assert_eq!(text, "service  spans\n───────  ─────\nvllm         7\ngröße     1234");
    }

    #[test]
    fn durations_have_three_digits() {
        for (ns, text) in [
            (7, "7 ns"),
            (1_234, "1.23 µs"),
            (45_600_000, "45.6 ms"),
            (2_500_000_000, "2.50 s"),
            (90_000_000_000, "1.50 m"),
        ] {
            assert_eq!(duration(DurationNs(ns)), text);
        }
    }

    #[test]
    fn what_is_cut_shows() {
        assert_eq!(cut("agent", 5), "agent");
        assert_eq!(cut("agents", 5), "agen…");
    }
}
