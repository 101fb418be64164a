//! A line between two that can be cut: a TCP proxy that knows nothing of what passes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::failure::{Context, Failure};

/// Bytes that are handed on at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A line to a server. It belongs to the runtime that it was started in, and ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
    task: JoinHandle<()>,
}

/// How a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Connections break, and new ones too: each side learns of it.
    Closed,
    /// Nothing passes and nobody is told, as when a cable is pulled. What was on its way arrives when the line is healed.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    cut: Option<Cut>,
    /// How often connections were broken: who was opened at another number is broken, even if all is well again.
    broken: u64,
}

impl Link {
    /// A line to `server` on a free port of this machine. The server need not listen yet.
    ///
    /// # Errors
    /// When the system has no port.
    pub async fn start(server: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("listening for a link")?;
        let address = listener.local_addr().context("listening for a link")?;
        let line = Line {
            cut: None,
            broken: 0,
        };
        let line = Arc::new(watch::Sender::new(line));
        let task = tokio::spawn(accept(listener, server, line.subscribe()));
        Ok(Link {
            address,
            line,
            task,
        })
    }

    /// Where it is connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it until it is healed.
    pub fn cut(&self, cut: Cut) {
        self.line.send_modify(|line| {
            line.cut = Some(cut);
            line.broken += u64::from(cut == Cut::Closed);
        });
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.line.send_modify(|line| line.cut = None);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its connections are in the task's set, and end with it.
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(serve(client, server, line.clone()));
                }
                // Out of files: those that have ended give some back.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Hands on what comes, until one side or the line breaks. Both sides are closed then: that is all they are told.
async fn serve(client: TcpStream, server: SocketAddr, line: watch::Receiver<Line>) {
    let opened = *line.borrow();
    if opened.cut == Some(Cut::Closed) {
        return;
    }
    let mut breaking = line.clone();
    let passing = async {
        whole(&mut line.clone()).await;
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        // Small packets are not to wait for larger ones: nobody has asked for that.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            pass(from_client, to_server, line.clone()),
            pass(from_server, to_client, line.clone()),
        );
    };
    tokio::select! {
        () = passing => {}
        _ = breaking.wait_for(|now| now.broken != opened.broken) => {}
    }
}

/// One direction. The end of what one side sends is handed on like everything else.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await.unwrap_or(0);
        whole(&mut line).await;
        if read == 0 || to.write_all(&chunk[..read]).await.is_err() {
            // It may be closed already.
            let _ = to.shutdown().await;
            return;
        }
    }
}

/// Waits until the line is not cut.
async fn whole(line: &mut watch::Receiver<Line>) {
    if line.wait_for(|now| now.cut.is_none()).await.is_err() {
        // The link is gone, and this task about to be.
        std::future::pending::<()>().await;
    }
}
