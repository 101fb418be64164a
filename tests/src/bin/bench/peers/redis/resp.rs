//! The protocol of Redis (RESP2), as far as streams need it.

use std::net::SocketAddr;

use bytes::{Buf, Bytes};

use crate::Failure;
use crate::peers::wire::{Wire, line_end};

/// Deepest nesting of a reply.
const DEPTH_MAX: usize = 8;

/// A reply, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    /// Also a number or a word.
    Bytes(Bytes),
    Items(Vec<Reply>),
}

impl Reply {
    pub(super) fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Items(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Reply::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Appends a command to `output`.
pub(super) fn encode(parts: &[&[u8]], output: &mut Vec<u8>) {
    output.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        output.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        output.extend_from_slice(part);
        output.extend_from_slice(b"\r\n");
    }
}

/// A command.
pub(super) fn encoded(parts: &[&[u8]]) -> Vec<u8> {
    let mut output = Vec::new();
    encode(parts, &mut output);
    output
}

/// One client's connection.
pub(super) struct Connection(Wire);

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Connection(Wire::connect(address).await?))
    }

    pub(super) async fn send(&mut self, commands: &[u8]) -> Result<(), Failure> {
        self.0.output.extend_from_slice(commands);
        self.0.flush().await
    }

    pub(super) async fn command(&mut self, parts: &[&[u8]]) -> Result<Reply, Failure> {
        self.send(&encoded(parts)).await?;
        self.reply().await
    }

    /// Reads a reply and looks no further into it than to know where it ends, and that it is no error.
    pub(super) async fn skip(&mut self) -> Result<(), Failure> {
        let end = self.whole().await?;
        self.0.input.advance(end);
        Ok(())
    }

    /// The number of items in the array that begins here; they are read one by one.
    pub(super) async fn array(&mut self) -> Result<usize, Failure> {
        loop {
            if let Some(end) = line_end(&self.0.input, 0) {
                let line = self.0.take(end + 2);
                return match head(&line)? {
                    Head::Array(items) => Ok(items.unwrap_or(0)),
                    _ => Err("no array".into()),
                };
            }
            self.0.more().await?;
        }
    }

    pub(super) async fn reply(&mut self) -> Result<Reply, Failure> {
        let end = self.whole().await?;
        let whole = self.0.take(end);
        parse(&whole, &mut 0)
    }

    /// Reads until a whole reply is there, and says where it ends.
    async fn whole(&mut self) -> Result<usize, Failure> {
        loop {
            if let Some(end) = end_of(&self.0.input, 0, 0)? {
                return Ok(end);
            }
            self.0.more().await?;
        }
    }
}

/// What the first line of a reply says.
enum Head {
    Array(Option<usize>),
    Bulk(Option<usize>),
    Word,
}

fn head(line: &[u8]) -> Result<Head, Failure> {
    let text = || String::from_utf8_lossy(line).trim().to_owned();
    let number = || -> Result<i64, Failure> {
        let digits = line.get(1..).unwrap_or_default().trim_ascii();
        if let [byte @ b'0'..=b'9'] = digits {
            return Ok(i64::from(byte - b'0'));
        }
        Ok(std::str::from_utf8(digits)?.parse()?)
    };
    Ok(match line.first() {
        Some(b'*') => Head::Array(usize::try_from(number()?).ok()),
        Some(b'$') => Head::Bulk(usize::try_from(number()?).ok()),
        Some(b':' | b'+') => Head::Word,
        _ => return Err(text().into()),
    })
}

/// Where the reply ends that begins at `from`; none when not all of it is there.
fn end_of(input: &[u8], from: usize, depth: usize) -> Result<Option<usize>, Failure> {
    if depth > DEPTH_MAX {
        return Err("nested too deeply".into());
    }
    let Some(end) = line_end(input, from) else {
        return Ok(None);
    };
    let mut at = end + 2;
    match head(&input[from..end])? {
        Head::Array(Some(items)) => {
            for _ in 0..items {
                match end_of(input, at, depth + 1)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
        }
        Head::Bulk(Some(bytes)) => at += bytes + 2,
        Head::Array(None) | Head::Bulk(None) | Head::Word => {}
    }
    Ok((at <= input.len()).then_some(at))
}

/// The reply that begins at `at`, which all is there.
fn parse(whole: &Bytes, at: &mut usize) -> Result<Reply, Failure> {
    let end = line_end(whole, *at).ok_or("a line without end")?;
    let head = head(&whole[*at..end])?;
    let line = whole.slice(*at + 1..end);
    *at = end + 2;
    Ok(match head {
        Head::Array(Some(items)) => {
            let items = (0..items)
                .map(|_| parse(whole, at))
                .collect::<Result<_, _>>()?;
            Reply::Items(items)
        }
        Head::Bulk(Some(bytes)) => {
            let from = *at;
            *at += bytes + 2;
            Reply::Bytes(whole.slice(from..from + bytes))
        }
        Head::Array(None) | Head::Bulk(None) => Reply::Nothing,
        Head::Word => Reply::Bytes(line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_when_all_of_them_is_there() {
        let text = b"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nd\r\n$5\r\na\r\nbc\r\n";
        for end in 0..text.len() {
            assert_eq!(end_of(&text[..end], 0, 0).unwrap(), None, "{end}");
        }
        assert_eq!(end_of(text, 0, 0).unwrap(), Some(text.len()));
        let reply = parse(&Bytes::from_static(text), &mut 0).unwrap();
        let fields = reply.items().unwrap()[1].items().unwrap();
        assert_eq!(fields[1].bytes().unwrap(), &b"a\r\nbc"[..]);
    }

    #[test]
    fn nothing_and_errors_are_told_apart() {
        assert_eq!(
            parse(&Bytes::from_static(b"*-1\r\n"), &mut 0).unwrap(),
            Reply::Nothing
        );
        assert_eq!(
            parse(&Bytes::from_static(b":12\r\n"), &mut 0).unwrap(),
            Reply::Bytes(Bytes::from_static(b"12"))
        );
        assert!(end_of(b"-ERR no\r\n", 0, 0).is_err());
        assert!(end_of("*1\r\n".repeat(20).as_bytes(), 0, 0).is_err());
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(encoded(&[b"GET", b"a"]), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }
}
