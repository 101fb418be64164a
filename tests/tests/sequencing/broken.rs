//! The sequencer's connection ends at every place there is: between any two messages of the server.

use std::net::SocketAddr;

use feed_core::Store;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::scene::{Appender, Reader, Scene, numbers};

/// Where a connection ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Behind so many messages of the server, over all connections.
    Messages(usize),
    /// Behind the first answer to a commit.
    Commit,
}

/// Hands on what the server says until the end, and lets nobody in then. Messages have a type and a length
/// (postgresql.org/docs/current/protocol-message-formats.html); the server sends nothing else without TLS.
async fn proxy(server: String, end: End) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut handed_on = 0;
        let mut ended = matches!(end, End::Messages(0));
        while !ended {
            let Ok((client, _)) = listener.accept().await else {
                return;
            };
            let Ok(upstream) = TcpStream::connect(&server).await else {
                return;
            };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = upstream.into_split();
            let up = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
            });
            while !ended {
                let Ok(message) = message(&mut from_server).await else {
                    break;
                };
                // In one piece: small ones behind each other are held back by the network.
                if to_client.write_all(&message).await.is_err() {
                    break;
                }
                handed_on += 1;
                ended = match end {
                    End::Messages(limit) => handed_on == limit,
                    End::Commit => message.ends_with(b"COMMIT\0"),
                };
            }
            up.abort();
        }
    });
    address
}

async fn message(server: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    server.read_exact(&mut message).await?;
    // The length counts itself, and not the type.
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
    message.resize(length as usize + 1, 0);
    server.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// The database's URL by way of the proxy.
fn through(url: &str, address: SocketAddr) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    (
        format!("{scheme}://{user}@{address}/{path}?sslmode=disable"),
        server.to_owned(),
    )
}

fn server_of(url: &str) -> String {
    through(url, ([127, 0, 0, 1], 0).into()).1
}

/// Runs a sequencer over connections that end there. Returns whether it got through.
async fn sequence_through(scene: &Scene, end: End) -> bool {
    let url = scene.database.url();
    let address = proxy(server_of(url), end).await;
    let Ok(store) = Store::open_existing(&through(url, address).0).await else {
        return false;
    };
    store.sequenced().await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i03_a_sequencer_that_dies_anywhere_skips_and_doubles_nothing() {
    let Some(scene) = Scene::new().await else {
        return;
    };
    let mut stays_open = Appender::new(&scene).await;
    stays_open.begin().await;
    stays_open.append("open", 0).await;
    let mut appender = Appender::new(&scene).await;
    let (mut messages, mut given, mut cut) = (usize::from(rand::random::<bool>()), 0, 0);
    let mut reader = Reader::new();
    loop {
        appender.begin().await;
        for _ in 0..3 {
            given += 1;
            appender.append(&format!("lamp-{}", given % 2), given).await;
        }
        appender.end(true).await;
        let got_through = sequence_through(&scene, End::Messages(messages)).await;
        cut += usize::from(!got_through);
        // What it has committed before it died is final: the reader has verified it, and goes on from there.
        let mut read = numbers(&reader.go_on(&scene).await);
        scene.store.sequenced().await.unwrap();
        read.extend(numbers(&reader.go_on(&scene).await));
        let wanted: Vec<u32> = (given - 2..=given).collect();
        assert_eq!(read, wanted, "after {messages} messages");
        if got_through {
            break;
        }
        // Every second place, to be done in time; which half differs from run to run.
        messages += 2;
        assert!(messages < 1_000, "it never gets through");
    }
    assert!(cut > 25, "it was cut {cut} times only");
    stays_open.end(true).await;
    scene.store.sequenced().await.unwrap();
    assert_eq!(numbers(&scene.read().await).last(), Some(&0));
}

/// Lets a sequencer run one batch and no further.
pub(crate) async fn one_batch(scene: &Scene) {
    assert!(!sequence_through(scene, End::Commit).await);
}
