//! The types of problems that only this service has.

use axum::http::StatusCode;
use feed_core::server::ProblemType;

feed_core::problem_types! {
    /// All types of order-svc; those of any service stand in [`feed_core::server::problem_types`].
    pub static PROBLEM_TYPES;

    /// No order of that id.
    pub(super) static ORDER_UNKNOWN = ProblemType {
        slug: "order-unknown",
        title: "There is no such order",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "No order has that id.",
        caller: "Take the id from the `Location` header or the body of the answer to `POST /orders`, or from \
            `GET /orders`.",
        operator: "If the order was there before, the service was started with another database, or one was restored.",
    };

    /// An order that does not wait for an answer any more.
    pub(super) static ORDER_SETTLED = ProblemType {
        slug: "order-settled",
        title: "The order does not wait for an answer any more",
        statuses: &[StatusCode::CONFLICT],
        happened: "Only an order in status `UPDATE` can be cancelled. This one was confirmed, rejected, cancelled or has \
            expired meanwhile; `order_status` says which.",
        caller: "Look at the order and go on from its status; trying again does not help.",
        operator: "Nothing.",
    };

    /// What an order refuses for another reason.
    pub(super) static ORDER_REFUSED = ProblemType {
        slug: "order-refused",
        title: "The order refuses",
        statuses: &[StatusCode::CONFLICT],
        happened: "The rules of an order do not allow what was asked for; the `detail` says which one.",
        caller: "Look at the order and go on from its status; trying again does not help.",
        operator: "Nothing.",
    };

    /// A key that cannot be one.
    pub(super) static IDEMPOTENCY_KEY_INVALID = ProblemType {
        slug: "idempotency-key-invalid",
        title: "The Idempotency-Key is not valid",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "The header stands there twice, or its value is not 1 to 255 visible ASCII characters. No order was \
            placed.",
        caller: "Send one key, such as a UUID, and the same key again only with the same order.",
        operator: "Nothing.",
    };

    /// A key that belongs to another request.
    pub(super) static IDEMPOTENCY_KEY_REUSED = ProblemType {
        slug: "idempotency-key-reused",
        title: "The Idempotency-Key belongs to another request",
        statuses: &[StatusCode::UNPROCESSABLE_ENTITY],
        happened: "The key came before, with another body. No order was placed by this request.",
        caller: "Send a new key with a new order. To repeat an order, repeat its body too.",
        operator: "Nothing; keys are kept for 24 hours at least.",
    };
}
