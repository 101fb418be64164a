//! Two instances of a service on one database.

use std::time::{Duration, Instant};

use feed_core::Format;
use feedway_tests::postgres::Database;

use crate::served::{FORMATS, Served};
use crate::{CAPACITY, EventId, FEED, append, light, service};

/// How long a long poll may take from the commit by the other instance on. It takes milliseconds; the machine may be busy.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i04_two_instances_serve_the_same_bytes_and_tell_of_each_other_s_events() {
    let Some(database) = Database::for_test("instances").await.unwrap() else {
        return;
    };
    let (one, two) = (service(database.url()).await, service(database.url()).await);
    light(&one, CAPACITY + 3).await;
    light(&two, CAPACITY).await;
    let served = [
        Served::start(&one, &[FEED]).await,
        Served::start(&two, &[FEED]).await,
    ];
    let head = two.log(FEED).unwrap().state().await.unwrap().head;
    assert_eq!(head.position.get(), u64::from(2 * CAPACITY + 3));
    for format in FORMATS {
        let (accept, extension) = ([("accept", format.media_type())], format.extension());
        for path in [
            "/feeds".to_owned(),
            "/feeds/lamps".to_owned(),
            "/feeds/lamps?after=13".to_owned(),
            format!("/feeds/lamps?after={head}"),
            format!("/feeds/lamps/archive/{}/1.r1.{extension}", head.epoch),
            format!("/feeds/lamps/archive/{}/2.r1.{extension}", head.epoch),
        ] {
            let first = served[0].get(&served[0].url(&path), &accept).await;
            let second = served[1].get(&served[1].url(&path), &accept).await;
            assert_eq!(first.status, 200, "{first:?}");
            assert_eq!(first.body, second.body, "{path}");
            assert_eq!(
                first.headers.get("etag"),
                second.headers.get("etag"),
                "{path}"
            );
        }
    }

    for round in 0..5 {
        let head = one.log(FEED).unwrap().state().await.unwrap().head;
        let mut url = served[1].url("/feeds/lamps");
        url.set_query(Some(&format!("after={head}&wait=20")));
        let poll = async {
            let reply = served[1].document(&url, Format::Json).await;
            (reply, Instant::now())
        };
        let appended = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            append(&one, "lamp-1", EventId::now(), round).await.unwrap();
            Instant::now()
        };
        let ((reply, answered), appended) = tokio::join!(poll, appended);
        assert_eq!(reply.positions(), [head.position.get() + 1]);
        let took = answered.saturating_duration_since(appended);
        assert!(took < TOLD_WITHIN, "{took:?}");
    }
    one.close().await;
    two.close().await;
}
