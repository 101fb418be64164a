//! What a type of problem is. The types themselves stand in tables, one of this crate and one of each service.

use http::StatusCode;

/// A type of problem (RFC 9457, section 3.1.1): what is the same in every answer of it.
///
/// From this the answers, their pages, the OpenAPI document and `docs/problems.md` are made. Types are declared by
/// [`problem_types!`](crate::problem_types), so that there is none without a page.
#[derive(Debug)]
pub struct ProblemType {
    /// Last segment of its URI: a-z and `-`. Programs know the type by it, so it never changes.
    pub slug: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The statuses that it comes with; the first unless an answer says otherwise.
    pub statuses: &'static [StatusCode],
    /// What happened, and why.
    pub happened: &'static str,
    /// What those do next who sent the request: a program, or the person who writes it.
    pub caller: &'static str,
    /// What those do next who run the service.
    pub operator: &'static str,
}

impl ProblemType {
    /// Its URI, a path: where its page is.
    pub fn uri(&self) -> String {
        format!("{PAGES}/{}", self.slug)
    }

    /// The status that it usually comes with.
    pub fn status(&self) -> StatusCode {
        // A table without statuses does not pass its test.
        let first = self.statuses.first().copied();
        first.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Where the pages of the types are.
pub(super) const PAGES: &str = "/problems";

/// Declares [`ProblemType`](crate::server::ProblemType)s and the list of them, which so lacks none.
///
/// ```
/// use feed_core::server::{Problem, ProblemType};
/// use http::StatusCode;
///
/// feed_core::problem_types! {
///     /// The types of the shop.
///     static SHOP;
///
///     /// Nothing is left of it.
///     static SOLD_OUT = ProblemType {
///         slug: "sold-out",
///         title: "It is sold out",
///         statuses: &[StatusCode::CONFLICT],
///         happened: "Somebody bought the last one.",
///         caller: "Order something else.",
///         operator: "Nothing, or buy more.",
///     };
/// }
/// let problem = Problem::new(&SOLD_OUT, "no lamp is left; there are 3 candles");
/// assert_eq!(problem.status(), StatusCode::CONFLICT);
/// assert_eq!(SHOP.len(), 1);
/// ```
#[macro_export]
macro_rules! problem_types {
    (
        $(#[$all_doc:meta])* $all_vis:vis static $all:ident;
        $($(#[$doc:meta])* $vis:vis static $name:ident = $type:expr;)+
    ) => {
        $(#[$all_doc])*
        $all_vis static $all: &[&$crate::server::ProblemType] = &[$(&$name),+];
        $($(#[$doc])* $vis static $name: $crate::server::ProblemType = $type;)+
    };
}
