//! The types of problems that only this service has.

use axum::http::StatusCode;
use feed_core::server::ProblemType;

feed_core::problem_types! {
    /// All types of customer-svc; those of any service stand in [`feed_core::server::problem_types`].
    pub static PROBLEM_TYPES;

    /// No customer of that id.
    pub(super) static CUSTOMER_UNKNOWN = ProblemType {
        slug: "customer-unknown",
        title: "There is no such customer",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "No customer of that id was stated.",
        caller: "Look at `GET /customers`, or state the customer with `PUT /customers/{id}`.",
        operator: "If the customer was there before, the service was started with another database, or one was restored.",
    };

    /// No geo of that slug.
    pub(super) static GEO_UNKNOWN = ProblemType {
        slug: "geo-unknown",
        title: "There is no such geo",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "No geo of that slug was stated. Slugs are lower case.",
        caller: "Look at `GET /geos`, or state the geo with `PUT /geos/{geo}`.",
        operator: "If the geo was there before, the service was started with another database, or one was restored.",
    };

    /// No answer to an order of that id.
    pub(super) static RESERVATION_UNKNOWN = ProblemType {
        slug: "reservation-unknown",
        title: "There is no such reservation",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "The service has not answered an order of that id: there is no such order, or its `OrderCreated` has \
            not been read from the orders feed yet.",
        caller: "Look at the order in the order service. If it waits for its answer, ask again in a moment.",
        operator: "If it lasts, see whether the subscription to the orders feed is halted or far behind.",
    };

    /// A path that names nothing that could be stated.
    pub(super) static PATH_INVALID = ProblemType {
        slug: "path-invalid",
        title: "The path is not valid",
        statuses: &[StatusCode::UNPROCESSABLE_ENTITY],
        happened: "What is to be stated has no valid id in the path. Nothing was changed.",
        caller: "Correct the id: the `detail` says which characters it may have.",
        operator: "Nothing.",
    };

    /// Somebody else stated the same thing meanwhile.
    pub(super) static OVERTAKEN = ProblemType {
        slug: "overtaken",
        title: "Somebody else was quicker",
        statuses: &[StatusCode::CONFLICT],
        happened: "Somebody else changed the same row at the same time, again and again. Nothing was changed by this \
            request.",
        caller: "Send it again.",
        operator: "Nothing; if it comes often, too many state the same thing at the same time.",
    };
}
