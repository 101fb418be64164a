//! A service that is cut off from its database, with a word or without, and comes back.

use std::time::{Duration, Instant};

use feed_core::{EventId, Store};
use feedway_tests::postgres::{Cut, Database, Link, connect};

use crate::appenders::Appenders;
use crate::served::Served;
use crate::{FEED, append, head_when, read_all, service, wait_for};

/// Longest time that a request may take while nothing is heard of the database.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);
/// Longest time for which a sequencer that is cut off may hold up others: the server ends its session
/// (`POSTGRES_IDLE_IN_TRANSACTION_MS_MAX`), and another one tries again.
const HELD_UP_MAX: Duration = Duration::from_secs(12);

/// A database, and a line to it.
pub(crate) async fn line() -> Option<(Database, Link, String)> {
    let database = Database::for_test("cut_off").await.unwrap()?;
    let cluster = feedway_tests::postgres::shared().await.unwrap();
    let link = Link::start(cluster.address()).await.unwrap();
    let url = cluster.url_through(link.address(), database.name());
    Some((database, link, url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_service_that_is_cut_off_says_so_in_time_and_comes_back_by_itself() {
    let Some((_database, link, url)) = line().await else {
        return;
    };
    let store = service(&url).await;
    let served = Served::start(&store, &[FEED]).await;
    let feed = served.url("/feeds/lamps");
    let appenders = Appenders::start(&[&store]);
    for cut in [Cut::Closed, Cut::Silent, Cut::Closed] {
        appenders.wait(20).await;
        link.cut(cut);
        // Twice: what is asked first finds connections that were good, and the next one finds none.
        for _ in 0..2 {
            let begun = Instant::now();
            let reply = served.get(&feed, &[]).await;
            let took = begun.elapsed();
            assert!(took < ANSWERED_WITHIN, "{cut:?}: {took:?}");
            assert_eq!(reply.status, 503, "{cut:?}: {reply:?}");
        }
        link.heal();
        let healed = Instant::now();
        appenders.wait(5).await;
        wait_for("it is served again", async || {
            (served.get(&feed, &[]).await.status == 200).then_some(())
        })
        .await;
        eprintln!("{cut:?}: back {:?} after it was healed", healed.elapsed());
    }
    let (acknowledged, _) = appenders.stop().await;
    head_when(&store, "all have places", |state| {
        state.head.position.get() >= acknowledged.len() as u64
    })
    .await;
    let (_, events) = read_all(&store).await;
    let mut ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let mut wanted = acknowledged;
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    store.close().await;
}

/// Holds the lock of the feed in an open transaction, and nobody hears of it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_a_sequencer_that_is_cut_off_in_its_transaction_holds_others_up_for_a_bounded_time() {
    let Some((database, link, url)) = line().await else {
        return;
    };
    let cut_off = service(&url).await;
    let admin = connect(database.admin_url()).await.unwrap();
    // It is cut until that hits its sequencer between two statements.
    let holds = wait_for("the sequencer is cut off in its transaction", async || {
        let appenders = Appenders::start(&[&cut_off]);
        appenders.wait(3).await;
        link.cut(Cut::Silent);
        let holds = holder_idle(&admin).await;
        if !holds {
            link.heal();
        }
        drop(appenders);
        holds.then_some(())
    });
    holds.await;
    let other = Store::open(database.url(), feed_core::Migrations::NONE)
        .await
        .unwrap();
    let id = EventId::now();
    let begun = Instant::now();
    append(&other, "lamp-other", id, 1).await.unwrap();
    let log = other.log(FEED).unwrap();
    let placed = log.cursor_of(id, HELD_UP_MAX).await.unwrap();
    eprintln!("placed after {:?}", begun.elapsed());
    assert!(placed.is_some(), "it is held up longer");
    link.heal();
    read_all(&other).await;
    other.close().await;
    cut_off.close().await;
}

/// Whether somebody is idle in a transaction and holds the lock of a feed: that of a subject has two parts.
async fn holder_idle(admin: &tokio_postgres::Client) -> bool {
    let sql = "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
        WHERE a.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
          AND a.state = 'idle in transaction'";
    // What was under way is done by then.
    for _ in 0..5 {
        let found: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
        if found == 0 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}
