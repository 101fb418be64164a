//! Long poll: answered as soon as there is something, at the latest when the time is over or the service stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feed_core::Store;
use feed_core::server::RouterOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::lamps::{LAMPS, Scene, append, append_types};
use super::problems::assert_problem;
use super::served::{PREFIX, Reply, Served};

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");
/// Longer than anything takes that does not wait.
const SOON: Duration = Duration::from_secs(10);
/// How long something is seen to wait before it is believed.
const STILL: Duration = Duration::from_millis(300);

fn url(served: &Served, query: &str) -> Url {
    served.url(&format!("/feeds/{LAMPS}?{query}"))
}

/// Headers of a request, beside those that all have.
type Headers = &'static [(&'static str, &'static str)];

/// A request under way.
fn ask(served: &Arc<Served>, query: &str, headers: Headers) -> JoinHandle<Reply> {
    let (served, url) = (served.clone(), url(served, query));
    tokio::spawn(async move {
        let headers: Vec<_> = std::iter::once(JSON)
            .chain(headers.iter().copied())
            .collect();
        served.get(&url, &headers).await
    })
}

async fn assert_waits(request: &mut JoinHandle<Reply>) {
    if let Ok(reply) = timeout(STILL, request).await {
        panic!("it was answered: {reply:?}");
    }
}

async fn answer(request: JoinHandle<Reply>) -> Reply {
    timeout(SOON, request)
        .await
        .expect("an answer, soon")
        .unwrap()
}

async fn served(scene: &Scene, options: &RouterOptions) -> Arc<Served> {
    Arc::new(Served::start_with(&scene.store, &[LAMPS], options).await)
}

#[tokio::test]
async fn i13_an_event_ends_the_waiting() {
    let scene = Scene::new(3, 4).await;
    let served = served(&scene, &RouterOptions::default()).await;
    let cases: [(&str, Headers, Option<&str>); 4] = [
        ("after=now&wait=20", &[], None),
        ("after=now", &[("prefer", "wait=20")], Some("wait=20")),
        ("after=now", &[("prefer", "wait=3600")], Some("wait=25")),
        ("after=now&timeout=20000", &[], None),
    ];
    for (index, (query, headers, applied)) in cases.into_iter().enumerate() {
        let mut request = ask(&served, query, headers);
        assert_waits(&mut request).await;
        append(&scene.store, 1).await;
        let reply = answer(request).await;
        assert_eq!(
            (reply.status, reply.positions()),
            (200, vec![index as u64 + 5]),
            "{query}"
        );
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("feed-caught-up"), "true");
        let preference = reply
            .headers
            .get("preference-applied")
            .map(|value| value.to_str().unwrap());
        assert_eq!(preference, applied, "{query}");
    }
    // Where there is something already, nobody waits.
    let at_once = answer(ask(&served, "after=0&wait=20", &[])).await;
    assert_eq!(at_once.positions(), [1, 2, 3]);
}

#[tokio::test]
async fn the_time_ends_the_waiting() {
    let scene = Scene::new(3, 4).await;
    let begun = Instant::now();
    let reply = scene
        .served
        .get(&url(&scene.served, "after=now&wait=1"), &[JSON])
        .await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((reply.status, reply.positions().len()), (200, 0));
    assert_eq!(reply.header("feed-caught-up"), "true");
    assert!(reply.link("next").is_some());
    let tag = reply.header("etag").to_owned();
    let known = [JSON, ("if-none-match", tag.as_str()), ("prefer", "wait=1")];
    let same = scene
        .served
        .get(&url(&scene.served, "after=now"), &known)
        .await;
    assert_eq!(same.status, 304);
    assert_eq!(same.header("cache-control"), "no-store");
    // Nothing to wait for, and nothing to wait with.
    for query in ["after=now&wait=0", "after=now&timeout=0"] {
        let at_once = answer(ask(
            &Arc::new(Served::start(&scene.store, &[LAMPS]).await),
            query,
            &[],
        ))
        .await;
        assert_eq!(at_once.status, 200);
    }
}

#[tokio::test]
async fn i08_only_what_matches_ends_the_waiting_and_the_rest_is_passed_over() {
    let scene = Scene::new(3, 0).await;
    append_types(&scene.store, &["Lit"], 4).await;
    let served = served(&scene, &RouterOptions::default()).await;
    let mut request = ask(&served, "after=now&wait=20&type=Broken", &[]);
    assert_waits(&mut request).await;
    append_types(&scene.store, &["Lit"], 3).await;
    assert_waits(&mut request).await;
    append_types(&scene.store, &["Broken"], 1).await;
    let reply = answer(request).await;
    assert_eq!(reply.positions(), [8]);
    let in_vain = scene
        .served
        .get(&url(&scene.served, "after=1&wait=1&type=Absent"), &[JSON])
        .await;
    assert_eq!((in_vain.status, in_vain.positions().len()), (200, 0));
    let next = in_vain.link("next").unwrap();
    let head = in_vain.header("feed-head");
    assert!(
        next.query().unwrap().starts_with(&format!("after={head}&")),
        "{next}"
    );
}

