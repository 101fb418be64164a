//! The consumer: follows a feed, applies its events through handlers, and keeps the cursor in its own database.
//!
//! The effects of a batch, the follow-up events that its handlers append, what is parked and the cursor are committed in
//! one transaction, guarded by a compare-and-set on cursor, fence and holder (invariants I7 to I10). `docs/consumers.md`
//! tells it to operators.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options.rs` | how a consumer is made |
//! | `run.rs` | the loop: decides only how long to wait |
//! | `step.rs`, `taking.rs` | one step: take the subscription, then fetch, apply or replay; how it is taken and let go |
//! | `fetching.rs` | the way to the feed: which document is next, one fetched ahead |
//! | `applying.rs`, `apply.rs` | cutting batches and deciding on failures; a batch's transaction |
//! | `replay.rs` | parked events, key by key |
//! | `rebuild.rs` | a read model beside the live one |
//! | `held.rs`, `lease.rs` | what is known while it is held, and keeping it |
//! | `handler.rs`, `guard.rs`, `call.rs`, `handler_error.rs`, `ordering.rs` | what services give |
//! | `operate.rs`, `operator.rs`, `subscription.rs`, `wait.rs` | what operators and read models see and do |
//! | `state.rs` | the states and their transitions |
//! | `storage.rs` | all SQL |

mod apply;
mod applying;
pub(crate) mod backoff;
mod call;
mod error;
mod fetching;
mod guard;
mod handler;
mod handler_error;
mod held;
mod lease;
mod operate;
mod operator;
mod options;
mod ordering;
mod place;
mod rebuild;
mod replay;
mod run;
mod state;
mod step;
mod storage;
mod subscription;
mod taking;
#[cfg(feature = "faults")]
mod torn;
mod wait;

pub use call::Call;
pub use error::{ConsumerError, EventName, Halt};
pub(crate) use guard::{Applying, guarded};
pub use handler::{Handlers, UnknownTypes};
pub use handler_error::{HandlerError, HandlerErrorKind};
pub use operate::SubscriptionHandle;
pub use operator::{Changed, Chosen, Mode, OperateError, Operator};
pub use options::ParkingLimits;
pub use ordering::{KeyFn, OrderingKey};
pub use place::StartAt;
pub use state::{
    EVENT_TRANSITIONS, EventState, EventTransition, SUBSCRIPTION_TRANSITIONS, SubscriptionState,
    SubscriptionTransition,
};
pub use step::{Consumer, StepOutcome};
pub use subscription::{Lag, Subscription, SubscriptionEvent};
pub use wait::Reached;
