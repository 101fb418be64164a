//! Servers that mean harm: where they lead, how slowly they answer, what they send (invariant I12).

use std::process::Command;
use std::time::{Duration, Instant};

use feed_core::client::{
    AllowedAddresses, ClientError, ClientOptions, FeedClient, FetchOptions, Fetched, Page,
};
use feed_core::{After, Format, SubscriptionName, json};

use super::raw::{Answer, DRIP_MS, RawServer};
use super::scripted::{
    FEED, FORMATS, Said, ScriptedFeed, ScriptedServer, header, redirect, respond,
};

const START: &str = "/feeds/lamps?after=start";

/// Set for a test that is run again, in a process with a proxy in its environment.
const PROXIED: &str = "FEEDWAY_TEST_PROXIED";

fn public_only() -> ClientOptions {
    ClientOptions {
        addresses: AllowedAddresses::PublicOnly,
        ..ClientOptions::default()
    }
}

async fn fetch(
    feed_url: &str,
    options: ClientOptions,
    how: FetchOptions<'_>,
) -> Result<Page, ClientError> {
    let client = FeedClient::new(feed_url, options)?;
    match client.fetch(&client.tail(&After::Start), how).await? {
        Fetched::Page(page) => Ok(*page),
        Fetched::NotModified => panic!("nothing was asked for by a tag"),
    }
}

#[tokio::test]
async fn i12_an_address_in_the_url_has_to_be_public_however_it_is_written() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::10.0.0.1]",
        "[2002:c0a8:101::1]",
        "[2001:0:4136:e378::1]",
        "[2001:db8::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
    ] {
        let url = format!("http://{host}:8081/feeds/lamps");
        let error = FeedClient::new(&url, public_only()).unwrap_err();
        let stands_there = matches!(
            error,
            ClientError::AddressNotAllowed {
                looked_up: false,
                ..
            }
        );
        assert!(stands_there && !error.is_transient(), "{host}: {error:?}");
        // Unless it is asked for, nothing is refused.
        FeedClient::new(&url, ClientOptions::default()).unwrap();
    }
    for host in ["8.8.8.8", "[2606:4700::1111]", "example.org"] {
        FeedClient::new(&format!("https://{host}/feeds/lamps"), public_only()).unwrap();
    }
}

#[tokio::test]
async fn i12_a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let feed = ScriptedFeed::new(1, 3);
    let server = ScriptedServer::start().await;
    server.on(START, [feed.tail(Format::Json, 1..=3)]);
    let port = server.origin().rsplit(':').next().unwrap().to_owned();
    let named = format!("http://localhost:{port}{FEED}");
    let error = fetch(&named, public_only(), FetchOptions::default()).await;
    let error = error.unwrap_err();
    let looked_up = matches!(
        &error,
        ClientError::AddressNotAllowed { looked_up: true, address, purpose: "loopback", .. } if address.is_loopback()
    );
    // It may lead elsewhere tomorrow.
    assert!(looked_up && error.is_transient(), "{error:?}");
    assert_eq!(server.targets().await, [""; 0]);
    let page = fetch(&named, ClientOptions::default(), FetchOptions::default()).await;
    assert_eq!(page.unwrap().document.events, feed.events(1..=3));
}

#[tokio::test]
async fn i12_a_proxy_is_not_asked_where_only_public_addresses_are_allowed() {
    // The environment belongs to the process, so this goes on in one of its own.
    if std::env::var_os(PROXIED).is_none() {
        let proxy = ScriptedServer::start().await;
        let test = "hostile::i12_a_proxy_is_not_asked_where_only_public_addresses_are_allowed";
        for (addresses, asked) in [("public", 0), ("any", 1)] {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again
                .args(["--exact", test])
                .env(PROXIED, addresses)
                .env("http_proxy", proxy.origin())
                .env_remove("no_proxy")
                .env_remove("NO_PROXY");
            let run = tokio::task::spawn_blocking(move || again.output().unwrap());
            let output = run.await.unwrap();
            assert!(output.status.success(), "{addresses}: {output:?}");
            assert_eq!(proxy.targets().await.len(), asked, "{addresses}");
        }
        return;
    }
    let options = match std::env::var(PROXIED).unwrap().as_str() {
        "public" => public_only(),
        _ => ClientOptions::default(),
    };
    // No name server knows it (RFC 6761, section 6.4), but a proxy may say that it does.
    let feed_url = format!("http://feed.invalid{FEED}");
    let error = fetch(&feed_url, options, FetchOptions::default()).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn i12_what_comes_byte_by_byte_is_given_up_in_time() {
    let feed = ScriptedFeed::new(1, 20);
    let batch = json::write_batch(&feed.events(1..=20));
    let head = |status: &str, media_type: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            batch.len()
        )
        .into_bytes()
    };
    let good = head("200 OK", Format::Json.media_type());
    let problem = head("500 Internal Server Error", "application/problem+json");
    let wait = FetchOptions {
        wait: Some(Duration::from_secs(1)),
        ..FetchOptions::default()
    };
    let cases = [
        // From the status line on, in the body, in the body of an error, and where the server was asked to wait.
        (Vec::new(), good.clone(), FetchOptions::default(), 500),
        (good.clone(), batch.clone(), FetchOptions::default(), 500),
        (problem, batch.clone(), FetchOptions::default(), 500),
        (good, batch.clone(), wait, 1_500),
    ];
    for (at_once, bytes, how, limit) in cases {
        assert!(bytes.len() as u64 * DRIP_MS > 2 * limit, "it would be over");
        let server = RawServer::start(vec![Answer::Drip(at_once, bytes)]).await;
        let options = ClientOptions {
            timeout: Duration::from_millis(500),
            ..ClientOptions::default()
        };
        let began = Instant::now();
        let error = fetch(&server.feed_url(), options, how).await.unwrap_err();
        let in_time = matches!(error, ClientError::Timeout { limit_ms, .. } if limit_ms == limit);
        assert!(in_time && error.is_transient(), "{error:?}");
        assert!(began.elapsed() >= Duration::from_millis(limit), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
    }
}

