//! A line that is cut and healed.

use std::time::Duration;

use feedway_tests::postgres::{Cut, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::WAIT_MAX;

/// For how long nothing is to come.
const SILENCE: Duration = Duration::from_millis(200);

/// A server that sends back what it receives, and a line to it.
async fn echo() -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = Link::start(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                // It ends as the other side does.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    link
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<u8> {
    let answer = timeout(WAIT_MAX, stream.read_u8()).await;
    answer.expect("an answer or an end")
}

#[tokio::test]
async fn what_was_on_its_way_arrives_when_a_silent_line_is_healed() {
    let link = echo().await;
    let mut stream = TcpStream::connect(link.address()).await.unwrap();
    stream.write_u8(1).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap(), 1);

    link.cut(Cut::Silent);
    stream.write_u8(2).await.unwrap();
    let mut late = TcpStream::connect(link.address()).await.unwrap();
    late.write_u8(3).await.unwrap();
    timeout(SILENCE, stream.read_u8()).await.unwrap_err();
    timeout(SILENCE, late.read_u8()).await.unwrap_err();

    link.heal();
    assert_eq!(answer(&mut stream).await.unwrap(), 2);
    assert_eq!(answer(&mut late).await.unwrap(), 3);
    stream.shutdown().await.unwrap();
    answer(&mut stream).await.unwrap_err();
}

#[tokio::test]
async fn a_closed_line_breaks_what_was_open_and_takes_new_connections_when_healed() {
    let link = echo().await;
    let mut stream = TcpStream::connect(link.address()).await.unwrap();
    stream.write_u8(1).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap(), 1);

    // However short the cut is.
    link.cut(Cut::Closed);
    link.heal();
    answer(&mut stream).await.unwrap_err();

    link.cut(Cut::Closed);
    let mut stream = TcpStream::connect(link.address()).await.unwrap();
    answer(&mut stream).await.unwrap_err();

    link.heal();
    let mut stream = TcpStream::connect(link.address()).await.unwrap();
    stream.write_u8(2).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap(), 2);
    drop(link);
    answer(&mut stream).await.unwrap_err();
}
