//! The consumer: follows a feed, applies its events, keeps the cursor.

mod handler;

pub use handler::{HandlerError, Handlers};
