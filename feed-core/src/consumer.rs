//! The consumer: follows a feed, applies its events through handlers, and keeps the cursor in its own database.
//!
//! The effects of a batch, the follow-up events that its handlers append, what is parked and the cursor are committed in
//! one transaction, guarded by a compare-and-set on cursor, fence and holder (invariants I7 to I10). `docs/consumers.md`
//! tells it to operators.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options.rs` | how a consumer is made |
//! | `instance.rs`, `team.rs`, `sharing.rs` | an instance and its share of the partitions: stepped, run, computed |
//! | `run.rs` | a worker's loop: decides only how long to wait |
//! | `step.rs`, `taking.rs` | one step of a worker: take its partition, then fetch, apply or replay; how it is taken and let go |
//! | `fetching.rs` | the way to the feed: which document is next, some fetched ahead |
//! | `applying.rs`, `apply.rs` | cutting batches and deciding on failures; a batch's transaction |
//! | `replay.rs` | parked events, key by key |
//! | `partition.rs`, `resizing.rs` | which events belong together; changing the number of partitions |
//! | `rebuild.rs` | a read model beside the live one |
//! | `held.rs`, `lease.rs` | what is known while it is held, and keeping it |
//! | `handler.rs`, `guard.rs`, `call.rs`, `handler_error.rs`, `ordering.rs` | what services give |
//! | `operate.rs`, `concerned.rs`, `operator.rs`, `subscription.rs`, `wait.rs` | what operators and read models see and do |
//! | `state.rs` | the states and their transitions |
//! | `storage.rs` | all SQL |

mod apply;
mod applying;
pub(crate) mod backoff;
mod call;
mod concerned;
mod error;
mod fetching;
mod guard;
mod handler;
mod handler_error;
mod held;
mod instance;
mod lease;
mod operate;
mod operator;
mod options;
mod ordering;
mod partition;
mod place;
mod rebuild;
mod replay;
mod resizing;
mod run;
mod sharing;
mod state;
mod step;
mod storage;
mod subscription;
mod taking;
mod team;
#[cfg(feature = "faults")]
mod torn;
mod wait;

pub use call::Call;
pub use error::{ConsumerError, EventName, Halt};
pub(crate) use guard::{Applying, guarded};
pub use handler::{Handlers, UnknownTypes};
pub use handler_error::{HandlerError, HandlerErrorKind};
pub use instance::Consumer;
pub use operate::SubscriptionHandle;
pub use operator::{Changed, Chosen, Mode, OperateError, Operator};
pub use options::ParkingLimits;
pub use ordering::{KeyFn, OrderingKey};
pub use partition::partition_of;
pub use place::StartAt;
pub use state::{
    EVENT_TRANSITIONS, EventState, EventTransition, SUBSCRIPTION_TRANSITIONS, SubscriptionState,
    SubscriptionTransition,
};
pub use step::StepOutcome;
pub use subscription::{Lag, Resizing, Subscription, SubscriptionEvent};
pub use wait::Reached;