#[tokio::test]
async fn i13_an_event_of_another_process_ends_the_waiting() {
    let scene = Scene::new(3, 4).await;
    let served = served(&scene, &RouterOptions::default()).await;
    let path = scene.store.path().to_string_lossy().into_owned();
    let other = Store::open(&path, feed_core::Migrations::NONE)
        .await
        .unwrap();
    let mut request = ask(&served, "after=now&wait=20", &[]);
    assert_waits(&mut request).await;
    append(&other, 1).await;
    assert_eq!(answer(request).await.positions(), [5]);
    other.close().await;
}

#[tokio::test]
async fn i03_no_event_falls_between_looking_and_waiting() {
    let scene = Scene::new(3, 0).await;
    let (store, count) = (&scene.store, 300);
    let writes = async {
        for _ in 0..count {
            append(store, 1).await;
        }
    };
    let reads = async {
        let mut next = url(&scene.served, "after=start&wait=20");
        let mut seen = 0;
        while seen < count {
            let headers = [JSON, ("prefer", "wait=20")];
            let reply = scene.served.get(&next, &headers).await;
            // To a page that was sealed by now, or to the tail from one that is not.
            if reply.status == 307 {
                next = reply.location();
                continue;
            }
            for position in reply.positions() {
                seen += 1;
                assert_eq!(position, seen);
            }
            next = reply.link("next").unwrap();
        }
    };
    let both = async { tokio::join!(writes, reads) };
    // A single wake-up that was missed takes 20 s, or for ever after the last event.
    timeout(Duration::from_secs(60), both)
        .await
        .expect("nobody waited in vain");
}

#[tokio::test]
async fn all_are_answered_when_the_service_stops() {
    let scene = Scene::new(3, 4).await;
    let served = served(&scene, &RouterOptions::default()).await;
    let mut requests: Vec<_> = (0..20)
        .map(|_| ask(&served, "after=now&wait=25", &[]))
        .collect();
    assert_waits(&mut requests[19]).await;
    served.stop();
    for request in requests {
        let reply = answer(request).await;
        assert_eq!((reply.status, reply.positions().len()), (200, 0));
    }
}

#[tokio::test]
async fn i12_too_many_are_sent_away_and_places_come_free() {
    let scene = Scene::new(3, 4).await;
    let mut options = RouterOptions::default();
    options.waiters_max = 2;
    let served = served(&scene, &options).await;
    let mut first = ask(&served, "after=now&wait=25", &[]);
    let mut second = ask(
        &served,
        "after=now",
        &[("accept", "text/event-stream;q=0"), ("prefer", "wait=25")],
    );
    assert_waits(&mut first).await;
    assert_waits(&mut second).await;
    for query in ["after=now&wait=1", "format=sse"] {
        let reply = answer(ask(&served, query, &[])).await;
        assert_problem(&reply, 503, "too-many-waiters");
        assert_eq!(reply.header("retry-after"), "1");
    }
    // Who need not wait is never sent away, and without waiting the feed is read as ever.
    let behind = answer(ask(&served, "after=0&wait=25", &[])).await;
    assert_eq!((behind.status, behind.positions()), (200, vec![1, 2, 3]));
    assert_eq!(answer(ask(&served, "after=now", &[])).await.status, 200);
    // A client that vanishes gives its place back; nothing else tells us when that was noticed.
    first.abort();
    let begun = Instant::now();
    loop {
        let reply = answer(ask(&served, "after=now&wait=1", &[])).await;
        if reply.status == 200 {
            break;
        }
        assert!(begun.elapsed() < SOON, "the place never came free");
        tokio::task::yield_now().await;
    }
}

/// Open files that 5,000 connections take, both ends being in this process.
const FILES_NEEDED: u64 = 11_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_wait_and_one_commit_answers_all() {
    let (_, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if hard < FILES_NEEDED {
        return feedway_tests::tools::missing(&format!("{FILES_NEEDED} open files (ulimit -n)"));
    }
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let scene = Scene::new(100, 4).await;
    let url = url(&scene.served, "after=now&wait=25");
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    let request = format!(
        "GET {PREFIX}/feeds/{LAMPS}?{} HTTP/1.1\r\nhost: h\r\naccept: {}\r\n\r\n",
        url.query().unwrap(),
        JSON.1
    );
    let mut waiting = Vec::new();
    for _ in 0..5_000 {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        waiting.push(connection);
    }
    let mut first = [0; 1];
    let early = timeout(STILL, waiting[4_999].read(&mut first)).await;
    assert!(early.is_err(), "it waits");
    let begun = Instant::now();
    append(&scene.store, 1).await;
    let mut answered = 0;
    for mut connection in waiting {
        let mut answer = vec![0; 4_096];
        let read = timeout(SOON * 2, connection.read(&mut answer))
            .await
            .expect("an answer")
            .unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        answered += 1;
    }
    println!(
        "{answered} answered {} ms after one commit",
        begun.elapsed().as_millis()
    );
}
