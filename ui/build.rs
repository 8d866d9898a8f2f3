//! Builds the web application and lists its files for embedding.
//!
//! `PLIMSOLL_UI_DIST` names a ready build to use instead; `PLIMSOLL_UI_SKIP=1` embeds a page that says that the
//! application was left out, for checks that do not look at it. npm runs only when a source changed.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [&str; 8] = [
    "app",
    "dev",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
];
const NODE_MIN: (u32, u32) = (20, 19);
const SKIPPED: &str = "<!doctype html><meta charset=\"utf-8\"><title>Plimsoll</title><p>This build was made with \
     PLIMSOLL_UI_SKIP: the web application was left out. Build without it to have it.</p>";

fn main() {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    for variable in ["PLIMSOLL_UI_DIST", "PLIMSOLL_UI_SKIP"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", here.join(source).display());
    }
    let dist = if std::env::var("PLIMSOLL_UI_SKIP").is_ok_and(|v| !v.is_empty() && v != "0") {
        let dist = out.join("skipped");
        fs::create_dir_all(&dist).expect("OUT_DIR is writable");
        fs::write(dist.join("index.html"), SKIPPED).expect("OUT_DIR is writable");
        dist
    } else if let Ok(dist) = std::env::var("PLIMSOLL_UI_DIST") {
        PathBuf::from(dist)
    } else {
        build(&here, &out)
    };
    assert!(
        dist.join("index.html").is_file(),
        "{}: no index.html; not a build of the web application",
        dist.display()
    );
    fs::write(out.join("assets.rs"), table(&dist, &out.join("gzip"))).expect("OUT_DIR is writable");
}

/// `npm ci` and `vite build` in a copy of the sources, so that the source tree stays as it is.
fn build(here: &Path, out: &Path) -> PathBuf {
    let (work, dist, stamp) = (out.join("work"), out.join("dist"), out.join("stamp"));
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        digest(&here.join(source), &mut hasher);
    }
    let hash = hasher.finish().to_string();
    if fs::read_to_string(&stamp).is_ok_and(|s| s == hash) && dist.join("index.html").is_file() {
        return dist;
    }
    check_node();
    fs::create_dir_all(&work).expect("OUT_DIR is writable");
    for source in SOURCES {
        let to = work.join(source);
        if to.is_dir() {
            fs::remove_dir_all(&to).expect("OUT_DIR is writable");
        }
        copy(&here.join(source), &to);
    }
    run(&work, &["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]);
    let outdir = dist.to_str().expect("OUT_DIR is UTF-8").to_owned();
    run(&work, &["npx", "--no-install", "vite", "build", "--emptyOutDir", "--outDir", &outdir]);
    fs::write(stamp, hash).expect("OUT_DIR is writable");
    dist
}

fn check_node() {
    let version = Command::new("node").arg("--version").output().ok();
    let text = version.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    let mut parts = text.trim_start_matches('v').split('.').map_while(|p| p.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    assert!(
        found >= NODE_MIN,
        "the web application needs Node {}.{} or newer to build, found {}; install it, or set PLIMSOLL_UI_SKIP=1 to \
         build without the application",
        NODE_MIN.0,
        NODE_MIN.1,
        if text.is_empty() { "none" } else { &text },
    );
}

fn run(dir: &Path, command: &[&str]) {
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(dir)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", command.join(" ")));
    assert!(
        output.status.success(),
        "{} failed:\n{}\n{}",
        command.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

fn digest(path: &Path, hasher: &mut DefaultHasher) {
    for file in files(path) {
        file.hash(hasher);
        fs::read(&file).unwrap_or_default().hash(hasher);
    }
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = match file.strip_prefix(from) {
            Ok(relative) if !relative.as_os_str().is_empty() => to.join(relative),
            _ => to.to_owned(),
        };
        fs::create_dir_all(target.parent().expect("a file has a folder")).expect("OUT_DIR is writable");
        fs::copy(&file, target).expect("OUT_DIR is writable");
    }
}

/// The files at or below a path, in order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries.iter().flat_map(|e| files(e)).collect()
}

/// Rust source of a table (path, bytes, gzipped bytes).
fn table(dist: &Path, gzip: &Path) -> String {
    fs::create_dir_all(gzip).expect("OUT_DIR is writable");
    let mut source = String::from("pub static ASSETS: &[(&str, &[u8], &[u8])] = &[\n");
    for (i, file) in files(dist).iter().enumerate() {
        let path = file.strip_prefix(dist).expect("below dist").to_string_lossy().replace('\\', "/");
        let zipped = gzip.join(i.to_string());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&fs::read(file).expect("readable")).expect("in memory");
        fs::write(&zipped, encoder.finish().expect("in memory")).expect("OUT_DIR is writable");
        writeln!(
            source,
            "    ({:?}, include_bytes!({:?}), include_bytes!({:?})),",
            format!("/{path}"),
            file,
            zipped
        )
        .expect("in memory");
    }
    source.push_str("];\n");
    source
}
