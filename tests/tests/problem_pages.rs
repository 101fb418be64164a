//! The types of problems: every one has a page, in both services, and stands in `docs/problems.md`.
//!
//! The document is made from the tables in the code. When a table has changed:
//! `FEEDWAY_RECORD=1 cargo test -p feedway-tests --test problem_pages`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use feed_core::server::{
    ProblemType, bind, problem_pages, problem_types, problems_document, serve,
};
use tokio_util::sync::CancellationToken;

type Types = &'static [&'static ProblemType];

/// The tables, with the heading of their chapter.
const TABLES: [(&str, Types); 3] = [
    ("Of every service", problem_types::ALL),
    ("Of order-svc", order_svc::PROBLEM_TYPES),
    ("Of customer-svc", customer_svc::PROBLEM_TYPES),
];

const INTRODUCTION: &str = "\
# Problems

What the services answer when they do not do what they were asked for: `application/problem+json` (RFC 9457). A problem
is known by its `type`, a path that never changes, `/problems/` and a word; its `detail` says what is wrong in this case.

The path is also that of its page at the service: open it in a browser, or `curl` it. It is the same under a path prefix
of a proxy, since programs compare it; there, put the prefix before it to find the page.

This document is made from the tables in the code, `feed-core/src/server/problem_types.rs` and `http/problem_types.rs` of
each service, by `FEEDWAY_RECORD=1 cargo test -p feedway-tests --test problem_pages`.
";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_document_is_made_from_the_tables() {
    let chapters = TABLES.map(|(heading, types)| problems_document(heading, types));
    let made = format!("{INTRODUCTION}\n{}", chapters.join("\n"));
    let file = repository().join("docs/problems.md");
    if std::env::var_os("FEEDWAY_RECORD").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == made,
        "docs/problems.md is not what the tables say: FEEDWAY_RECORD=1 cargo test -p feedway-tests --test problem_pages"
    );
}

#[test]
fn no_slug_means_two_things() {
    let mut slugs = BTreeSet::new();
    for (_, types) in TABLES {
        for kind in types {
            assert!(slugs.insert(kind.slug), "{} is there twice", kind.slug);
            for text in [kind.happened, kind.caller, kind.operator] {
                assert!(
                    text.ends_with('.') && !text.contains("  "),
                    "{}: {text}",
                    kind.slug
                );
            }
        }
    }
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The compiler sees to it that a problem has a type of a table; this, that there is no type beside the tables, and
/// none in them that nothing sends.
#[test]
fn the_tables_have_the_types_that_are_sent() {
    let mut files = Vec::new();
    for crate_ in ["feed-core", "order-svc", "customer-svc"] {
        sources(&repository().join(crate_).join("src"), &mut files);
    }
    let is_table = |path: &Path| path.ends_with("problem_types.rs");
    let (tables, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_table(path));
    assert_eq!(tables.len(), 3);
    let mut code = String::new();
    for path in others {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let lines: Vec<_> = lines.collect();
        let declares = lines.iter().any(|line| line.contains("= ProblemType {"));
        assert!(
            !declares,
            "{} declares a type beside the tables",
            path.display()
        );
        // The description of the API names types too, but sends none.
        if !path.components().any(|part| part.as_os_str() == "openapi") {
            code += &lines.join("\n");
        }
    }
    for table in tables {
        let text = std::fs::read_to_string(&table).unwrap();
        for line in text.lines().filter(|line| line.contains("= ProblemType {")) {
            let name = line
                .split("static ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            assert!(code.contains(&format!("::{name}")), "nothing sends {name}");
        }
    }
}

#[tokio::test]
async fn every_type_has_a_page_for_browsers_and_one_for_curl() {
    for own in [order_svc::PROBLEM_TYPES, customer_svc::PROBLEM_TYPES] {
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let origin = format!("http://{}/some/prefix", listener.local_addr().unwrap());
        let app = Router::new().nest("/some/prefix", problem_pages(own));
        tokio::spawn(serve(listener, app, stop));
        let client = feedway_tests::http::client(1).unwrap();
        let get = async |path: &str, accept: &str| {
            let url = format!("{origin}{path}");
            let reply = client
                .get(url)
                .header("accept", accept)
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), 200, "{path} as {accept}");
            assert_eq!(reply.headers()["vary"], "Accept");
            let media_type = reply.headers()["content-type"].to_str().unwrap().to_owned();
            (media_type, reply.text().await.unwrap())
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let (list_type, list) = get("/problems", browser).await;
        assert_eq!(list_type, "text/html; charset=utf-8");
        for kind in problem_types::ALL.iter().chain(own) {
            assert!(list.contains(&format!("href=\"problems/{}\"", kind.slug)));
            let (media_type, html) = get(&kind.uri(), browser).await;
            assert_eq!(media_type, "text/html; charset=utf-8");
            assert!(html.starts_with("<!doctype html>"), "{html}");
            let (media_type, text) = get(&kind.uri(), "*/*").await;
            assert_eq!(media_type, "text/markdown; charset=utf-8");
            assert!(text.starts_with(&format!("# {}", kind.title)), "{text}");
            let (media_type, _) = get(&kind.uri(), "text/plain").await;
            assert_eq!(media_type, "text/plain; charset=utf-8");
        }
        let unknown = client
            .get(format!("{origin}/problems/nothing"))
            .send()
            .await
            .unwrap();
        assert_eq!(unknown.status(), 404);
        assert_eq!(
            unknown.headers()["content-type"],
            "application/problem+json"
        );
    }
}
