//! The protocol of NATS, as far as JetStream needs it.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;

use crate::Failure;
use crate::peers::wire::{Wire, line_end};

const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"rust","version":"0","protocol":1}"#;

/// What came for one of our subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Whom to answer.
    pub(super) reply: Option<Bytes>,
    /// Set when the server says something about the messages instead of being one.
    pub(super) status: Option<u16>,
    pub(super) payload: Bytes,
}

/// One client's connection, with an inbox.
pub(super) struct Connection {
    wire: Wire,
    inbox: String,
    sent: u64,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let mut connection = Connection {
            wire: Wire::connect(address).await?,
            inbox: format!("_INBOX.{}", uuid::Uuid::new_v4().simple()),
            sent: 0,
        };
        let hello = format!("{CONNECT}\r\nSUB {}.* 1\r\nPING\r\n", connection.inbox);
        connection.wire.output.extend_from_slice(hello.as_bytes());
        connection.flush().await?;
        while !matches!(connection.line().await?.as_ref(), b"PONG") {}
        Ok(connection)
    }

    /// Receives what is sent to this subject as well. The server pushes to nobody who only has an inbox.
    pub(super) async fn subscribe(&mut self, subject: &str) -> Result<(), Failure> {
        let line = format!("SUB {subject} 2\r\n");
        self.wire.output.extend_from_slice(line.as_bytes());
        self.flush().await
    }

    pub(super) fn inbox(&self) -> &str {
        &self.inbox
    }

    /// Puts a message into the output; `answered` when an answer is to come to the inbox.
    pub(super) fn publish(
        &mut self,
        subject: &str,
        answered: bool,
        headers: Option<&str>,
        payload: &[u8],
    ) {
        self.sent += 1;
        let reply = if answered {
            format!(" {}.{}", self.inbox, self.sent)
        } else {
            String::new()
        };
        let output = &mut self.wire.output;
        match headers {
            None => {
                let line = format!("PUB {subject}{reply} {}\r\n", payload.len());
                output.extend_from_slice(line.as_bytes());
            }
            Some(headers) => {
                let (head, total) = (headers.len(), headers.len() + payload.len());
                let line = format!("HPUB {subject}{reply} {head} {total}\r\n{headers}");
                output.extend_from_slice(line.as_bytes());
            }
        }
        output.extend_from_slice(payload);
        output.extend_from_slice(b"\r\n");
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        self.wire.flush().await
    }

    /// Asks JetStream, and fails when it refuses.
    pub(super) async fn api(&mut self, subject: &str, question: &Value) -> Result<(), Failure> {
        let question = question.to_string();
        self.publish(
            &format!("$JS.API.{subject}"),
            true,
            None,
            question.as_bytes(),
        );
        self.flush().await?;
        self.acknowledgement()
            .await
            .map_err(|error| format!("{subject}: {error}").into())
    }

    /// The next message, when it acknowledges something.
    pub(super) async fn acknowledgement(&mut self) -> Result<(), Failure> {
        let message = self.next().await?;
        let said = String::from_utf8_lossy(&message.payload);
        if message.status.is_some() || said.contains("\"error\"") {
            return Err(format!("{:?} {said}", message.status).into());
        }
        Ok(())
    }

    /// Answers a message that asks whether we are still following; others that are about the messages need nothing.
    pub(super) async fn flow(&mut self, message: &Message) -> Result<(), Failure> {
        if let Some(reply) = &message.reply {
            let reply = String::from_utf8_lossy(reply).into_owned();
            self.publish(&reply, false, None, b"");
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let line = self.line().await?;
            let Some(lengths) = Lengths::of(&line)? else {
                match line.as_ref() {
                    b"PING" => {
                        self.wire.output.extend_from_slice(b"PONG\r\n");
                        self.flush().await?;
                    }
                    other if other.starts_with(b"-ERR") => {
                        return Err(String::from_utf8_lossy(other).into());
                    }
                    _ => {}
                }
                continue;
            };
            while self.wire.input.len() < lengths.total + 2 {
                self.wire.more().await?;
            }
            let headers = self.wire.take(lengths.headers);
            let payload = self.wire.take(lengths.total - lengths.headers);
            let _ = self.wire.take(2);
            let reply = lengths.reply.map(|(from, to)| line.slice(from..to));
            return Ok(Message {
                reply,
                status: status(&headers),
                payload,
            });
        }
    }

    async fn line(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(end) = line_end(&self.wire.input, 0) {
                let line = self.wire.take(end + 2);
                return Ok(line.slice(..end));
            }
            self.wire.more().await?;
        }
    }
}

/// What the first line of a message says.
#[derive(Debug, PartialEq, Eq)]
struct Lengths {
    reply: Option<(usize, usize)>,
    headers: usize,
    /// With the headers.
    total: usize,
}

impl Lengths {
    /// None when the line begins no message: `MSG subject sid [reply] total`, `HMSG subject sid [reply] headers total`.
    fn of(line: &[u8]) -> Result<Option<Self>, Failure> {
        let with_headers = line.starts_with(b"HMSG ");
        if !with_headers && !line.starts_with(b"MSG ") {
            return Ok(None);
        }
        let text = std::str::from_utf8(line)?;
        let words: Vec<&str> = text.split(' ').collect();
        let numbers = if with_headers { 2 } else { 1 };
        let has_reply = words.len() == 4 + numbers;
        if !has_reply && words.len() != 3 + numbers {
            return Err(format!("{text:?} is no message").into());
        }
        let reply = has_reply.then(|| {
            let from: usize = words[..3].iter().map(|word| word.len() + 1).sum();
            (from, from + words[3].len())
        });
        let number = |back: usize| words[words.len() - back].parse::<usize>();
        let (headers, total) = (if with_headers { number(2)? } else { 0 }, number(1)?);
        if headers > total {
            return Err(format!("{text:?} is no message").into());
        }
        Ok(Some(Lengths {
            reply,
            headers,
            total,
        }))
    }
}

/// The status in the first line of headers: `NATS/1.0 404 No Messages`.
fn status(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(b"NATS/1.0 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_messages_are_read() {
        let of = |line: &str| Lengths::of(line.as_bytes()).unwrap();
        assert_eq!(of("PING"), None);
        let plain = of("MSG a.b 1 12").unwrap();
        assert_eq!((plain.reply, plain.headers, plain.total), (None, 0, 12));
        let line = "HMSG a.b 1 in.7 10 12";
        let full = of(line).unwrap();
        let (from, to) = full.reply.unwrap();
        assert_eq!(
            (&line[from..to], full.headers, full.total),
            ("in.7", 10, 12)
        );
        assert!(Lengths::of(b"HMSG a 1 9 8").is_err());
        assert!(Lengths::of(b"MSG a").is_err());
    }

    #[test]
    fn a_status_is_told_from_headers() {
        assert_eq!(status(b"NATS/1.0 404 No Messages\r\n\r\n"), Some(404));
        assert_eq!(status(b"NATS/1.0\r\nNats-Stream: s\r\n\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
