//! A connection of which lines and pieces are read; what the clients of Redis and NATS are made of. They do as little as
//! can be done, so that their servers are not measured by slow clients.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// Bytes that are asked for at once.
const READ_BYTES: usize = 256 << 10;

/// A connection with what was read from it and not taken yet, and what is to be sent.
pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) input: BytesMut,
    pub(crate) output: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream,
            input: BytesMut::new(),
            output: Vec::new(),
        })
    }

    /// Sends what is in `output`.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// Reads what has come, at least a byte.
    pub(crate) async fn more(&mut self) -> Result<(), Failure> {
        self.input.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(())
    }

    /// Takes that many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Bytes {
        self.input.split_to(bytes).freeze()
    }
}

/// Where the line ends that begins at `from`: the index of its `\r`.
pub(crate) fn line_end(input: &[u8], from: usize) -> Option<usize> {
    let rest = input.get(from..)?;
    let at = rest.iter().position(|&byte| byte == b'\n')?;
    at.checked_sub(1).map(|at| from + at)
}
