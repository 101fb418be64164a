//! An instance of a consumer is cut off from the database that its cursor is in, and another one takes over.

use std::time::Duration;

use feed_core::{Consumer, Event, EventId, HandlerError, Handlers, Migrations, Store, Tx};
use feedway_tests::postgres::Cut;
use tokio_util::sync::CancellationToken;

use crate::appenders::Appenders;
use crate::cut_off::line;
use crate::served::Served;
use crate::{FEED, light, read_all, service, wait_for};

const MIGRATIONS: Migrations = Migrations {
    owner: "follower",
    sqlite: &[],
    // No unique column: what is applied twice is to be seen twice.
    postgres: &[(
        "V1__applied",
        "CREATE TABLE applied (row BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id BYTEA NOT NULL)",
    )],
};

async fn note(tx: &mut Tx<'_>, event: &Event) -> Result<(), HandlerError> {
    let insert = "INSERT INTO applied (event_id) VALUES ($1)";
    tx.execute(insert, &[(&event.id).into()]).await?;
    Ok(())
}

fn consumer(store: &Store, url: &str) -> Consumer {
    Consumer::new(store, "follower/lamps", url)
        .unwrap()
        .handlers(Handlers::new().on("Lit", note))
        .backoff_max(Duration::from_millis(200))
        .lease(Duration::from_secs(1))
}

async fn applied(store: &Store) -> Vec<EventId> {
    let sql = "SELECT event_id FROM applied ORDER BY row";
    let rows = store.query::<(EventId,)>(sql, &[]).await.unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_i09_an_instance_that_is_cut_off_is_replaced_and_commits_nothing_afterwards() {
    for cut in [Cut::Silent, Cut::Closed] {
        let Some((database, link, url)) = line().await else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lamps.db");
        let feed = service(&path.to_string_lossy()).await;
        let served = Served::start(&feed, &[FEED]).await;
        let feed_url = served.url("/feeds/lamps");
        let cut_off = Store::open(&url, MIGRATIONS).await.unwrap();
        let other = Store::open(database.url(), MIGRATIONS).await.unwrap();
        let row = async || other.subscriptions().await.unwrap().into_iter().next();
        let grows = async |more: usize| {
            let wanted = applied(&other).await.len() + more;
            wait_for("more is applied", async || {
                (applied(&other).await.len() >= wanted).then_some(())
            })
            .await;
        };

        let stop = CancellationToken::new();
        let first = consumer(&cut_off, feed_url.as_str()).spawn(stop.clone());
        light(&feed, 25).await;
        let appenders = Appenders::start(&[&feed]);
        grows(25).await;
        let before = row().await.unwrap();
        link.cut(cut);
        let second = consumer(&other, feed_url.as_str()).spawn(stop.clone());
        let taken = wait_for("the other one takes over", async || {
            row().await.filter(|row| row.fence > before.fence)
        })
        .await;
        assert_ne!(taken.holder, before.holder);
        grows(10).await;
        link.heal();
        grows(50).await;
        appenders.stop().await;

        let (state, events) = read_all(&feed).await;
        wait_for("all is applied", async || {
            (row().await?.cursor == Some(state.head)).then_some(())
        })
        .await;
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        assert_eq!(applied(&other).await, ids, "{cut:?}");
        let after = row().await.unwrap();
        assert_eq!(
            (after.fence, after.holder),
            (taken.fence, taken.holder),
            "{cut:?}"
        );
        stop.cancel();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        cut_off.close().await;
        other.close().await;
    }
}
