//! Many connections on each of which one long poll waits.

use std::any::Any;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::Failure;

/// Opens them and sends the question; they wait until what is returned is dropped.
pub(crate) async fn open(
    address: SocketAddr,
    target: &str,
    readers: usize,
) -> Result<Box<dyn Any>, Failure> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nAccept: application/cloudevents-batch+json, application/json\r\n\r\n"
    );
    let mut waiting = Vec::with_capacity(readers);
    for _ in 0..readers {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        waiting.push(stream);
    }
    Ok(Box::new(waiting))
}
