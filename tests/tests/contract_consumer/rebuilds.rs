//! Rebuilding a read model beside the live one, and switching over (invariants I7, I9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use feed_core::{
    Chosen, Consumer, Event, HandlerError, Handlers, Migrations, Mode, StepOutcome, Tx,
};
use feedway_tests::fresh_store::FreshStore;
use tokio_util::sync::CancellationToken;

use super::live::{Faults, Live, operator, settle, step_until};
use super::scripted::LIT;

const LIVE: &str = "model/live";

const REBUILD: &str = "model/rebuild";

const MODEL: Migrations = Migrations {
    owner: "model",
    // No unique column: what is applied twice is to be seen twice.
    sqlite: &[(
        "V1__model",
        "CREATE TABLE model (row INTEGER PRIMARY KEY, generation INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
         CREATE TABLE live (generation INTEGER NOT NULL, switches INTEGER NOT NULL) STRICT;
         INSERT INTO live VALUES (1, 0);",
    )],
    postgres: &[(
        "V1__model",
        "CREATE TABLE model (row BIGINT GENERATED ALWAYS AS IDENTITY, generation BIGINT NOT NULL, position BIGINT NOT NULL);
         CREATE TABLE live (generation BIGINT NOT NULL, switches BIGINT NOT NULL);
         INSERT INTO live VALUES (1, 0);",
    )],
};

struct Scene {
    live: Live,
    store: FreshStore,
    faults: Faults,
}

impl Scene {
    async fn new(subjects: &[&'static str]) -> Self {
        Scene {
            live: Live::new(subjects).await,
            store: super::fresh(MODEL).await,
            faults: Faults::default(),
        }
    }

    /// Writes to the generation that is read.
    fn follower(&self) -> Consumer {
        let faults = self.faults.clone();
        let handlers = Handlers::new().on(LIT, async move |tx: &mut Tx<'_>, event: &Event| {
            tx.execute(
                "INSERT INTO model (generation, position) SELECT generation, CAST($1 AS BIGINT) FROM live",
                &[(event.position.get() as i64).into()],
            )
            .await?;
            faults.check(event)
        });
        let consumer = Consumer::new(&self.store, LIVE, &self.live.url()).unwrap();
        consumer.handlers(handlers)
    }

    /// Writes to the second generation, and makes it the one that is read if `may_switch`.
    fn rebuild(&self, may_switch: Arc<AtomicBool>) -> Consumer {
        let handlers = Handlers::new().on(LIT, async |tx: &mut Tx<'_>, event: &Event| {
            tx.execute(
                "INSERT INTO model (generation, position) VALUES (2, $1)",
                &[(event.position.get() as i64).into()],
            )
            .await?;
            Ok(())
        });
        let consumer = Consumer::new(&self.store, REBUILD, &self.live.url()).unwrap();
        let switch = async move |tx: &mut Tx<'_>| {
            tx.execute(
                "UPDATE live SET generation = 2, switches = switches + 1",
                &[],
            )
            .await?;
            if may_switch.load(Ordering::SeqCst) {
                return Ok(());
            }
            Err(HandlerError::transient("somebody reads it"))
        };
        consumer
            .handlers(handlers)
            .rebuild_of(LIVE, switch)
            .unwrap()
    }

    async fn model(&self, generation: i64) -> Vec<i64> {
        let sql = "SELECT position FROM model WHERE generation = $1 ORDER BY row";
        let rows = self.store.query::<(i64,)>(sql, &[generation.into()]).await;
        rows.unwrap().into_iter().map(|(at,)| at).collect()
    }

    async fn switches(&self) -> i64 {
        let rows = self.store.query::<(i64,)>("SELECT switches FROM live", &[]);
        rows.await.unwrap()[0].0
    }

    async fn names(&self) -> Vec<String> {
        let rows = self.store.subscriptions().await.unwrap();
        rows.into_iter().map(|row| row.name.to_string()).collect()
    }
}

fn always() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

