//! The event stream (HTML Standard, "Server-sent events"), read block by block within a time.

use std::time::{Duration, Instant};

use feed_core::limits::DOCUMENT_BYTES_MAX;
use reqwest::{Method, Response};
use tokio::time::timeout_at;
use url::Url;

use super::ask::{Headers, error_chain, line};
use super::kit::Kit;
use super::reply::Reply;
use super::rule::Fault;

/// Longest time that one stream is kept open, in milliseconds.
const STREAM_MS_MAX: u64 = 60_000;

/// What stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) id: Option<String>,
    /// The lines of the data, joined by LF; none when the block has no data.
    pub(super) data: Option<String>,
    pub(super) retry: Option<String>,
    /// Whether it holds nothing but comments.
    pub(super) is_comment: bool,
}

/// A stream that is being read.
pub(super) struct Stream {
    /// The answer before the stream, without a body.
    pub(super) reply: Reply,
    response: Response,
    lines: Lines,
}

impl Kit {
    /// Asks for the event stream. Without 200 the answer is read whole instead.
    ///
    /// # Errors
    /// The answer, when it is no stream; or a fault, when there is none.
    pub(super) async fn stream(&self, url: &Url, headers: Headers<'_>) -> Result<Stream, Fault> {
        let all = [&[("accept", "text/event-stream")], headers].concat();
        let line = line(&Method::GET, url, &all);
        self.go_on(&line)?;
        let begun = Instant::now();
        let within = Duration::from_millis(STREAM_MS_MAX);
        let asked = self.begin(Method::GET, url, &all, within);
        let response = match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return self.unanswered(&line, error_chain(&error)),
            Err(_) => return self.unanswered(&line, "the stream did not begin"),
        };
        let reply = Reply {
            request: line,
            url: url.clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
            took: begun.elapsed(),
        };
        reply.expect(200)?.expect_media_type("text/event-stream")?;
        Ok(Stream {
            reply,
            response,
            lines: Lines::default(),
        })
    }
}

impl Stream {
    /// The next block; none when nothing came within this time.
    ///
    /// # Errors
    /// When the stream ends or breaks.
    pub(super) async fn next(
        &mut self,
        kit: &Kit,
        within: Duration,
    ) -> Result<Option<Block>, Fault> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(block) = self.lines.block() {
                return Ok(Some(block));
            }
            let chunk = match timeout_at(deadline, self.response.chunk()).await {
                Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(self.reply.fault(error_chain(&error))),
                Ok(Ok(None)) => return Err(self.reply.fault("the stream ended")),
                Ok(Ok(Some(chunk))) => chunk,
            };
            kit.count(chunk.len())
                .map_err(|reason| self.reply.fault(reason))?;
            self.lines.push(&chunk);
            if self.lines.bytes.len() > DOCUMENT_BYTES_MAX {
                return Err(self.reply.fault("a block of the stream has no end"));
            }
        }
    }

    /// The next block with data, over those without.
    ///
    /// # Errors
    /// When the stream ends or breaks, or none comes within this time.
    pub(super) async fn next_event(&mut self, kit: &Kit, within: Duration) -> Result<Block, Fault> {
        let begun = Instant::now();
        while let Some(left) = within.checked_sub(begun.elapsed()) {
            match self.next(kit, left).await? {
                Some(block) if block.data.is_some() => return Ok(block),
                Some(_) => {}
                None => break,
            }
        }
        Err(self.reply.fault(format_args!(
            "no event came within {} s",
            within.as_secs_f32()
        )))
    }
}

/// Bytes into lines into blocks.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Up to here there is no end of a block.
    scanned: usize,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// The first whole block, taken away.
    fn block(&mut self) -> Option<Block> {
        let mut block = Block {
            is_comment: true,
            ..Block::default()
        };
        let mut at = 0;
        // Only looked at again when an end may have come since.
        if !self.bytes[self.scanned..]
            .iter()
            .any(|byte| matches!(byte, b'\n' | b'\r'))
        {
            return None;
        }
        while let Some((line, next)) = line_at(&self.bytes, at) {
            at = next;
            if line.is_empty() {
                self.bytes.drain(..at);
                self.scanned = 0;
                return Some(block);
            }
            block.take(&String::from_utf8_lossy(line));
        }
        self.scanned = self.bytes.len().saturating_sub(1);
        None
    }
}

/// The line that begins at `at`, which ends with CR LF, LF or CR, and where the next one begins.
fn line_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let length = match (rest[end], rest.get(end + 1)) {
        (b'\r', Some(b'\n')) => 2,
        // Whether an LF belongs to it is not known yet.
        (b'\r', None) => return None,
        _ => 1,
    };
    Some((&rest[..end], at + end + length))
}

impl Block {
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        self.is_comment &= field.is_empty();
        match field {
            "id" => self.id = Some(value.to_owned()),
            "retry" => self.retry = Some(value.to_owned()),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(chunks: &[&[u8]]) -> Vec<Block> {
        let mut lines = Lines::default();
        let mut blocks = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            while let Some(block) = lines.block() {
                blocks.push(block);
            }
        }
        blocks
    }

    #[test]
    fn blocks_end_with_an_empty_line_however_lines_end() {
        let text = "retry: 1000\n\n: hello\n\nid: 7\r\ndata: {\r\ndata:  1}\r\n\r\nid: 8\rdata\r\rdata: cut";
        let found = blocks(&[text.as_bytes()]);
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].retry.as_deref(), Some("1000"));
        assert!(found[1].is_comment);
        assert_eq!(found[2].id.as_deref(), Some("7"));
        assert_eq!(found[2].data.as_deref(), Some("{\n 1}"));
        assert_eq!(found[3].data.as_deref(), Some(""));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(text in "[ida:t \n\r]{0,60}", cut in 0..60usize) {
            // The last CR waits for its LF, so there is always something behind it.
            let text = format!("{text}x");
            let cut = cut.min(text.len());
            let (first, second) = text.as_bytes().split_at(cut);
            prop_assert_eq!(blocks(&[first, second]), blocks(&[text.as_bytes()]));
        }
    }
}
