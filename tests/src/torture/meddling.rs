//! What is done to a service's database on PostgreSQL from outside: sessions that end, transactions that stay open.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use feed_core::{Expected, NewEvent, Subject, postgres};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::scenario::{Held, Sessions, Side};
use crate::failure::{Context, Failure};
use crate::postgres::connect;

/// The type of an event that is appended beside the service: one that neither the other service nor the reckoning heeds.
const TYPE: &str = "GeoChanged";
/// How many notifications were received, and how many were sent with batches, of a database.
pub(super) type Notified = std::sync::Arc<AtomicU32>;

/// Who does it. What is under way ends with this.
#[derive(Debug)]
pub(super) struct Meddler {
    /// Each with the subject that it has committed.
    holding: JoinSet<Option<String>>,
    held: u32,
    /// Subjects that were committed: each has to be in customer-svc's feed.
    pub(super) committed: Vec<String>,
}

impl Meddler {
    pub(super) fn new() -> Self {
        Meddler {
            holding: JoinSet::new(),
            held: 0,
            committed: Vec::new(),
        }
    }

    /// Holds a transaction open in the database at `url`.
    pub(super) fn hold(&mut self, url: &str, side: Side, what: Held, hold_for: Duration) {
        self.held += 1;
        let (url, subject) = (url.to_owned(), format!("geo-held-{}", self.held));
        self.holding.spawn(async move {
            // The server may crash or end the session meanwhile: then it was rolled back, or nobody knows.
            let held = match what {
                Held::Append => hold_append(&url, side, &subject, hold_for).await,
                Held::Subscriptions => hold_subscriptions(&url, hold_for).await.map(|()| false),
            };
            held.is_ok_and(|committed| committed).then_some(subject)
        });
    }

    /// Waits until nothing is held any more.
    pub(super) async fn let_go(&mut self) {
        while let Some(ended) = self.holding.join_next().await {
            self.committed.extend(ended.ok().flatten());
        }
    }
}

/// Returns whether it was committed. In the orders feed the reckoning knows every event, so there it is rolled back.
async fn hold_append(
    url: &str,
    side: Side,
    subject: &str,
    hold_for: Duration,
) -> Result<bool, Failure> {
    let mut client = connect(url).await?;
    let transaction = client.transaction().await.context("beginning")?;
    let feed = match side {
        Side::Order => "orders",
        Side::Customer => "customers",
    };
    let event = NewEvent::json(TYPE, &serde_json::json!({ "geo": subject })).context("an event")?;
    let subject = Subject::new(subject).context("a subject")?;
    postgres::append(
        transaction.client(),
        feed,
        &subject,
        Expected::New,
        &[event],
    )
    .await
    .context("appending")?;
    tokio::time::sleep(hold_for).await;
    match side {
        Side::Order => transaction.rollback().await.context("rolling back")?,
        Side::Customer => transaction.commit().await.context("committing")?,
    }
    Ok(side == Side::Customer)
}

async fn hold_subscriptions(url: &str, hold_for: Duration) -> Result<(), Failure> {
    let client = connect(url).await?;
    let sql = "BEGIN; SELECT FROM subscriptions FOR UPDATE";
    client.batch_execute(sql).await.context(sql)?;
    tokio::time::sleep(hold_for).await;
    client.batch_execute("ROLLBACK").await.context("ROLLBACK")
}

/// Ends sessions in a database, as its owner.
pub(super) async fn end_sessions(url: &str, whose: Sessions) -> Result<(), Failure> {
    let client = connect(url).await?;
    let which = match whose {
        Sessions::All => "",
        Sessions::One => "ORDER BY random() LIMIT 1",
        Sessions::Sequencers => "AND query LIKE '%sequencer_batches%'",
    };
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM (
             SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'feedway' {which}
         ) chosen"
    );
    client.batch_execute(&sql).await.context(sql)
}

/// Counts what is notified in a database, from now on until the connection ends.
pub(super) async fn count_notifications(url: &str) -> Result<(Client, Notified), Failure> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.context(url)?;
    let counted = Notified::default();
    let count = counted.clone();
    tokio::spawn(async move {
        let next = |context: &mut std::task::Context<'_>| connection.poll_message(context);
        let mut next = next;
        while let Some(Ok(message)) = std::future::poll_fn(&mut next).await {
            if matches!(message, tokio_postgres::AsyncMessage::Notification(_)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let sql = "SELECT format('LISTEN %I', 'feedway_' || oid) FROM pg_namespace WHERE nspname = current_schema()";
    let row = client.query_one(sql, &[]).await.context(sql)?;
    let listen: String = row.try_get(0).context(sql)?;
    client.batch_execute(&listen).await.context(listen)?;
    Ok((client, counted))
}
