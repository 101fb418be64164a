//! What fuzzing found worth keeping, run on a stable compiler: nothing that was mended comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

use std::path::Path;

use feed_core::testing::fuzz;

/// Runs `target` over its corpus. Fewer files than `least` mean that the corpus was not found.
fn run(name: &str, least: usize, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let ran = std::panic::catch_unwind(|| target(&bytes));
        assert!(ran.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= least, "{count} files in {}", folder.display());
}

#[test]
fn i12_the_atom_reader_takes_any_bytes() {
    run("atom_reader", 20, fuzz::atom_reader);
}

#[test]
fn i12_the_json_reader_takes_any_bytes() {
    run("json_reader", 20, fuzz::json_reader);
}

#[test]
fn i12_the_cursor_takes_any_text() {
    run("cursor", 9, fuzz::cursor);
}

#[test]
fn i12_the_query_takes_any_text() {
    run("feed_query", 10, fuzz::feed_query);
}
