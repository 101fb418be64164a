//! A service whose database is a standby serves what the primary serves, or says that it is behind.

use std::time::{Duration, Instant};

use feed_core::{EventId, FeedName, Format, Store, StoreError};
use feedway_tests::postgres::StandbyOptions;
use url::Url;

use crate::nodes::{DATABASE, Nodes};
use crate::served::{FORMATS, Reply, Served};
use crate::{CAPACITY, FEED, WAIT_MAX, append, head_when, light, service};

/// How long a long poll on a standby may take from the commit on. It takes about 100 ms; the machine may be busy.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

struct Scene {
    nodes: Nodes,
    /// On the primary.
    main: Store,
    main_served: Served,
    /// On its standby.
    beside: Store,
    served: Served,
}

impl Scene {
    async fn new() -> Option<Self> {
        let mut nodes = Nodes::start().await?;
        nodes.add_standby(StandbyOptions::new("second")).await;
        let main = service(&nodes.primary.url(DATABASE)).await;
        light(&main, 2 * CAPACITY + 5).await;
        nodes.shown_by(0).await;
        let beside = service(&nodes.standby_url(0)).await;
        Some(Scene {
            main_served: Served::start(&main, &[FEED]).await,
            served: Served::start(&beside, &[FEED]).await,
            nodes,
            main,
            beside,
        })
    }

    async fn close(self) {
        self.main.close().await;
        self.beside.close().await;
    }
}

fn after(served: &Served, what: &str) -> Url {
    let mut url = served.url("/feeds/lamps");
    url.set_query(Some(&format!("after={what}")));
    url
}

/// A page by the number and the epoch of its last event.
fn page(served: &Served, epoch: impl std::fmt::Display, number: u32) -> Url {
    served.url(&format!("/feeds/lamps/archive/{epoch}/{number}.r1.atom"))
}

