//! Appends: state and events together, versions, ids, limits.

use feed_core::{AppendError, EventId, Expected, StoreError, Tx, Version, Window};

use super::{event, note, notes, store, subject};

async fn length(store: &feed_core::Store, feed: &str) -> u64 {
    store
        .log(feed)
        .unwrap()
        .state()
        .await
        .unwrap()
        .head
        .position
        .get()
}

#[tokio::test]
async fn i01_state_and_events_commit_together() {
    let Some(store) = store().await else { return };
    store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "kept").await?;
            tx.append("first", &subject("a"), Expected::New, &[event(1), event(2)])
                .await
        })
        .await
        .unwrap();
    assert_eq!(notes(&store).await, ["kept"]);
    assert_eq!(length(&store, "first").await, 2);
}

#[tokio::test]
async fn i01_what_was_rolled_back_is_never_visible() {
    let Some(store) = store().await else { return };
    let refused: Result<(), AppendError> = store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "undone").await?;
            tx.append("first", &subject("a"), Expected::New, &[event(1)])
                .await?;
            tx.append("nowhere", &subject("b"), Expected::New, &[event(2)])
                .await?;
            Ok(())
        })
        .await;
    assert!(
        matches!(refused, Err(AppendError::Store(StoreError::UnknownFeed(feed))) if feed == "nowhere")
    );
    assert!(notes(&store).await.is_empty());
    assert_eq!(length(&store, "first").await, 0);
}

#[tokio::test]
async fn i01_an_append_that_fails_halfway_leaves_nothing_even_if_the_work_goes_on() {
    let Some(store) = store().await else { return };
    let taken = EventId::now();
    let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
        tx.append(
            "first",
            &subject("a"),
            Expected::New,
            &[event(1).with_id(taken)],
        )
        .await?;
        let halfway = tx
            .append(
                "first",
                &subject("b"),
                Expected::New,
                &[event(2), event(3).with_id(taken)],
            )
            .await;
        assert!(
            matches!(halfway, Err(AppendError::IdTaken { id, .. }) if id == taken),
            "{halfway:?}"
        );
        note(tx, "went on").await?;
        Ok(())
    };
    store.write(work).await.unwrap();
    assert_eq!(length(&store, "first").await, 1);
    assert_eq!(notes(&store).await, ["went on"]);
}

#[tokio::test]
async fn i05_a_stale_version_is_a_conflict_that_names_the_current_one() {
    let Some(store) = store().await else { return };
    let append = async |expected| {
        let work = async move |tx: &mut Tx<'_>| {
            tx.append("first", &subject("a"), expected, &[event(1)])
                .await
        };
        store.write(work).await
    };
    let first = append(Expected::New).await.unwrap();
    assert_eq!(first.version.get(), 1);
    for stale in [
        Expected::New,
        Expected::Version(Version::NONE),
        Expected::Version(Version::new(2).unwrap()),
    ] {
        match append(stale).await {
            Err(AppendError::Conflict { current, .. }) => assert_eq!(current.get(), 1),
            other => panic!("{stale}: {other:?}"),
        }
    }
    assert_eq!(
        append(Expected::Version(first.version))
            .await
            .unwrap()
            .version
            .get(),
        2
    );
    assert_eq!(append(Expected::Any).await.unwrap().version.get(), 3);
    assert_eq!(length(&store, "first").await, 3);
}

#[tokio::test]
async fn i05_the_same_append_again_is_a_no_op_and_another_content_an_error() {
    let Some(store) = store().await else { return };
    let id = EventId::now();
    let append = async |expected, number| {
        let work = async move |tx: &mut Tx<'_>| {
            tx.append(
                "first",
                &subject("a"),
                expected,
                &[event(number).with_id(id)],
            )
            .await
        };
        store.write(work).await
    };
    let first = append(Expected::New, 1).await.unwrap();
    assert_eq!(
        append(Expected::New, 1).await.unwrap(),
        first,
        "also against the version that is stale now"
    );
    assert_eq!(append(Expected::Any, 1).await.unwrap(), first);
    for expected in [Expected::New, Expected::Any] {
        assert!(matches!(
            append(expected, 2).await,
            Err(AppendError::IdTaken { .. })
        ));
    }
    assert_eq!(length(&store, "first").await, 1);
}

#[tokio::test]
async fn a_subject_lives_in_one_feed() {
    let Some(store) = store().await else { return };
    let append = async |feed: &'static str| {
        let work = async move |tx: &mut Tx<'_>| {
            tx.append(feed, &subject("a"), Expected::Any, &[event(1)])
                .await
        };
        store.write(work).await
    };
    append("first").await.unwrap();
    assert!(
        matches!(append("second").await, Err(AppendError::SubjectElsewhere { feed, .. }) if feed == "first")
    );
}