#[tokio::test]
async fn i07_a_rebuild_switches_once_with_both_at_the_same_event_while_events_come() {
    let scene = Scene::new(&["a"; 150]).await;
    let stop = CancellationToken::new();
    let follower = scene.follower().spawn(stop.clone());
    let rebuild = scene.rebuild(always()).spawn(stop.clone());
    let mut rounds = 0;
    while !rebuild.is_finished() || rounds < 5 {
        scene.live.append(&["a", "b", "c"]).await;
        rounds += 1;
        assert!(rounds < 5_000, "it does not switch over");
        // What is written is all that keeps it from catching up.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    rebuild.await.unwrap().unwrap();
    let last = 150 + 3 * rounds;
    let handle = scene.store.subscription(LIVE).unwrap();
    let cursor = scene.live.event(last).await.cursor();
    let wait = std::time::Duration::from_secs(30);
    assert!(handle.wait_until(cursor, wait).await.unwrap());
    stop.cancel();
    follower.await.unwrap().unwrap();
    assert_eq!(scene.switches().await, 1);
    let all: Vec<i64> = (1..=last as i64).collect();
    assert_eq!(scene.model(2).await, all, "rebuilt, then followed on");
    assert_eq!(scene.names().await, [LIVE]);
}

#[tokio::test]
async fn i07_a_rebuild_never_overtakes_the_live_one() {
    let scene = Scene::new(&["a", "b", "c", "d"]).await;
    let mut rebuild = scene.rebuild(always());
    for _ in 0..10 {
        rebuild.step().await.unwrap();
    }
    assert_eq!(
        scene.model(2).await,
        [] as [i64; 0],
        "there is none to follow"
    );
    scene.faults.set(3, HandlerError::transient("not yet"));
    let mut follower = scene.follower();
    step_until(&mut follower, |outcome| {
        matches!(outcome, StepOutcome::Applied { .. })
    })
    .await;
    assert_eq!(scene.model(1).await, [1, 2]);
    let outcome = step_until(&mut rebuild, |outcome| {
        *outcome == StepOutcome::SwitchedOver
    });
    outcome.await;
    assert_eq!(scene.model(2).await, [1, 2]);
    scene.faults.mend(3);
    settle(&mut follower).await;
    assert_eq!(scene.model(2).await, [1, 2, 3, 4]);
    assert_eq!(scene.switches().await, 1);
}

#[tokio::test]
async fn i07_a_rebuild_does_not_switch_as_long_as_the_live_one_has_parked_events() {
    let scene = Scene::new(&["a", "b"]).await;
    scene.faults.set(1, HandlerError::permanent("no"));
    let mut follower = scene.follower();
    settle(&mut follower).await;
    let mut rebuild = scene.rebuild(always());
    for _ in 0..10 {
        let outcome = rebuild.step().await.unwrap();
        assert_ne!(outcome, StepOutcome::SwitchedOver);
    }
    assert_eq!(scene.model(2).await, [1, 2]);
    scene.faults.mend(1);
    let handle = scene.store.subscription(LIVE).unwrap();
    handle.retry(Chosen::All, Mode::Do).await.unwrap();
    // The live one goes no further meanwhile, though there is more.
    scene.live.append(&["c"]).await;
    scene.faults.set(3, HandlerError::transient("not yet"));
    step_until(&mut rebuild, |outcome| *outcome == StepOutcome::CaughtUp).await;
    let mut follower = scene.follower();
    step_until(&mut follower, |outcome| {
        *outcome == StepOutcome::Replayed { events: 1 }
    })
    .await;
    step_until(&mut rebuild, |outcome| {
        *outcome == StepOutcome::SwitchedOver
    })
    .await;
    scene.faults.mend(3);
    settle(&mut follower).await;
    assert_eq!(scene.model(1).await, [2, 1]);
    assert_eq!(scene.model(2).await, [1, 2, 3]);
}

#[tokio::test]
async fn i09_an_instance_that_stood_by_does_not_rebuild_once_more() {
    let scene = Scene::new(&["a", "b"]).await;
    settle(&mut scene.follower()).await;
    let [mut first, mut second] = [(); 2].map(|()| scene.rebuild(always()));
    assert_eq!(first.step().await.unwrap(), StepOutcome::Taken);
    let outcome = second.step().await.unwrap();
    assert!(
        matches!(outcome, StepOutcome::Standby { .. }),
        "{outcome:?}"
    );
    let is_over = |outcome: &StepOutcome| *outcome == StepOutcome::SwitchedOver;
    step_until(&mut first, is_over).await;
    for rebuild in [&mut first, &mut second] {
        assert_eq!(rebuild.step().await.unwrap(), StepOutcome::SwitchedOver);
    }
    assert_eq!(scene.model(2).await, [1, 2]);
    assert_eq!(scene.switches().await, 1);
    assert_eq!(scene.names().await, [LIVE]);
}

#[tokio::test]
async fn i10_a_switch_that_fails_is_tried_again_and_no_event_is_blamed() {
    let scene = Scene::new(&["a", "b"]).await;
    settle(&mut scene.follower()).await;
    let may_switch = Arc::new(AtomicBool::new(false));
    let mut rebuild = scene.rebuild(may_switch.clone());
    for _ in 0..10 {
        match rebuild.step().await {
            Ok(outcome) => assert_ne!(outcome, StepOutcome::SwitchedOver),
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                assert!(error.to_string().contains("somebody reads it"), "{error}");
            }
        }
    }
    assert_eq!(scene.switches().await, 0);
    let handle = scene.store.subscription(REBUILD).unwrap();
    assert_eq!(handle.counts().await.unwrap(), [], "no event is at fault");
    let refused = handle.skip(&operator(), Mode::Do).await;
    assert!(refused.is_err(), "{refused:?}");
    may_switch.store(true, Ordering::SeqCst);
    let is_over = |outcome: &StepOutcome| *outcome == StepOutcome::SwitchedOver;
    step_until(&mut rebuild, is_over).await;
    assert_eq!(scene.switches().await, 1);
    assert_eq!(scene.model(2).await, [1, 2]);
}
