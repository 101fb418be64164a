//! A proxy that stands between a reader and a service, and does damage: it is late, breaks off, fails, sends garbage, and
//! lies as bad caches do. What it does to a request is drawn from a seed, so that the same requests suffer the same again.
//!
//! `damage` names what it can do and `plan` says how often it does so; `document`, `answer` and `kept` do it, `wire` what
//! is below HTTP; `proxy` is the server.
//!
//! Nothing of it may make a consumer lose an event or apply one twice. A consumer halts after two documents in a row that
//! do not follow on, the second asked for past all caches: this is how it tells a lie on the way from a history that was
//! changed. So a plan does not lie past caches unless told to ([`FaultPlan::honest_past_caches`]), and a problem by which
//! a feed refuses a cursor is never made up.
//!
//! ```
//! use feedway_tests::faults::{Damage, FaultPlan, FaultProxy};
//! # async fn f() -> Result<(), feedway_tests::Failure> {
//! let proxy = FaultProxy::start("http://127.0.0.1:8081", 7, FaultPlan::default()).await?;
//! let feed = proxy.through("/feeds/orders"); // for a consumer
//! proxy.set(FaultPlan::only(Damage::CutBody));
//! proxy.heal();
//! println!("{}", proxy.counts());
//! # Ok(()) }
//! ```

mod answer;
mod counts;
mod damage;
mod document;
mod kept;
mod plan;
mod proxy;
mod upstream;
mod wire;

pub use counts::Counts;
pub use damage::Damage;
pub use plan::{FaultPlan, Weights};
pub use proxy::FaultProxy;
