//! The consumer: follows a feed, applies its events through handlers, and keeps the cursor in its own database.
//!
//! The effects of a batch, the follow-up events that its handlers append, and the cursor are committed in one
//! transaction, guarded by a compare-and-set on the cursor (invariant I7). The whole feed is the ordering key: an
//! event that cannot be applied halts the subscription, and nothing behind it is applied.

mod apply;
mod backoff;
mod error;
mod handler;
mod run;
mod step;
mod subscription;

pub use error::{ConsumerError, Halt};
pub use handler::{HandlerError, Handlers};
pub use step::{Consumer, StartAt, StepOutcome};
pub use subscription::Subscription;
