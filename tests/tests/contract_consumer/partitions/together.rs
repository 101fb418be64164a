//! Beside a split subscription: a rebuild of what it made, and what the feed's server is told.

use feed_core::{Consumer, Event, HandlerError, Handlers, Migrations, StepOutcome, Tx};

use feedway_tests::fresh_store::FreshStore;

use super::scene::{HOUR, SUBJECTS, feed_of, settle};
use crate::live::Live;
use crate::scripted::LIT;

const MODEL: Migrations = Migrations {
    owner: "model",
    sqlite: &[(
        "V1__model",
        "CREATE TABLE model (generation INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
         CREATE TABLE live (generation INTEGER NOT NULL) STRICT;
         INSERT INTO live VALUES (1);",
    )],
    postgres: &[(
        "V1__model",
        "CREATE TABLE model (generation BIGINT NOT NULL, position BIGINT NOT NULL);
         CREATE TABLE live (generation BIGINT NOT NULL);
         INSERT INTO live VALUES (1);",
    )],
};

fn follower(store: &FreshStore, live: &Live) -> Consumer {
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        let sql = "INSERT INTO model (generation, position) SELECT generation, CAST($1 AS BIGINT) FROM live";
        let position = (event.position.get() as i64).into();
        tx.execute(sql, &[position]).await?;
        Ok(())
    });
    Consumer::new(store, "model/live", &live.url())
        .unwrap()
        .handlers(handlers)
        .partitions(3)
        .unwrap()
        .lease(HOUR)
}

fn rebuild(store: &FreshStore, live: &Live) -> Consumer {
    let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
        let sql = "INSERT INTO model (generation, position) VALUES (2, $1)";
        let position = (event.position.get() as i64).into();
        tx.execute(sql, &[position]).await?;
        Ok(())
    });
    let switch = async |tx: &mut Tx<'_>| -> Result<(), HandlerError> {
        tx.execute("UPDATE live SET generation = 2", &[]).await?;
        Ok(())
    };
    Consumer::new(store, "model/rebuild", &live.url())
        .unwrap()
        .handlers(handlers)
        .rebuild_of("model/live", switch)
        .unwrap()
}

async fn model(store: &FreshStore, generation: i64) -> Vec<i64> {
    let sql = "SELECT position FROM model WHERE generation = $1 ORDER BY position";
    let rows = store.query::<(i64,)>(sql, &[generation.into()]).await;
    rows.unwrap().into_iter().map(|(at,)| at).collect()
}

#[tokio::test]
async fn i07_a_rebuild_switches_over_when_all_partitions_stand_where_it_does() {
    let live = feed_of(40).await;
    let store = crate::fresh(MODEL).await;
    let (mut follower, mut second) = (follower(&store, &live), rebuild(&store, &live));
    // The partitions are taken, and each of them is somewhere else.
    for _ in 0..9 {
        follower.step().await.unwrap();
    }
    let handle = store.subscription("model/live").unwrap();
    let mut switched = false;
    for _ in 0..20 {
        switched |= second.step().await.unwrap() == StepOutcome::SwitchedOver;
        let stands = handle.partitions().await.unwrap();
        let together = stands.iter().all(|one| one.cursor == stands[0].cursor);
        assert!(!switched || together);
    }
    settle(&mut follower).await;
    for _ in 0..20 {
        if switched {
            break;
        }
        switched = second.step().await.unwrap() == StepOutcome::SwitchedOver;
    }
    assert!(switched);
    live.append(&SUBJECTS).await;
    let mut follower = self::follower(&store, &live).lease(std::time::Duration::ZERO);
    expire(&store).await;
    settle(&mut follower).await;
    assert_eq!(model(&store, 2).await, (1..=50).collect::<Vec<i64>>());
    assert_eq!(model(&store, 1).await, (1..=40).collect::<Vec<i64>>());
}

async fn expire(store: &FreshStore) {
    let expired: Result<(), feed_core::StoreError> = store
        .write(async |tx: &mut Tx<'_>| {
            for sql in [
                "UPDATE subscriptions SET lease_until_ms = 0",
                "UPDATE subscription_members SET lease_until_ms = 0",
            ] {
                tx.execute(sql, &[]).await?;
            }
            Ok(())
        })
        .await;
    expired.unwrap();
}
