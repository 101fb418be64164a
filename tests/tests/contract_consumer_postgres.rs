//! The consumer with its database on PostgreSQL: those cases of `contract_consumer` that the database has a part in, as
//! they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "contract_consumer/batches.rs"]
mod batches;
#[path = "contract_consumer/calls.rs"]
mod calls;
#[path = "contract_consumer/handlers.rs"]
mod handlers;
#[path = "contract_consumer/inbox.rs"]
mod inbox;
#[path = "contract_consumer/leases.rs"]
mod leases;
#[path = "contract_consumer/live.rs"]
#[allow(dead_code, reason = "other cases need more of it")]
mod live;
#[path = "contract_consumer/model/mod.rs"]
mod model;
#[path = "contract_consumer/once.rs"]
mod once;
#[path = "contract_consumer/operators.rs"]
mod operators;
#[path = "contract_consumer/parking.rs"]
mod parking;
/// Those of `contract_consumer/partitions.rs`, but for files of before there were partitions.
#[path = "contract_consumer/partitions"]
mod partitions {
    mod changing;
    mod model;
    mod once;
    mod operating;
    mod scene;
    mod sharing;
    mod together;
}
#[path = "contract_consumer/reader.rs"]
#[allow(dead_code, reason = "other cases need more of it")]
mod reader;
#[path = "contract_consumer/rebuilds.rs"]
mod rebuilds;
#[path = "contract_consumer/scripted.rs"]
#[allow(dead_code, reason = "other cases need more of it")]
mod scripted;
#[path = "served/mod.rs"]
#[allow(dead_code, reason = "other tests look closer at what is served")]
mod served;
#[path = "contract_consumer/starts.rs"]
mod starts;
#[path = "contract_consumer/waits.rs"]
mod waits;

use feed_core::Migrations;
use feedway_tests::fresh_store::FreshStore;

/// Sequences of moves that are tried: each step takes its time on PostgreSQL.
const MODEL_CASES: u32 = 6;

/// The consumer's database; one of SQLite where PostgreSQL is missing.
async fn fresh(migrations: Migrations) -> FreshStore {
    FreshStore::postgres(migrations).await.unwrap()
}
