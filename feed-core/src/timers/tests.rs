use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::run::until_due;
use super::timer::Timer;
use crate::error::AppendError;
use crate::event::{EventId, NewEvent, Subject};
use crate::feed::FeedConfig;
use crate::limits::{TIMER_DATA_BYTES_MAX, TIMER_LOOK_MS_MAX};
use crate::store::{Expected, Following, Migrations, Store, Tx};

fn at_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

#[test]
fn i12_what_a_timer_holds_is_bounded() {
    let timer = |kind: &str, key: &str| Timer::new(kind, key, Utc::now());
    assert!(timer("order-expiry", &"a".repeat(255)).is_ok());
    for bad in ["", "with space", "ü", "line\n", &"a".repeat(256)] {
        assert!(timer(bad, "key").is_err(), "{bad:?}");
        assert!(timer("kind", bad).is_err(), "{bad:?}");
    }
    let with = |bytes: usize| timer("a", "b").unwrap().with_data(&"x".repeat(bytes - 2));
    assert!(with(TIMER_DATA_BYTES_MAX).is_ok());
    assert!(with(TIMER_DATA_BYTES_MAX + 1).is_err());
    assert!(timer("a", "b").unwrap().correlated("\n").is_err());
    assert!(timer("a", "b").unwrap().traced("").is_err());
}

#[test]
fn the_sleep_follows_the_clock_and_is_bounded() {
    let longest = Duration::from_millis(TIMER_LOOK_MS_MAX);
    let now = Utc::now();
    assert_eq!(until_due(None, now), longest);
    for (ahead_ms, wait_ms) in [(-86_400_000, 0), (0, 0), (7, 7), (86_400_000, 1_000)] {
        let until = now + TimeDelta::milliseconds(ahead_ms);
        assert_eq!(until_due(Some(until), now), Duration::from_millis(wait_ms));
    }
    let ends = (DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC);
    assert_eq!(until_due(Some(ends.0), ends.1), longest);
    assert_eq!(until_due(Some(ends.1), ends.0), Duration::ZERO);
}

#[test]
fn a_conversation_begins_with_the_cause_unless_another_is_named() {
    let cause = EventId::now();
    let timer = || Timer::new("a", "b", Utc::now()).unwrap();
    let alone = timer().caused_by_id(cause);
    assert_eq!(alone.origin.correlationid, Some(cause.to_string()));
    let named = timer().correlated("c-1").unwrap().caused_by_id(cause);
    assert_eq!(named.origin.correlationid.as_deref(), Some("c-1"));
    assert_eq!(named.origin.causationid, Some(cause));
}

/// What is kept of a timer that the handler of an event sets, in a store of its own.
async fn set_in_a_handler(id: EventId, key: &'static str) -> (EventId, EventId, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE)
        .await
        .unwrap();
    let feed = FeedConfig::new("orders", "shop").unwrap();
    store.create_feed(feed).await.unwrap();
    let set: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            let subject = Subject::new("order-1").unwrap();
            let placed = NewEvent::new("OrderPlaced", None).unwrap().with_id(id);
            tx.append("orders", &subject, Expected::New, &[placed])
                .await?;
            let event = tx.events_of(&subject).await?.remove(0);
            tx.set_following(Following::subscription("shop/orders"));
            tx.follow(&event);
            tx.set_timer(&Timer::new("expiry", key, tx.now()).unwrap())
                .await?;
            Ok(())
        })
        .await;
    set.unwrap();
    let sql = "SELECT setting_id, causationid, correlationid FROM timers";
    let kept = store.query(sql, &[]).await.unwrap().remove(0);
    store.close().await;
    kept
}

#[tokio::test]
async fn i07_a_timer_that_a_handler_sets_again_after_a_restore_is_the_same() {
    let cause = EventId::now();
    let (setting, causationid, correlationid) = set_in_a_handler(cause, "7f3a").await;
    assert_eq!((causationid, correlationid), (cause, cause.to_string()));
    assert_eq!(set_in_a_handler(cause, "7f3a").await.0, setting);
    assert_ne!(set_in_a_handler(cause, "7f3b").await.0, setting);
    assert_ne!(set_in_a_handler(EventId::now(), "7f3a").await.0, setting);
}

proptest! {
    #[test]
    fn i07_ids_of_firings_are_the_same_again_and_differ_by_each_part(
        setting in any::<[u8; 16]>(), other in any::<[u8; 16]>(), due_ms in 0..(1_i64 << 47),
    ) {
        let (setting, other) = (EventId::from_bytes(setting), EventId::from_bytes(other));
        let due = at_ms(due_ms);
        let id = EventId::firing("kind", "key", setting, due);
        prop_assert_eq!(id, EventId::firing("kind", "key", setting, due));
        prop_assert_ne!(id, EventId::firing("kindk", "ey", setting, due));
        prop_assert_ne!(id, EventId::firing("kind", "ke", setting, due));
        prop_assert_ne!(id, EventId::firing("kind", "key", setting, at_ms(due_ms + 1)));
        prop_assert_eq!(&id.as_bytes()[..6], &due_ms.to_be_bytes()[2..]);
        if setting != other {
            prop_assert_ne!(id, EventId::firing("kind", "key", other, due));
        }
        prop_assert_ne!(id, EventId::setting("kind", setting, "kind", "key"));
    }
}
