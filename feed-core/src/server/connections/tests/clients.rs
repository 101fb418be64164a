//! One client and what it may do.

use super::*;

#[tokio::test(start_paused = true)]
async fn i12_a_silent_connection_is_closed() {
    let (mut client, ended) = connection(1_024);
    assert_about(closed_after(&mut client).await, REQUEST_HEAD_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_half_a_head_is_not_waited_for() {
    let (mut client, ended) = connection(1_024);
    sleep(ms(9_000)).await;
    client.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    // The time runs from the beginning of the connection on.
    assert_about(closed_after(&mut client).await, REQUEST_HEAD_MS_MAX - 9_000);
    ended.await.unwrap();
}

/// A byte each second, for as long as they are taken.
async fn drip(mut client: impl AsyncWrite + Unpin, bytes: &[u8]) {
    for byte in bytes {
        if client.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(ms(1_000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn i12_a_head_that_drips_is_not_waited_for() {
    let (client, ended) = connection(1_024);
    let (mut read, write) = tokio::io::split(client);
    let (closed, ()) = tokio::join!(closed_after(&mut read), drip(write, ASK));
    assert_about(closed, REQUEST_HEAD_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_empty_lines_before_a_head_do_not_prolong_it() {
    let (client, ended) = connection(1_024);
    let (mut read, write) = tokio::io::split(client);
    let lines = b"\r\n".repeat(20);
    let (closed, ()) = tokio::join!(closed_after(&mut read), drip(write, &lines));
    assert_about(closed, REQUEST_HEAD_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_a_later_head_that_drips_has_its_time_from_its_first_byte() {
    let (mut client, ended) = connection(1_024);
    assert_eq!(ask(&mut client, ASK).await.status, 200);
    // Longer than a head may take: between two requests there is more time.
    sleep(ms(CONNECTION_IDLE_MS_MAX - 1_000)).await;
    let (mut read, write) = tokio::io::split(client);
    let (closed, ()) = tokio::join!(closed_after(&mut read), drip(write, ASK));
    assert_about(closed, REQUEST_HEAD_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_an_idle_connection_is_closed() {
    let (mut client, ended) = connection(1_024);
    for _ in 0..5 {
        assert_eq!(ask(&mut client, ASK).await.body, "well");
        sleep(ms(CONNECTION_IDLE_MS_MAX - 1_000)).await;
    }
    assert_eq!(ask(&mut client, ASK).await.body, "well");
    assert_about(closed_after(&mut client).await, CONNECTION_IDLE_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_the_time_of_the_next_request_runs_from_the_answer_on() {
    let (mut client, ended) = connection(1_024);
    for request in [ASK, b"GET /later HTTP/1.1\r\nhost: a\r\n\r\n"] {
        assert_eq!(ask(&mut client, request).await.status, 200);
    }
    assert_about(closed_after(&mut client).await, CONNECTION_IDLE_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_a_body_that_drips_is_answered_in_time() {
    let (client, ended) = connection(1_024);
    let (mut read, mut write) = tokio::io::split(client);
    let head = b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n";
    write.write_all(head).await.unwrap();
    let since = Instant::now();
    let (closed, ()) = tokio::join!(
        async {
            let reply = reply(&mut read).await;
            assert_about(since.elapsed(), REQUEST_MS_MAX);
            assert_eq!(reply.status, 503);
            assert!(reply.body.contains("problems/timeout"), "{reply:?}");
            closed_after(&mut read).await
        },
        drip(write, &[b'x'; 100])
    );
    // What is left of the body is not waited for.
    assert_about(closed, 0);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_a_body_that_nobody_reads_is_not_waited_for() {
    let (client, ended) = connection(1_024);
    let (mut read, mut write) = tokio::io::split(client);
    let head = b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n";
    write.write_all(head).await.unwrap();
    let (closed, ()) = tokio::join!(
        async {
            assert_eq!(reply(&mut read).await.status, 200);
            closed_after(&mut read).await
        },
        drip(write, &[b'x'; 100])
    );
    assert_about(closed, 0);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_a_client_that_does_not_read_is_cut_off() {
    let (mut client, ended) = connection(1_024);
    let ask = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let since = Instant::now();
    ended.await.unwrap();
    assert_about(since.elapsed(), WRITE_STALL_MS_MAX);
    let mut found = Vec::new();
    client.read_to_end(&mut found).await.unwrap();
    assert!(found.len() <= 1_024, "{}", found.len());
}

#[tokio::test(start_paused = true)]
async fn i12_a_client_that_asks_and_does_not_read_is_cut_off() {
    let (mut client, ended) = connection(4_096);
    // More requests than answers fit into the stream.
    client.write_all(&ASK.repeat(100)).await.unwrap();
    let since = Instant::now();
    ended.await.unwrap();
    assert_about(since.elapsed(), WRITE_STALL_MS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_its_whole_document() {
    let (mut client, ended) = connection(1_024);
    let ask = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let since = Instant::now();
    let mut found = Vec::new();
    while found.len() < LARGE {
        sleep(ms(WRITE_STALL_MS_MAX - 1_000)).await;
        let mut some = [0; 1_024];
        let bytes = client.read(&mut some).await.unwrap();
        assert!(bytes > 0, "cut off after {} bytes", found.len());
        found.extend_from_slice(&some[..bytes]);
    }
    // It took far longer than a client may be idle.
    assert!(since.elapsed() > 5 * ms(CONNECTION_IDLE_MS_MAX));
    client.read_to_end(&mut found).await.unwrap();
    let text = String::from_utf8(found).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), LARGE);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_read_slowly_may_ask_again() {
    let (mut client, ended) = connection(1_024);
    let request = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    // As long as there is something to read, it is not idle.
    for _ in 0..8 {
        sleep(ms(WRITE_STALL_MS_MAX - 1_000)).await;
        client.read_exact(&mut [0; 1_024]).await.unwrap();
    }
    let mut rest = vec![0; LARGE - 8 * 1_024];
    client.read_exact(&mut rest).await.unwrap();
    // And from then on it has its full time.
    sleep(ms(CONNECTION_IDLE_MS_MAX - 1_000)).await;
    client.write_all(ASK).await.unwrap();
    let mut found = Vec::new();
    client.read_to_end(&mut found).await.unwrap();
    assert!(found.ends_with(b"\r\n\r\nwell"));
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_is_not_idle() {
    let mut bounds = Bounds::default();
    bounds.patience.idle = bounds.patience.stall / 10;
    let (mut client, ended) = connection_within(bounds, 1_024);
    let request = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    sleep(bounds.patience.stall / 2).await;
    assert_eq!(reply(&mut client).await.body.len(), LARGE);
    ended.await.unwrap();
}

/// Asked for alone, and right behind another request.
#[tokio::test(start_paused = true)]
async fn an_answer_that_has_nothing_to_say_is_not_disturbed() {
    for before in [b"".as_slice(), ASK] {
        let (mut client, ended) = connection(1_024);
        let request = b"GET /silent HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(&[before, request].concat()).await.unwrap();
        let since = Instant::now();
        let mut found = Vec::new();
        client.read_to_end(&mut found).await.unwrap();
        let text = String::from_utf8(found).unwrap();
        assert_eq!(text.matches("still here").count(), 2, "{text}");
        // The end of a body of chunks: it came whole.
        assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
        assert_about(since.elapsed(), 3_600_000 + CONNECTION_IDLE_MS_MAX);
        ended.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn requests_ahead_of_their_time_are_answered_one_by_one() {
    let (mut client, ended) = connection(4_096);
    let requests = [
        b"GET /later HTTP/1.1\r\nhost: a\r\n\r\n".as_slice(),
        b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        ASK,
        b"GET / HTT",
    ];
    client.write_all(&requests.concat()).await.unwrap();
    for expected in ["later", "3", "well"] {
        assert_eq!(reply(&mut client).await.body, expected);
    }
    let rest = b"P/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(ask(&mut client, rest).await.status, 200);
    assert_about(closed_after(&mut client).await, CONNECTION_IDLE_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_half_a_head_ahead_of_its_time_is_not_waited_for() {
    let (mut client, ended) = connection(4_096);
    let requests = [ASK, b"GET / HT"].concat();
    client.write_all(&requests).await.unwrap();
    assert_eq!(reply(&mut client).await.status, 200);
    assert_about(closed_after(&mut client).await, CONNECTION_IDLE_MS_MAX);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i12_heads_are_bounded() {
    let many = |count: usize| {
        let headers = "a: b\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
    };
    let large = |bytes: usize| {
        let rest = "GET / HTTP/1.1\r\nhost: a\r\na: \r\n\r\n".len();
        let value = "b".repeat(bytes - rest);
        format!("GET / HTTP/1.1\r\nhost: a\r\na: {value}\r\n\r\n")
    };
    let long = |bytes: usize| {
        let path = "b".repeat(bytes);
        format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n")
    };
    for (head, status) in [
        (many(REQUEST_HEADERS_MAX), 200),
        (many(REQUEST_HEADERS_MAX + 1), 431),
        (many(5_000), 431),
        (large(REQUEST_HEAD_BYTES_MAX), 200),
        (large(REQUEST_HEAD_BYTES_MAX + 1), 431),
        (large(20 * REQUEST_HEAD_BYTES_MAX), 431),
        (long(REQUEST_HEAD_BYTES_MAX), 431),
        (long(1_000_000), 431),
    ] {
        let (client, _ended) = connection(2 << 20);
        let (mut read, mut write) = tokio::io::split(client);
        // It may be closed before all of it is sent.
        let _ = write.write_all(head.as_bytes()).await;
        let reply = reply(&mut read).await;
        assert_eq!(reply.status, status, "{} bytes", head.len());
        if status == 431 {
            assert_about(closed_after(&mut read).await, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i12_a_panic_is_answered_and_ends_nothing_else() {
    let (mut client, ended) = connection(4_096);
    let reply = ask(&mut client, b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("problems/internal"), "{reply:?}");
    assert!(!reply.body.contains("a handler"), "{reply:?}");
    assert_eq!(ask(&mut client, ASK).await.status, 200);
    drop(client);
    ended.await.unwrap();
}
