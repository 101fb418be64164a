//! What passes: everything once it is healed, redirects, long polls, event streams; and what a partition holds up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use feed_core::Format;
use feed_core::server::{bind, serve};
use feedway_tests::faults::{Damage, FaultPlan, FaultProxy};
use tokio_util::sync::CancellationToken;

use super::scene::{Got, SEED, Scene, append};
use super::scripted::FORMATS;

/// Longest time that anything here may take.
const BOUND: Duration = Duration::from_secs(10);
/// Time after which what has not come is taken to hang.
const HANGS: Duration = Duration::from_millis(300);
/// Requests whose damage is compared.
const REQUESTS: u64 = 150;

/// Short waits, since there are many.
fn quick() -> FaultPlan {
    FaultPlan {
        delay_ms_max: 3,
        drip_ms_max: 3,
        ..FaultPlan::default()
    }
}

#[tokio::test]
async fn what_is_healed_passes_as_it_is() {
    let scene = Scene::new(12, SEED, FaultPlan::only(Damage::CutHead)).await;
    assert_eq!(scene.get(&scene.url("")).await, None);
    scene.proxy.heal();
    for (behind, status) in [
        ("", 200),
        ("?after=2&format=json", 200),
        ("?after=start", 307),
        ("?after=nonsense", 400),
        ("/events/nonsense", 404),
    ] {
        let mut both = Vec::new();
        let direct = scene.served.url(&format!("/feeds/lamps{behind}"));
        for url in [scene.url(behind), direct.to_string()] {
            let mut got = scene.get(&url).await.unwrap();
            assert_eq!(got.status, status, "{behind}");
            got.headers.remove("date");
            both.push(got);
        }
        assert_eq!(both[0], both[1], "{behind}");
    }
    let url = scene.tail(0, Format::Json);
    let etag = scene.get(&url).await.unwrap().headers["etag"].clone();
    let known = [("if-none-match", etag.to_str().unwrap())];
    assert_eq!(scene.get_with(&url, &known).await.unwrap().status, 304);
    let posted = scene.http.post(&url).body("x").send().await.unwrap();
    assert_eq!(posted.status(), 405);
    let head = scene.http.head(&url).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(scene.proxy.counts().harmed(), 1);
    assert_eq!(scene.proxy.counts().passed(), 9);
}

#[tokio::test]
async fn the_same_seed_does_the_same_to_the_same_requests() {
    let scene = Scene::new(12, SEED, quick()).await;
    let mut runs = Vec::new();
    for seed in [SEED, SEED, SEED + 1] {
        let proxy = FaultProxy::start(scene.served.origin(), seed, quick())
            .await
            .unwrap();
        assert_eq!(proxy.seed(), seed);
        let mut got: Vec<Option<Got>> = Vec::new();
        for number in 0..REQUESTS {
            let url = scene.tail(number % 11, FORMATS[number as usize % 2]);
            let url = url.replace(&scene.proxy.base_url(), &proxy.base_url());
            let mut reply = scene.get(&url).await;
            if let Some(reply) = &mut reply {
                reply.headers.remove("date");
            }
            got.push(reply);
        }
        runs.push((got, proxy.counts()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].0, runs[2].0);
    assert!(runs[0].1.lies() > 0 && runs[0].1.harmed() > runs[0].1.lies());
}

#[tokio::test]
async fn a_long_poll_passes_and_ends_with_its_client() {
    let scene = Scene::new(2, SEED, FaultPlan::healed()).await;
    let url = scene.tail(2, Format::Json);
    let wait = [("prefer", "wait=20")];
    let waiting = scene.get_with(&url, &wait);
    let (got, ()) = tokio::join!(tokio::time::timeout(BOUND, waiting), async {
        // The answer may come before it waits, which is as well.
        append(&scene.store, 1).await;
    });
    assert_eq!(got.unwrap().unwrap().status, 200);

    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (begun, gone) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (at_begin, at_end) = (begun.clone(), gone.clone());
    let app = Router::new().fallback(async move || {
        let _gone = Gone(at_end.clone());
        at_begin.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
    });
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, app, stop.clone()));
    let proxy = FaultProxy::start(&origin, SEED, FaultPlan::healed())
        .await
        .unwrap();
    let asked = tokio::spawn(scene.http.get(proxy.through("/feeds/lamps")).send());
    until(&begun).await;
    assert!(!gone.load(Ordering::SeqCst));
    asked.abort();
    until(&gone).await;
    stop.cancel();
}

async fn until(said: &AtomicBool) {
    let waiting = async {
        while !said.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, waiting).await.unwrap();
}

#[tokio::test]
async fn an_event_stream_passes_event_by_event() {
    let scene = Scene::new(2, SEED, FaultPlan::healed()).await;
    let url = scene.url("?after=start&format=sse");
    let mut response = scene.http.get(url).send().await.unwrap();
    let mut text = String::new();
    for (lit, appended) in [(2, 1), (3, 1), (4, 0)] {
        let read = async {
            while text.matches("data:").count() < lit {
                let chunk = response.chunk().await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(BOUND, read).await.unwrap();
        append(&scene.store, appended).await;
    }
}

#[tokio::test]
async fn a_partition_holds_up_old_and_new_connections_until_it_ends() {
    let scene = Scene::new(2, SEED, FaultPlan::healed()).await;
    let url = scene.tail(0, Format::Json);
    assert_eq!(scene.get(&url).await.unwrap().status, 200);
    scene.proxy.pause();
    // One of them finds the connection of before.
    let both = async { tokio::join!(scene.get(&url), scene.get(&url)) };
    tokio::pin!(both);
    assert!(tokio::time::timeout(HANGS, &mut both).await.is_err());
    scene.proxy.resume();
    let (first, second) = tokio::time::timeout(BOUND, both).await.unwrap();
    assert_eq!(first.unwrap().status, 200);
    assert_eq!(second.unwrap().status, 200);
    scene.proxy.pause();
    assert!(tokio::time::timeout(HANGS, scene.get(&url)).await.is_err());
    scene.proxy.heal();
    assert_eq!(scene.get(&url).await.unwrap().status, 200);
}

#[tokio::test]
async fn without_a_service_behind_it_connections_end() {
    let scene = Scene::new(2, SEED, FaultPlan::healed()).await;
    let nowhere = feedway_tests::service::free_address().unwrap();
    let nowhere = format!("http://{nowhere}");
    let proxy = FaultProxy::start(&nowhere, SEED, FaultPlan::healed());
    let proxy = proxy.await.unwrap();
    assert_eq!(scene.get(&proxy.through("/feeds/lamps")).await, None);
    let url = proxy.through("/feeds/lamps");
    drop(proxy);
    assert_eq!(scene.get(&url).await, None);
}
