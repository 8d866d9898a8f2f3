//! Files that broke: what is whole comes, and it is said where they are damaged.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::{Read, read};

fn request(n: usize) -> Value {
    json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [
        {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": format!("{n:016x}"), "name": "a \"quoted\" {name]"}]}]}]})
}

fn lines(count: usize) -> Vec<String> {
    (1..=count).map(|n| request(n).to_string()).collect()
}

fn numbers(got: &Read) -> Vec<usize> {
    let ids = got.spans.iter().filter_map(|(s, _)| s["spanId"].as_str());
    ids.map(|id| usize::from_str_radix(id, 16).expect("hex")).collect()
}

#[test]
fn of_lines_only_the_damaged_one_is_missing_wherever_it_is_cut() {
    let whole = lines(5);
    for damaged in 0..whole.len() {
        for cut in 1..whole[damaged].len() {
            let mut lines = whole.clone();
            lines[damaged].truncate(cut);
            let got = read(lines.join("\n").as_bytes());
            let told = got.error.as_deref().unwrap_or_default();
            assert!(told.contains(&format!("line {}, ", damaged + 1)), "{damaged} cut at {cut}: {told}");
            // Of the damaged line itself, what is whole before the cut may come.
            let others: Vec<usize> = numbers(&got).into_iter().filter(|n| *n != damaged + 1).collect();
            let expected: Vec<usize> = (1..=5).filter(|n| *n != damaged + 1).collect();
            assert_eq!(others, expected, "line {damaged} cut at {cut}");
        }
    }
}

#[test]
fn what_stands_before_the_break_of_a_single_document_comes() {
    let list = Value::Array((1..=20).map(request).collect());
    for text in [list.to_string(), serde_json::to_string_pretty(&list).expect("JSON")] {
        assert_eq!(numbers(&read(text.as_bytes())).len(), 20);
        let cut = &text[..text.len() / 2];
        let got = read(cut.as_bytes());
        let expected = cut.matches("\"name\"").count();
        assert!((expected - 1..=expected).contains(&numbers(&got).len()), "{}", numbers(&got).len());
        let line = cut.matches('\n').count() + 1;
        assert!(
            got.error.as_deref().is_some_and(|e| e.contains(&format!("line {line}, byte "))),
            "{:?}",
            got.error
        );
    }
}

#[test]
fn a_packed_file_that_breaks_off_gives_what_could_be_unpacked() {
    let text = lines(2_000).join("\n");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("in memory");
    for packed in
        [gzip.finish().expect("in memory"), zstd::encode_all(text.as_bytes(), 1).expect("in memory")]
    {
        let got = read(&packed[..packed.len() * 3 / 4]);
        let found = numbers(&got);
        assert!((1..2_000).contains(&found.len()), "{}", found.len());
        assert_eq!(found, (1..=found.len()).collect::<Vec<_>>());
        let told = got.error.expect("it is damaged");
        assert!(
            told.contains("breaks off") && told.contains(&format!("line {}, ", found.len() + 1)),
            "{told}"
        );
    }
}

#[test]
fn many_damages_are_counted_and_few_are_told() {
    let mut text = String::new();
    for line in lines(40) {
        let _ = writeln!(text, "{line}\n{{\"resourceSpans\": nonsense}}");
    }
    let got = read(text.as_bytes());
    assert_eq!(numbers(&got).len(), 40);
    let told = got.error.expect("it is damaged");
    assert!(told.contains("line 2, ") && told.contains("and 30 more"), "{told}");
}

#[test]
fn of_framed_messages_only_the_damaged_one_is_missing() {
    let mut file = Vec::new();
    for n in 1..=3 {
        let mut message = request(n).to_string().into_bytes();
        if n == 2 {
            message[30] = b'}';
        }
        file.extend_from_slice(&u32::try_from(message.len()).expect("small").to_be_bytes());
        file.extend_from_slice(&message);
    }
    let got = read(&file);
    assert_eq!(numbers(&got), [1, 3]);
    assert!(got.error.as_deref().is_some_and(|e| e.contains("message 2: ")), "{:?}", got.error);
}
