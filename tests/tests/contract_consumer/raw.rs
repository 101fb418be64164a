//! A server below HTTP: it answers each connection with bytes that no decent server would send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a connection is answered with.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then a chunk of spaces again and again, as long as somebody reads.
    Endless(Vec<u8>),
    /// These bytes, then nothing more; the connection stays open.
    Silence(Vec<u8>),
    /// The first bytes at once, the others one by one, [`DRIP_MS`] apart; then the end of the connection.
    Drip(Vec<u8>, Vec<u8>),
}

/// Time between two bytes that drip, in milliseconds.
pub(crate) const DRIP_MS: u64 = 20;

/// The server; it stops when this is dropped.
pub(crate) struct RawServer {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Answers the connections one after another so; the last answer for ever.
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, sent) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, bytes) = (connections.clone(), sent.clone());
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let answer = answers[number.min(answers.len() - 1)].clone();
                if read_request(&mut stream).await {
                    held.extend(play(stream, answer, &bytes).await);
                }
            }
        });
        RawServer {
            address,
            connections,
            sent,
            task,
        }
    }

    pub(crate) fn feed_url(&self) -> String {
        format!("http://{}{}", self.address, super::scripted::FEED)
    }

    /// How often somebody has connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Bytes that were written in endless answers.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads up to the empty line behind the headers. Returns whether there was one.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Returns the stream when it is to stay open.
async fn play(mut stream: TcpStream, answer: Answer, sent: &AtomicUsize) -> Option<TcpStream> {
    match answer {
        Answer::Bytes(bytes) => {
            // The reader may be gone already; that is its business.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            None
        }
        Answer::Endless(bytes) => {
            let chunk = [
                b"10000\r\n".to_vec(),
                vec![b' '; 0x1_0000],
                b"\r\n".to_vec(),
            ]
            .concat();
            let _ = stream.write_all(&bytes).await;
            while stream.write_all(&chunk).await.is_ok() {
                sent.fetch_add(chunk.len(), Ordering::SeqCst);
            }
            None
        }
        Answer::Silence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            Some(stream)
        }
        Answer::Drip(at_once, bytes) => {
            let _ = stream.write_all(&at_once).await;
            for byte in bytes {
                tokio::time::sleep(std::time::Duration::from_millis(DRIP_MS)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            None
        }
    }
}
