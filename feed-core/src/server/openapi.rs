//! The OpenAPI document of a service (OpenAPI 3.1), and a page to try it.
//!
//! [`ApiDocument`] describes what this crate serves, and takes in what a service says of its own routes, which
//! `utoipa` derives from their handlers and types. It is served at `/openapi.json`, the page at `/docs`; nothing of
//! them comes from another host.
//!
//! This is a feature of its own, `openapi`: a feed can be served without it, and the page alone is some 4 MB of a
//! binary.

mod feeds;
mod pages;
mod parts;
mod refusals;
mod types;

#[cfg(test)]
mod tests;

#[cfg(feature = "client")]
pub use refusals::reading;
pub use refusals::refusing;
pub use types::text_schema;

use axum::Router;
use serde_json::{Map, Value, json};

use super::problem_type::ProblemType;
use super::problem_types;

/// The description of an API while it is put together.
///
/// ```
/// use feed_core::server::openapi::ApiDocument;
/// let document = ApiDocument::new("lamp-svc", "1.0.0", "Switches lamps.").feeds(&["lamps"]).finish();
/// assert_eq!(document["info"]["title"], "lamp-svc");
/// assert!(document["paths"]["/feeds/{feed}"]["get"]["responses"]["200"].is_object());
/// ```
#[derive(Debug, Clone)]
pub struct ApiDocument {
    info: Value,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    types: Vec<&'static ProblemType>,
    guarded: bool,
}

impl ApiDocument {
    /// Describes a service that has nothing yet but probes, pages of its problems, and this document. `description`
    /// is for people, in Markdown.
    pub fn new(title: &str, version: &str, description: &str) -> Self {
        ApiDocument {
            info: json!({
                "title": title,
                "version": version,
                "description": format!("{description}\n\n{}", parts::INTRODUCTION),
                "license": { "name": "MIT OR Apache-2.0" },
            }),
            paths: Map::new(),
            schemas: parts::schemas(),
            types: problem_types::ALL.to_vec(),
            guarded: false,
        }
    }

    /// With what a service says of its own routes.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn with(mut self, own: &utoipa::openapi::OpenApi) -> Result<Self, serde_json::Error> {
        let mut own = serde_json::to_value(own)?;
        if let Value::Object(paths) = own["paths"].take() {
            self.paths.extend(paths);
        }
        if let Value::Object(schemas) = own["components"]["schemas"].take() {
            self.schemas.extend(schemas);
        }
        Ok(self)
    }

    /// With the types of problems that the service adds to [`problem_types::ALL`].
    #[must_use]
    pub fn problem_types(mut self, types: &[&'static ProblemType]) -> Self {
        self.types.extend(types);
        self
    }

    /// With the feeds of a [`router`](super::router).
    #[must_use]
    pub fn feeds(mut self, names: &[&str]) -> Self {
        self.paths.extend(feeds::paths(names));
        self
    }

    /// Whether the service asks for bearer tokens, as by [`guard`](super::guard).
    #[must_use]
    pub fn guarded(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }

    /// The document, with what each operation may answer beside what it says itself.
    pub fn finish(mut self) -> Value {
        self.paths.extend(parts::open_paths(&self.types));
        for (path, item) in &mut self.paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                if let Value::Object(operation) = operation {
                    refusals::complete(operation, path, method, self.guarded);
                    refusals::write(operation, method, &self.types);
                }
            }
        }
        let mut components = json!({ "schemas": self.schemas, "headers": parts::headers() });
        if self.guarded {
            components["securitySchemes"] = parts::security_schemes();
        }
        json!({
            "openapi": "3.1.0",
            "info": self.info,
            // Relative to where the document is, so that a path prefix changes nothing.
            "servers": [{ "url": "./" }],
            "paths": self.paths,
            "components": components,
        })
    }

    /// The routes `/openapi.json` and `/docs`, which are for everybody.
    pub fn routes(self) -> Router {
        pages::routes(&self.finish())
    }
}