#[tokio::test]
async fn i12_too_large_and_too_many_are_refused() {
    let Some(store) = store().await else { return };
    let large = feed_core::NewEvent::json("Happened", &"x".repeat(1_000)).unwrap();
    let work = async move |tx: &mut Tx<'_>| {
        let events = [event(1), large.clone()];
        tx.append("first", &subject("a"), Expected::New, &events)
            .await
    };
    assert!(matches!(
        store.write(work).await,
        Err(AppendError::TooLarge {
            bytes_max: 1_000,
            ..
        })
    ));
    let many = vec![event(1); feed_core::limits::EVENTS_PER_APPEND_MAX + 1];
    let work = async move |tx: &mut Tx<'_>| {
        tx.append("first", &subject("a"), Expected::New, &many)
            .await
    };
    assert!(matches!(
        store.write(work).await,
        Err(AppendError::Count { .. })
    ));
    let none = async |tx: &mut Tx<'_>| tx.append("first", &subject("a"), Expected::New, &[]).await;
    assert!(matches!(
        store.write(none).await,
        Err(AppendError::Count { count: 0, .. })
    ));
    assert_eq!(length(&store, "first").await, 0);
}

#[tokio::test]
async fn i03_positions_checks_and_recorded_times_run_on_per_feed() {
    let Some(store) = store().await else { return };
    for number in 0..10 {
        let feed = if number % 3 == 0 { "second" } else { "first" };
        let name = format!("{feed}-{}", number % 2);
        let work = async move |tx: &mut Tx<'_>| {
            tx.append(feed, &subject(&name), Expected::Any, &[event(number)])
                .await
        };
        store.write(work).await.unwrap();
    }
    for feed in ["first", "second"] {
        let log = store.log(feed).unwrap();
        let (state, events) = log
            .read(Window::After {
                after: Default::default(),
                limit: 100,
            })
            .await
            .unwrap();
        let fresh =
            feed_core::client::verify(feed_core::client::Seen::Nothing, events.clone()).unwrap();
        assert_eq!(fresh.len() as u64, state.head.position.get());
        assert_eq!(events.last().unwrap().cursor(), state.head);
        assert!(
            events
                .windows(2)
                .all(|pair| pair[0].recorded <= pair[1].recorded)
        );
        assert!(
            events
                .iter()
                .all(|event| event.epoch == state.history.start().epoch)
        );
    }
}

#[tokio::test]
async fn i06_work_that_waits_for_something_else_is_refused_and_undone() {
    let Some(store) = store().await else { return };
    let waited = store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "undone").await?;
            tokio::task::yield_now().await;
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(
        matches!(waited, Err(StoreError::ForeignAwait)),
        "{waited:?}"
    );
    assert!(notes(&store).await.is_empty());
}

#[tokio::test]
async fn work_that_panics_is_undone_and_the_store_goes_on() {
    let Some(store) = store().await else { return };
    let panicked = store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "undone").await?;
            if tx.now().timestamp() > 0 {
                panic!("planted");
            }
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(
        matches!(&panicked, Err(StoreError::Panicked(text)) if text.contains("planted")),
        "{panicked:?}"
    );
    store
        .write(async |tx: &mut Tx<'_>| note(tx, "next").await)
        .await
        .unwrap();
    assert_eq!(notes(&store).await, ["next"]);
}

#[tokio::test]
async fn i06_work_that_takes_too_long_is_interrupted_and_undone() {
    let Some(store) = store().await else { return };
    let endless = "WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT count(*) FROM endless";
    let interrupted = store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "undone").await?;
            tx.query::<(i64,)>(endless, &[]).await.map(drop)
        })
        .await;
    assert!(
        matches!(interrupted, Err(StoreError::TimeLimit { .. })),
        "{interrupted:?}"
    );
    assert!(notes(&store).await.is_empty());
}

#[tokio::test]
async fn i01_a_statement_that_failed_is_never_committed_around() {
    let Some(store) = store().await else { return };
    let committed = store
        .write(async |tx: &mut Tx<'_>| {
            note(tx, "once").await?;
            let again = note(tx, "once").await;
            assert!(matches!(again, Err(StoreError::Constraint(_))), "{again:?}");
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(
        matches!(committed, Err(StoreError::FailedStatement)),
        "{committed:?}"
    );
    assert!(notes(&store).await.is_empty());
}

#[tokio::test]
async fn parameters_are_bound_by_their_number() {
    let Some(store) = store().await else { return };
    let swapped = store
        .query::<(i64, i64)>(
            "SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT)",
            &[1_i64.into(), 2_i64.into()],
        )
        .await
        .unwrap();
    assert_eq!(swapped, [(2, 1)]);
    let missing = store
        .query::<(i64, i64)>(
            "SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT)",
            &[1_i64.into()],
        )
        .await;
    assert!(matches!(
        missing,
        Err(StoreError::Parameters {
            given: 1,
            wanted: 2,
            ..
        })
    ));
}
