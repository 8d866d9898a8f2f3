use std::path::Path;

use serde_norway::Value;

use super::layers::Flag;
use super::*;

fn lay(file: &str, environment: &[(&str, &str)], flags: Vec<Flag>) -> Result<Effective, SettingsError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plimsoll.yaml");
    std::fs::write(&path, file).expect("writable");
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load(Some(&path), environment, flags)
}

#[test]
fn the_later_layer_wins_and_each_value_knows_its_origin() {
    let file =
        "store:\n  home: /from/file\n  flush_after: 5s\n  settle_after: 1m\nlisten:\n  otlp_grpc: off\n";
    let environment = [("PLIMSOLL__STORE__FLUSH_AFTER", "7s"), ("PLIMSOLL__STORE__FLUSH_BYTES", "65536")];
    let flags = vec![("home", "store.home", Value::String("/from/flag".into()))];
    let effective = lay(file, &environment, flags).expect("valid");
    let settings = &effective.settings;
    assert_eq!(settings.store.home.to_string(), "/from/flag");
    assert_eq!(settings.store.flush_after.to_string(), "7s");
    assert_eq!(settings.store.flush_bytes, ByteSize(65_536));
    assert_eq!(settings.store.settle_after.to_string(), "1m");
    assert_eq!(settings.listen.otlp_grpc, Listen::Off);
    let lines = effective.lines();
    let line = |key: &str| lines.iter().find(|l| l.starts_with(key)).expect("printed");
    assert!(line("store.home: /from/flag").ends_with("# --home"));
    assert!(line("store.flush_after: 7s").ends_with("# $PLIMSOLL__STORE__FLUSH_AFTER"));
    assert!(line("store.settle_after: 1m").ends_with("plimsoll.yaml"));
    assert!(line("store.merge_every").ends_with("# default"));
}

#[test]
fn mistakes_are_reported_where_they_were_made() {
    let error = |file, environment: &[(&str, &str)]| {
        lay(file, environment, Vec::new()).expect_err("wrong").to_string()
    };
    let unknown = error("store:\n  hoem: /x\n", &[]);
    assert!(unknown.contains("hoem") && unknown.contains("line 2 column 3"), "{unknown}");
    let unit = error("store:\n  flush_after: soon\n", &[]);
    assert!(unit.contains("250ms") && unit.contains("line 2"), "{unit}");
    let variable = error("", &[("PLIMSOLL__STORE__FLUSH_BYTES", "many")]);
    assert!(
        variable.starts_with("$PLIMSOLL__STORE__FLUSH_BYTES") && variable.contains("128MiB"),
        "{variable}"
    );
    let unknown = error("", &[("PLIMSOLL__STORE__HOEM", "/x")]);
    assert!(unknown.contains("hoem"), "{unknown}");
}

#[test]
fn a_file_that_is_named_must_exist() {
    let error =
        load(Some(Path::new("/nowhere/plimsoll.yaml")), std::iter::empty(), Vec::new()).expect_err("absent");
    assert!(error.to_string().contains("/nowhere/plimsoll.yaml"), "{error}");
}

#[test]
fn what_is_written_reads_back() {
    for text in ["off", "127.0.0.1:0", "[::1]:4317"] {
        assert_eq!(text.parse::<Listen>().expect("valid").to_string(), text);
    }
    for text in ["30s", "250ms", "10m", "2h", "0s"] {
        assert_eq!(text.parse::<Period>().expect("valid").to_string(), text);
    }
    for text in ["65537", "512KiB", "128MiB", "2GiB"] {
        assert_eq!(text.parse::<ByteSize>().expect("valid").to_string(), text);
    }
    assert!("4317".parse::<Listen>().is_err());
}
