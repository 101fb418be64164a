//! The pages of the types of problems: what a problem's `type` leads to.

mod render;

pub use render::problems_document;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, header};

use super::negotiate::negotiate;
use super::problem::Problem;
use super::problem_type::{PAGES, ProblemType};
use super::problem_types;
use super::query::PathParams;

/// What the HTML pages may load: nothing but the style that stands in them.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// A representation of a page.
#[derive(Debug, Clone, Copy)]
enum Form {
    Html,
    Markdown(&'static str),
}

/// The first is what a request gets that does not care, such as curl's.
const OFFERS: [(Form, &str); 3] = [
    (
        Form::Markdown("text/markdown; charset=utf-8"),
        "text/markdown",
    ),
    (Form::Html, "text/html"),
    (Form::Markdown("text/plain; charset=utf-8"), "text/plain"),
];

/// All types of a service: those of this crate, and its own.
struct Pages {
    types: Vec<&'static ProblemType>,
}

/// The routes `/problems` and `/problems/{slug}`: a page for each type of [`problem_types::ALL`] and of `own`, HTML
/// for browsers and Markdown for all others. They are for everybody, also where the service asks for tokens.
pub fn problem_pages(own: &[&'static ProblemType]) -> Router {
    let types = problem_types::ALL.iter().chain(own).copied().collect();
    let pages = Arc::new(Pages { types });
    Router::new()
        .route(PAGES, get(list))
        .route("/problems/{slug}", get(page))
        .with_state(pages)
}

async fn list(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(match negotiate(&headers, &OFFERS)? {
        Form::Html => html(render::list_html(&pages.types)),
        Form::Markdown(media_type) => markdown(media_type, render::list_markdown(&pages.types)),
    })
}

async fn page(
    State(pages): State<Arc<Pages>>,
    PathParams(slug): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(kind) = pages.types.iter().find(|kind| kind.slug == slug) else {
        let detail = "no type of problem has that name; GET /problems lists those that there are";
        return Err(Problem::new(&problem_types::PATH_UNKNOWN, detail));
    };
    Ok(match negotiate(&headers, &OFFERS)? {
        Form::Html => html(render::page_html(kind)),
        Form::Markdown(media_type) => markdown(media_type, render::page_markdown(kind)),
    })
}

/// The form depends on `Accept`, and the text on the version of the service.
const COMMON: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "Accept"),
];

fn markdown(media_type: &'static str, text: String) -> Response {
    (COMMON, [(header::CONTENT_TYPE, media_type)], text).into_response()
}

fn html(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (COMMON, headers, text).into_response()
}
