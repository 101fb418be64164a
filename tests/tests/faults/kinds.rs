//! Damage that a reader sees at once: time, connections, statuses, garbage.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use feed_core::Format;
use feed_core::client::ClientError;
use feedway_tests::faults::{Damage, FaultPlan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scene::{SEED, Scene};
use super::scripted::FORMATS;

/// Requests of one kind.
const REQUESTS: u64 = 12;
/// What a request takes on a busy machine beside the delays, at most.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_is_late_is_whole() {
    let honest = Scene::new(4, SEED, FaultPlan::healed()).await;
    let right = honest.get(&honest.tail(0, Format::Json)).await.unwrap();
    for (damage, at_least) in [
        (Damage::DelayHead, 2),
        (Damage::DelayBody, 2),
        // Each takes the whole time, but for what the division leaves over.
        (Damage::Drip, REQUESTS as u32 * 3 / 4),
    ] {
        let longest = Duration::from_millis(60);
        let plan = FaultPlan {
            delay_ms_max: 60,
            drip_ms_max: 60,
            ..FaultPlan::only(damage)
        };
        honest.proxy.set(plan);
        let began = Instant::now();
        for _ in 0..REQUESTS {
            let got = honest.get(&honest.tail(0, Format::Json)).await.unwrap();
            assert_eq!(got.body, right.body, "{damage}");
        }
        let took = began.elapsed();
        assert!(took >= longest * at_least, "{damage}: {took:?}");
        assert!(
            took < longest * REQUESTS as u32 + SLACK,
            "{damage}: {took:?}"
        );
        assert_eq!(honest.proxy.counts().of(damage), REQUESTS);
    }
}

#[tokio::test]
async fn connections_are_cut_before_the_head_and_in_mid_body() {
    let scene = Scene::new(4, SEED, FaultPlan::only(Damage::CutHead)).await;
    for _ in 0..REQUESTS {
        assert_eq!(scene.get(&scene.tail(0, Format::Json)).await, None);
    }
    scene.proxy.set(FaultPlan::only(Damage::CutBody));
    for _ in 0..REQUESTS {
        let got = scene.get(&scene.tail(0, Format::Atom)).await.unwrap();
        assert_eq!((got.status, got.body), (200, None));
    }
    assert_eq!(scene.proxy.counts().of(Damage::CutHead), REQUESTS);
    assert_eq!(scene.proxy.counts().of(Damage::CutBody), REQUESTS);
}

#[tokio::test]
async fn failures_have_their_statuses_and_never_refuse_a_cursor() {
    let scene = Scene::new(4, SEED, FaultPlan::healed()).await;
    for (damage, status, waits) in [
        (Damage::InternalError, 500, vec![None]),
        (Damage::Unavailable, 503, vec![Some("0"), Some("1")]),
        (Damage::TooManyRequests, 429, vec![Some("0"), Some("1")]),
    ] {
        scene.proxy.set(FaultPlan::only(damage));
        let mut found = HashSet::new();
        for _ in 0..REQUESTS {
            let got = scene.get(&scene.tail(0, Format::Json)).await.unwrap();
            assert_eq!(got.status, status);
            let wait = got.headers.get("retry-after");
            found.insert(wait.map(|wait| wait.to_str().unwrap().to_owned()));
            let failed = scene.fetch(0, Format::Json).await.unwrap_err();
            assert!(matches!(failed, ClientError::Status { .. }), "{failed}");
        }
        let waits = waits.into_iter().map(|wait| wait.map(str::to_owned));
        assert_eq!(found, waits.collect::<HashSet<_>>(), "{damage}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_sent_instead_of_the_answer() {
    let scene = Scene::new(4, SEED, FaultPlan::only(Damage::NotHttp)).await;
    assert_eq!(scene.get(&scene.tail(0, Format::Json)).await, None);
    let host = scene.proxy.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let request = b"GET /feeds/lamps HTTP/1.1\r\nhost: lamps\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut sent = Vec::new();
    // The connection is closed behind it.
    stream.read_to_end(&mut sent).await.unwrap();
    assert!(!sent.is_empty());
    let text = String::from_utf8_lossy(&sent);
    assert!(!text.contains("HTTP/1.1"), "{text}");
}

#[tokio::test]
async fn garbage_is_no_feed_document() {
    let scene = Scene::new(4, SEED, FaultPlan::healed()).await;
    for damage in [
        Damage::Truncated,
        Damage::Corrupted,
        Damage::WrongType,
        Damage::HtmlPage,
    ] {
        scene.proxy.set(FaultPlan::only(damage));
        for format in FORMATS {
            for _ in 0..REQUESTS {
                let got = scene.get(&scene.tail(0, format)).await.unwrap();
                assert_eq!(got.status, 200, "{damage}");
                assert!(got.body.is_some(), "{damage}");
                let failed = scene.fetch(0, format).await.unwrap_err();
                let known = match damage {
                    Damage::Truncated | Damage::Corrupted => {
                        matches!(failed, ClientError::Document { .. })
                    }
                    _ => matches!(failed, ClientError::ContentType { .. }),
                };
                assert!(known, "{damage}: {failed}");
            }
        }
        assert_eq!(scene.proxy.counts().of(damage), 4 * REQUESTS);
    }
}