#[tokio::test]
async fn i12_all_redirects_share_the_time_of_one_document() {
    let server = ScriptedServer::start().await;
    let each = Duration::from_millis(300);
    server.on(START, [redirect("/hop").set_delay(each)]);
    server.on("/hop", [redirect("/hop").set_delay(each)]);
    let options = ClientOptions {
        timeout: Duration::from_millis(700),
        ..ClientOptions::default()
    };
    let error = fetch(&server.feed_url(), options, FetchOptions::default()).await;
    assert!(
        matches!(error, Err(ClientError::Timeout { limit_ms: 700, .. })),
        "{error:?}"
    );
    assert!(server.targets().await.len() <= 3);
}

#[tokio::test]
async fn i12_a_wait_that_was_not_asked_for_is_not_believed() {
    let feed = ScriptedFeed::new(1, 3);
    let server = ScriptedServer::start().await;
    let boast = feed
        .nothing_after(Format::Json, 0)
        .insert_header("preference-applied", "wait=86400");
    server.on(START, [boast]);
    let unasked = fetch(
        &server.feed_url(),
        ClientOptions::default(),
        FetchOptions::default(),
    )
    .await;
    assert_eq!(unasked.unwrap().waited, None);
    for (asked, believed) in [(7, 7), (3_600, 25)] {
        let how = FetchOptions {
            wait: Some(Duration::from_secs(asked)),
            ..FetchOptions::default()
        };
        let page = fetch(&server.feed_url(), ClientOptions::default(), how).await;
        assert_eq!(page.unwrap().waited, Some(Duration::from_secs(believed)));
    }
}

#[tokio::test]
async fn i12_data_of_any_depth_is_read_or_refused() {
    for format in FORMATS {
        let feed = ScriptedFeed::new(1, 1);
        let server = ScriptedServer::start().await;
        let answer = respond(format, feed.events(1..=1), Said::default());
        let body = super::documents::body_of(answer, format.media_type()).await;
        server.on(START, [body]);
        let shallow = fetch(
            &server.feed_url(),
            ClientOptions::default(),
            FetchOptions::default(),
        )
        .await
        .unwrap();
        assert_eq!(shallow.document.events.len(), 1);
        let text = String::from_utf8(server_body(&server).await).unwrap();
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        let deep = text.replacen("{\"lamp_id\":1}", &format!("{open}{close}"), 1);
        assert!(deep.len() > 2_000_000, "{format:?}");
        let answer = wiremock::ResponseTemplate::new(200).set_body_raw(deep, format.media_type());
        server.on(START, [answer]);
        let fetched = fetch(
            &server.feed_url(),
            ClientOptions::default(),
            FetchOptions::default(),
        )
        .await;
        match fetched {
            Ok(page) => assert_eq!(page.document.events.len(), 1),
            Err(error) => assert!(
                matches!(error, ClientError::Document { .. }) && error.to_string().len() < 2_000,
                "{error}"
            ),
        }
    }
}

/// What the server answers at the start.
async fn server_body(server: &ScriptedServer) -> Vec<u8> {
    let response = reqwest::get(format!("{}{START}", server.origin())).await;
    response.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn i12_a_zstd_body_that_wants_a_huge_window_is_refused() {
    // A frame of one empty block (RFC 8878, section 3.1.1), behind a header that asks the reader for memory.
    let frame = |header: &[u8]| [b"\x28\xb5\x2f\xfd", header, b"\x01\x00\x00"].concat();
    let window = |exponent: u8| frame(&[0x00, exponent << 3]);
    let whole = frame(&[0xe0, 0, 0, 0, 0, 0, 1, 0, 0]);
    for (body, is_read) in [(window(0), true), (window(31), false), (whole, false)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            Format::Json.media_type(),
            body.len()
        );
        let answer = Answer::Bytes([head.as_bytes(), &body].concat());
        let server = RawServer::start(vec![answer]).await;
        let error = fetch(
            &server.feed_url(),
            ClientOptions::default(),
            FetchOptions::default(),
        )
        .await
        .unwrap_err();
        // What is read is empty, and that is no document.
        let was_read = matches!(error, ClientError::Document { .. });
        assert_eq!(was_read, is_read, "{body:x?}: {error:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn the_subscription_is_told_with_every_request() {
    let feed = ScriptedFeed::new(1, 3);
    let server = ScriptedServer::start().await;
    let page = feed.sealed_path(1, Format::Json);
    server.on(START, [redirect(&page)]);
    server.on(&page, [feed.sealed(Format::Json, 1, 1..=3)]);
    let options = ClientOptions {
        subscription: Some(SubscriptionName::new("customers/orders").unwrap()),
        ..ClientOptions::default()
    };
    let how = FetchOptions::default();
    fetch(&server.feed_url(), options, how).await.unwrap();
    let requests = server.requests().await;
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(
            header(request, "feed-subscription"),
            Some("customers/orders")
        );
    }
    // And nothing where none was given.
    fetch(&server.feed_url(), ClientOptions::default(), how)
        .await
        .unwrap();
    assert_eq!(
        header(&server.requests().await[2], "feed-subscription"),
        None
    );
}
