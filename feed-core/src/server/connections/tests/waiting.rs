//! Requests that wait, whose connections are put aside meanwhile.

use tokio::sync::watch;

use super::*;

/// A service with one more route: a request there waits until it is told to go on, and is answered by what it was told.
fn app_of(told: &watch::Sender<String>, stop: &CancellationToken) -> Bounded {
    let told = told.subscribe();
    let waits = move |stopping: Stopping| {
        let mut told = told.clone();
        async move {
            stopping.waits();
            tokio::select! {
                _ = told.wait_for(|told| !told.is_empty()) => {}
                () = stopping.cancelled() => return "stopped".to_owned(),
            }
            told.borrow().clone()
        }
    };
    Bounded::new(routes().route("/wait", get(waits)), Stopping::new(stop))
}

struct Scene {
    client: DuplexStream,
    told: watch::Sender<String>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Scene {
    fn new(bytes: usize) -> Self {
        let (client, server) = duplex(bytes);
        let (told, stop) = (watch::Sender::default(), CancellationToken::new());
        let app = app_of(&told, &stop);
        let answered = answer(server, peer(), app, stop.clone(), Bounds::default());
        Scene {
            client,
            told,
            stop,
            ended: tokio::spawn(within_a_day(answered)),
        }
    }

    /// Sends this, and lets the service get to where it waits.
    async fn send(&mut self, request: &[u8]) {
        self.client.write_all(request).await.unwrap();
        sleep(ms(5)).await;
    }
}

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\nx-long: 0123456789\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn what_waited_is_answered_and_the_connection_goes_on() {
    let mut scene = Scene::new(4_096);
    for word in ["one", "two"] {
        scene.told.send_replace(String::new());
        scene.send(WAIT).await;
        scene.told.send_replace(word.to_owned());
        let reply = reply(&mut scene.client).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, word));
        assert_eq!(ask(&mut scene.client, ASK).await.body, "well");
    }
    // Between two requests it is closed as ever.
    assert_about(
        closed_after(&mut scene.client).await,
        CONNECTION_IDLE_MS_MAX,
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_meanwhile_is_answered_afterwards() {
    let mut scene = Scene::new(4_096);
    // With the request, right behind it, and in pieces while it waits.
    scene.send(&[WAIT, ASK].concat()).await;
    scene.send(&ASK[..9]).await;
    scene.send(&ASK[9..]).await;
    scene.send(&ASK.repeat(9)).await;
    scene.told.send_replace("at last".to_owned());
    assert_eq!(reply(&mut scene.client).await.body, "at last");
    for _ in 0..11 {
        assert_eq!(reply(&mut scene.client).await.body, "well");
    }
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_that_wait_are_answered_in_their_order() {
    let mut scene = Scene::new(4_096);
    scene.send(&[ASK, WAIT, WAIT, ASK, WAIT].concat()).await;
    scene.told.send_replace("so".to_owned());
    for body in ["well", "so", "so", "well", "so"] {
        assert_eq!(reply(&mut scene.client).await.body, body);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_is_sent_whole_though_nobody_reads_it_yet() {
    // The large answer does not fit into the stream, and what waits is behind it.
    let mut scene = Scene::new(1_000);
    let large = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    scene.send(&[large, WAIT].concat()).await;
    scene.told.send_replace("then".to_owned());
    sleep(ms(100)).await;
    assert_eq!(reply(&mut scene.client).await.body.len(), LARGE);
    assert_eq!(reply(&mut scene.client).await.body, "then");
}

#[tokio::test(start_paused = true)]
async fn whether_the_connection_goes_on_is_as_the_request_said() {
    for (version, said, goes_on) in [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: keep-alive\r\n", true),
    ] {
        let mut scene = Scene::new(4_096);
        let request = format!("GET /wait HTTP/{version}\r\nhost: a\r\n{said}\r\n");
        scene.send(request.as_bytes()).await;
        scene.told.send_replace("well".to_owned());
        let waited = reply(&mut scene.client).await;
        let mut other = Scene::new(4_096);
        let request = request.replace("/wait", "/");
        let usual = ask(&mut other.client, request.as_bytes()).await;
        let timeless = |head: &str| {
            let lines = head.lines().filter(|line| !line.starts_with("date: "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            timeless(&waited.head),
            timeless(&usual.head),
            "{version} {said}"
        );
        if goes_on {
            assert_eq!(ask(&mut scene.client, ASK).await.body, "well");
        } else {
            assert_about(closed_after(&mut scene.client).await, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_without_a_body() {
    let mut scene = Scene::new(4_096);
    scene.send(b"HEAD /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    scene.told.send_replace("four".to_owned());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within_a_day(scene.client.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("content-length: 4\r\n"), "{head}");
    assert_eq!(ask(&mut scene.client, ASK).await.body, "well");
}

#[tokio::test(start_paused = true)]
async fn i12_who_goes_away_ends_it_and_so_does_the_time_of_a_request() {
    let mut scene = Scene::new(4_096);
    scene.send(WAIT).await;
    let began = Instant::now();
    let timeout = reply(&mut scene.client).await;
    assert_eq!(timeout.status, 503);
    assert_about(began.elapsed() + ms(5), REQUEST_MS_MAX);
    scene.send(WAIT).await;
    drop(scene.client);
    scene.ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_those_who_wait_be_answered_and_ends_their_connections() {
    let mut scene = Scene::new(4_096);
    scene.send(WAIT).await;
    scene.stop.cancel();
    let stopped = reply(&mut scene.client).await;
    assert_eq!((stopped.status, stopped.body.as_str()), (200, "stopped"));
    assert!(
        stopped.head.contains("connection: close\r\n"),
        "{}",
        stopped.head
    );
    scene.ended.await.unwrap();
}
