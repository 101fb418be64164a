//! The store for many instances on one database: writers that never wait for each other, and a sequencer that gives
//! positions to what they committed.
//!
//! For a caller who holds a transaction of his own there is [`append`], by which an event joins it.

mod address;
mod background;
mod clock;
mod failure;
mod feeds;
mod hosts;
mod log;
mod migrate;
mod moving;
mod outbox;
mod rows;
mod scan;
mod sequencer;
mod sessions;
mod store;
mod tx;
mod values;
mod work;

pub(crate) use address::explain;
pub(crate) use moving::{MovedRows, PostgresSide};
pub(crate) use store::PostgresStore;
pub(crate) use tx::{PostgresTx, Statements};

use chrono::Utc;

use crate::error::AppendError;
use crate::event::{EventId, NewEvent, Subject, to_micros};
use crate::store::{Appended, Expected};

/// Appends events about `subject` to the outbox of `feed`, inside the transaction that the caller has begun on `client`
/// and commits ([`Transaction::client`](tokio_postgres::Transaction::client) is the one of a transaction).
///
/// The database must have been opened by [`Store::open`](crate::Store::open) once, for its schema. Some process that has
/// it open gives the events their positions after the commit, within
/// [`POSTGRES_SEQUENCE_LOOK_MS`](crate::limits::POSTGRES_SEQUENCE_LOOK_MS).
///
/// # Errors
/// As [`Tx::append`](crate::Tx::append); after [`AppendError::Store`] the transaction is aborted. And
/// [`AppendError::NotDurable`] when the session does not sync at every commit (`synchronous_commit = off`), since an
/// acknowledged event could be lost otherwise (invariant I2).
pub async fn append(
    client: &tokio_postgres::Client,
    feed: &str,
    subject: &Subject,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let durable: String = client
        .query_one("SHOW synchronous_commit", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failure::store_error)?;
    if durable == "off" {
        return Err(AppendError::NotDurable {
            found: "synchronous_commit=off".to_owned(),
            needed: "on",
        });
    }
    let now = to_micros(Utc::now());
    let events: Vec<NewEvent> = events
        .iter()
        .cloned()
        .map(|mut event| {
            event.time.get_or_insert(now);
            event.id.get_or_insert_with(EventId::now);
            event
        })
        .collect();
    let feeds = feeds::Feeds::default();
    let mut tx = PostgresTx::joining(client, &feeds);
    tx.append(now, feed, subject, expected, &events).await
}
