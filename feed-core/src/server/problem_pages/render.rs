//! The texts of the pages, as Markdown and as HTML. Pure.

use std::fmt::Write;

use crate::server::problem_type::ProblemType;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}\
    code{background:#8882;padding:.1em .3em;border-radius:.2em}h2{font-size:1.1rem}:root{color-scheme:light dark}";

const LIST_TITLE: &str = "Problems";
const LIST_INTRODUCTION: &str =
    "What this service answers when it does not do what it was asked for.";

/// What is said of a type, each with the words before it.
fn parts(kind: &ProblemType) -> [(&'static str, &'static str); 3] {
    [
        ("What happened", kind.happened),
        ("If you sent the request", kind.caller),
        ("If you run the service", kind.operator),
    ]
}

/// The URI and the statuses of a type.
fn summary(kind: &ProblemType) -> String {
    let statuses: Vec<String> = kind.statuses.iter().map(ToString::to_string).collect();
    format!("`{}`, with status {}.", kind.uri(), statuses.join(" or "))
}

/// What there is to say of a type, below its title.
fn explanation(kind: &ProblemType) -> String {
    let mut out = summary(kind);
    for (words, text) in parts(kind) {
        // Writing to a string does not fail.
        let _ = write!(out, "\n\n**{words}.** {text}");
    }
    out + "\n"
}

/// The chapter of `docs/problems.md` on these types.
pub fn problems_document(heading: &str, types: &[&ProblemType]) -> String {
    let mut out = format!("## {heading}\n");
    for kind in types {
        let _ = write!(
            out,
            "\n### {}\n\n{}.\n\n{}",
            kind.slug,
            kind.title,
            explanation(kind)
        );
    }
    out
}

pub(super) fn page_markdown(kind: &ProblemType) -> String {
    format!("# {}\n\n{}", kind.title, explanation(kind))
}

/// The list, with links that are relative to it.
pub(super) fn list_markdown(types: &[&ProblemType]) -> String {
    let mut out = format!("# {LIST_TITLE}\n\n{LIST_INTRODUCTION}\n\n");
    for kind in types {
        let _ = writeln!(out, "- [{0}](problems/{0}): {1}", kind.slug, kind.title);
    }
    out
}

pub(super) fn page_html(kind: &ProblemType) -> String {
    let mut body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n",
        inline(kind.title),
        inline(&summary(kind))
    );
    for (words, text) in parts(kind) {
        let _ = write!(body, "<h2>{words}</h2>\n<p>{}</p>\n", inline(text));
    }
    document(
        kind.title,
        &(body + "<p><a href=\"../problems\">All problems</a></p>\n"),
    )
}

pub(super) fn list_html(types: &[&ProblemType]) -> String {
    let mut body = format!("<h1>{LIST_TITLE}</h1>\n<p>{LIST_INTRODUCTION}</p>\n<ul>\n");
    for kind in types {
        let title = inline(kind.title);
        let _ = writeln!(
            body,
            "<li><a href=\"problems/{0}\"><code>{0}</code></a>: {title}</li>",
            kind.slug
        );
    }
    document(LIST_TITLE, &(body + "</ul>\n"))
}

fn document(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n{body}</html>\n"
    )
}

/// One line of Markdown whose only mark is the backtick.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = escaped(part);
        let _ = match index % 2 {
            0 => write!(out, "{part}"),
            _ => write!(out, "<code>{part}</code>"),
        };
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::problem_types::ALL;

    #[test]
    fn texts_are_escaped_and_code_is_marked() {
        assert_eq!(inline("a `b<c>` & d"), "a <code>b&lt;c&gt;</code> &amp; d");
    }

    #[test]
    fn a_page_says_all_that_there_is_to_say() {
        for kind in ALL {
            let (text, html) = (page_markdown(kind), page_html(kind));
            for part in [
                kind.title,
                kind.happened,
                kind.caller,
                kind.operator,
                kind.slug,
            ] {
                assert!(text.contains(part), "{}: {part}", kind.slug);
                assert!(html.contains(&inline(part)), "{}: {part}", kind.slug);
            }
            // Each backtick has its partner.
            assert_eq!(text.matches('`').count() % 2, 0, "{}", kind.slug);
            assert!(list_html(ALL).contains(&format!("href=\"problems/{}\"", kind.slug)));
            assert!(list_markdown(ALL).contains(&format!("(problems/{})", kind.slug)));
        }
    }
}
