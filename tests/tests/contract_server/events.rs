//! The events of a feed, as they are served: their times, their versions, their data.

use feed_core::{AppendError, Event, Expected, NewEvent, Subject, Tx};

use super::lamps::{LAMPS, Scene, append};
use super::served::{FORMATS, Reply};

/// All events from the start on, as a reader gets them.
async fn served_events(scene: &Scene, format: feed_core::Format) -> Vec<Event> {
    let mut url = scene.served.url("/feeds/lamps?after=start");
    let mut events = Vec::new();
    for _ in 0..100 {
        let reply = scene.served.document(&url, format).await;
        if reply.positions().is_empty() {
            return events;
        }
        events.extend(reply.events());
        url = reply.link("next").expect("next is always there");
    }
    panic!("no end after 100 documents");
}

#[tokio::test]
async fn i03_recorded_does_not_go_back_when_the_clock_does() {
    let scene = Scene::new(3, 2).await;
    // As if the newest event had been recorded before the clock was set back, by a century.
    let future_us = 4_900_000_000_000_000_i64;
    let conn = rusqlite::Connection::open(scene.store.path()).unwrap();
    conn.execute(
        "UPDATE outbox SET recorded_us = ?1 WHERE position = 2",
        [future_us],
    )
    .unwrap();
    append(&scene.store, 3).await;
    for format in FORMATS {
        let events = served_events(&scene, format).await;
        let recorded: Vec<i64> = events
            .iter()
            .map(|event| event.recorded.timestamp_micros())
            .collect();
        assert_eq!(recorded[1..], [future_us; 4]);
        assert!(recorded.is_sorted(), "{recorded:?}");
    }
}

#[tokio::test]
async fn i05_versions_count_the_events_of_each_subject_without_holes() {
    let scene = Scene::new(3, 7).await;
    let appended: Result<(), AppendError> = scene
        .store
        .write(async |tx: &mut Tx<'_>| {
            // Several in one append, and two appends in one transaction.
            for (name, count) in [("lamp-1", 3), ("lamp-2", 2), ("lamp-1", 1)] {
                let event = NewEvent::json("Lit", &1).expect("an event");
                let subject = Subject::new(name).expect("a subject");
                tx.append(LAMPS, &subject, Expected::Any, &vec![event; count])
                    .await?;
            }
            Ok(())
        })
        .await;
    appended.unwrap();
    for format in FORMATS {
        let events = served_events(&scene, format).await;
        assert_eq!(events.len(), 13);
        for (subject, count) in [("lamp-0", 3), ("lamp-1", 6), ("lamp-2", 4)] {
            let of_subject = events.iter().filter(|e| e.subject.as_str() == subject);
            let versions: Vec<u32> = of_subject.map(|event| event.version.get()).collect();
            assert_eq!(versions, (1..=count).collect::<Vec<_>>(), "{subject}");
        }
    }
}

#[tokio::test]
async fn data_stands_nowhere_but_in_the_data() {
    const PERSON: &str = "Ada Lovelace";
    let scene = Scene::new(1, 0).await;
    let appended: Result<(), AppendError> = scene
        .store
        .write(async |tx: &mut Tx<'_>| {
            let event = NewEvent::json("Moved", &serde_json::json!({ "name": PERSON }));
            let subject = Subject::new("person-1").expect("a subject");
            tx.append(LAMPS, &subject, Expected::New, &[event.expect("an event")])
                .await?;
            Ok(())
        })
        .await;
    appended.unwrap();
    let id = scene.events().await[0].id;
    let shown = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        let headers = format!("{:?}", reply.headers);
        assert!(!headers.contains("Ada"), "{headers}");
        let body = String::from_utf8(reply.body.clone()).unwrap();
        (body.matches("Ada").count(), body.matches(PERSON).count())
    };
    for format in FORMATS {
        for path in ["/feeds/lamps", "/feeds/lamps?after=start"] {
            let url = scene.served.url(path);
            let reply = scene.served.document(&url, format).await;
            assert_eq!(shown(&reply), (1, 1), "{reply:?}");
        }
        let url = scene.served.url(&format!("/feeds/lamps/events/{id}"));
        let accept = [("accept", format.event_media_type())];
        let reply = scene.served.get(&url, &accept).await;
        assert_eq!(shown(&reply), (1, 1), "{reply:?}");
    }
    let list = scene.served.get(&scene.served.url("/feeds"), &[]).await;
    assert_eq!(shown(&list), (0, 0));
}