#[track_caller]
fn assert_behind(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.header("retry-after"), "1");
    let body = String::from_utf8_lossy(&reply.body);
    assert!(body.contains("/problems/feed-behind"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i04_a_standby_serves_the_same_bytes_and_never_more_than_it_has() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let head = scene.main.log(FEED).unwrap().state().await.unwrap().head;
    for format in FORMATS {
        let accept = [("accept", format.media_type())];
        for path in [
            "/feeds/lamps".to_owned(),
            format!("/feeds/lamps?after={}", head),
            "/feeds/lamps?after=12".to_owned(),
            format!(
                "/feeds/lamps/archive/{}/1.r1.{}",
                head.epoch,
                format.extension()
            ),
            format!(
                "/feeds/lamps/archive/{}/2.r1.{}",
                head.epoch,
                format.extension()
            ),
        ] {
            let (theirs, url) = (scene.main_served.url(&path), scene.served.url(&path));
            let main = scene.main_served.get(&theirs, &accept).await;
            let ours = scene.served.get(&url, &accept).await;
            assert_eq!(main.status, 200, "{main:?}");
            assert_eq!(main.body, ours.body, "{path}");
            assert_eq!(main.header("etag"), ours.header("etag"), "{path}");
            let known = [accept[0], ("if-none-match", main.header("etag"))];
            let same = scene.served.get(&scene.served.url(&path), &known).await;
            assert_eq!(same.status, 304, "{same:?}");
        }
    }

    // It stays where it is, whatever the primary does.
    scene.nodes.standbys[0].pause_replay().await.unwrap();
    let newest = light(&scene.main, 3 * CAPACITY).await;
    let ahead = scene.main.log(FEED).unwrap().state().await.unwrap().head;
    let state = scene.beside.log(FEED).unwrap().state().await.unwrap();
    assert_eq!(state.head, head);
    scene.main.open_epoch(&feed(), "a test").await.unwrap();
    light(&scene.main, 1).await;
    let of_new_epoch = scene.main.log(FEED).unwrap().state().await.unwrap().head;
    assert_ne!(of_new_epoch.epoch, head.epoch);
    let served = &scene.served;
    let not_there_yet = [
        after(served, &ahead.to_string()),
        after(served, &newest.to_string()),
        after(served, &of_new_epoch.to_string()),
        page(served, ahead.epoch, 5),
        served.url(&format!("/feeds/lamps/events/{newest}")),
    ];
    for url in &not_there_yet {
        assert_behind(&served.get(url, &[]).await);
    }
    // What it has it serves meanwhile.
    let reply = served.get(&after(served, &head.to_string()), &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");

    scene.nodes.standbys[0].resume_replay().await.unwrap();
    scene.nodes.shown_by(0).await;
    for url in &not_there_yet {
        let reply = served.get(url, &[]).await;
        assert!([200, 307].contains(&reply.status), "{reply:?}");
    }
    scene.close().await;
}

fn feed() -> FeedName {
    FeedName::new(FEED).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_on_a_standby_is_answered_when_the_events_have_come() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    for round in 0..3 {
        let head = scene.beside.log(FEED).unwrap().state().await.unwrap().head;
        let mut url = after(&scene.served, &head.to_string());
        url.query_pairs_mut().append_pair("wait", "20");
        let poll = async {
            let reply = scene.served.document(&url, Format::Json).await;
            (reply, Instant::now())
        };
        let appended = async {
            // Most likely it waits by then; if not, it is answered all the same.
            tokio::time::sleep(Duration::from_millis(100)).await;
            light(&scene.main, 1).await;
            Instant::now()
        };
        let ((reply, answered), appended) = tokio::join!(poll, appended);
        assert_eq!(
            reply.positions(),
            [head.position.get() + 1],
            "round {round}"
        );
        let took = answered.saturating_duration_since(appended);
        assert!(took < TOLD_WITHIN, "{took:?}");
        scene.nodes.shown_by(0).await;
    }
    scene.close().await;
}

/// Neither writes nor positions come from a process that has a standby only: a standby's own snapshot says that everything
/// is running, and who believed it would take what is not final for final.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i03_a_standby_s_process_writes_and_sequences_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    // Nobody sequences on the primary, so whoever did it would be the one beside.
    scene.main.close().await;
    let main = Store::open_existing(&scene.nodes.primary.url(DATABASE))
        .await
        .unwrap();
    let id = EventId::now();
    append(&main, "lamp-1", id, 7).await.unwrap();
    scene.nodes.shown_by(0).await;

    let refused = append(&scene.beside, "lamp-1", EventId::now(), 8).await;
    let error = refused.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("standby"), "{error}");
    let error = scene.beside.sequenced().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let error = scene
        .beside
        .open_epoch(&feed(), "a test")
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");

    // Many looks of its sequencer later.
    let began = Instant::now();
    let mut commits = scene.beside.commits();
    while began.elapsed() < Duration::from_secs(1) {
        let told = tokio::time::timeout(WAIT_MAX, commits.changed()).await;
        told.unwrap().unwrap();
    }
    assert!(main.log(FEED).unwrap().event(id).await.unwrap().is_none());
    main.sequenced().await.unwrap();
    let event = main.log(FEED).unwrap().event(id).await.unwrap().unwrap();
    let state = head_when(&scene.beside, "replayed", |state| {
        state.head == event.cursor()
    });
    assert!(state.await.is_standbys);
    main.close().await;
    scene.beside.close().await;
}

/// A process that reads two standbys in turn, of which one stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i03_of_several_standbys_none_leads_a_reader_back() {
    let Some(mut scene) = Scene::new().await else {
        return;
    };
    scene.nodes.add_standby(StandbyOptions::new("third")).await;
    let hosts = scene
        .nodes
        .standbys
        .iter()
        .map(|node| node.address().to_string());
    let hosts: Vec<String> = hosts.collect();
    let url = format!(
        "postgres://feedway@{}/{DATABASE}?load_balance_hosts=random&readers=8",
        hosts.join(",")
    );
    let reads = service(&url).await;
    scene.nodes.standbys[1].pause_replay().await.unwrap();
    light(&scene.main, 5).await;
    scene.main.open_epoch(&feed(), "a test").await.unwrap();
    light(&scene.main, 5).await;
    scene.nodes.shown_by(0).await;
    let newest = scene.main.log(FEED).unwrap().state().await.unwrap();
    let log = reads.log(FEED).unwrap();
    // Connections to both are open when several read at the same time.
    let (mut furthest, mut behind) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < WAIT_MAX && (furthest < newest.head.position.get() || behind == 0) {
        let several = futures_util::future::join_all((0..8).map(|_| log.state())).await;
        // Those of one round began before any of them was answered.
        let least = furthest;
        for read in several {
            match read {
                Ok(state) => {
                    assert!(
                        state.head.position.get() >= least,
                        "led back to {}",
                        state.head
                    );
                    furthest = furthest.max(state.head.position.get());
                }
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    behind += 1;
                }
            }
        }
    }
    assert_eq!(furthest, newest.head.position.get());
    assert!(behind > 0, "the one that is behind was never asked");
    reads.close().await;
    scene.close().await;
}
