//! Documents that are fetched and parsed before they are needed, several at a time while sealed pages follow each other.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::error::ClientError;
use super::fetch::{FeedClient, Fetched, Page};
use super::options::FetchOptions;
use crate::document::ArchiveFile;
use crate::limits::{AHEAD_BYTES_MAX, AHEAD_PAGES_MAX, AHEAD_REQUESTS_MAX, DOCUMENT_BYTES_MAX};

type Answer = Result<Fetched, ClientError>;

/// What is on its way to one reader, in the order in which it will be needed.
///
/// The first one is where the last document led to. The URLs behind it are guessed: sealed pages are numbered. What comes
/// from such a URL is used only if the document before it leads there, and what a guess says of failures is not believed,
/// since nothing may be there yet. All is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Ahead {
    coming: VecDeque<Coming>,
    /// Who may ask the server: in the order in which they are needed, and not all of them at the same time.
    asking: Arc<Semaphore>,
    /// How many may be on their way. It doubles with each sealed page that leads to another one, so that whoever follows
    /// a feed's end asks for nothing that is not there.
    pages_max: usize,
}

#[derive(Debug)]
struct Coming {
    url: Url,
    guessed: bool,
    answer: Pending,
}

#[derive(Debug)]
enum Pending {
    Fetching(AbortOnDropHandle<Answer>),
    /// It was looked at before it was needed.
    There(Answer),
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead {
            coming: VecDeque::new(),
            asking: Arc::new(Semaphore::new(AHEAD_REQUESTS_MAX)),
            pages_max: 0,
        }
    }
}

impl Ahead {
    /// Begins to fetch what `page` leads to, and what is likely to come behind that.
    pub(crate) fn begin(&mut self, client: &FeedClient, page: &Page) {
        let Some(next) = &page.next else {
            return self.clear();
        };
        let is_sealed = archive_behind(&page.url).is_some_and(|behind| behind == *next);
        if self.coming.front().is_none_or(|first| first.url != *next) {
            self.clear();
            let asked = self.ask(client, next.clone(), None);
            self.coming.push_back(asked);
        }
        if !is_sealed {
            self.coming.truncate(1);
            self.pages_max = 1;
            return;
        }
        self.pages_max = pages_max(self.pages_max, page.bytes);
        // The first one is not bounded by this: it is needed in any case.
        let bytes_max = AHEAD_BYTES_MAX / self.pages_max;
        while self.coming.len() < self.pages_max {
            let last = self
                .coming
                .back()
                .and_then(|last| archive_behind(&last.url));
            let Some(behind) = last else {
                return;
            };
            let guessed = self.ask(client, behind, Some(bytes_max));
            self.coming.push_back(guessed);
        }
    }

    /// Asks for a document on a task of its own, so that it is also parsed while others are applied. One that is guessed is of
    /// no use when it is larger than `bytes_max`; one that the last document led to is needed in any case.
    fn ask(&self, client: &FeedClient, url: Url, bytes_max: Option<usize>) -> Coming {
        let (client, asked, asking) = (client.clone(), url.clone(), self.asking.clone());
        let fetch = async move {
            // It is never closed.
            let _asking = asking.acquire_owned().await;
            let bytes_max = bytes_max.unwrap_or(DOCUMENT_BYTES_MAX);
            let options = FetchOptions::default();
            client.fetch_within(&asked, options, bytes_max).await
        };
        Coming {
            url,
            guessed: bytes_max.is_some(),
            answer: Pending::Fetching(AbortOnDropHandle::new(tokio::spawn(fetch))),
        }
    }

    /// Gives up all that is on its way.
    pub(crate) fn clear(&mut self) {
        self.coming.clear();
        self.pages_max = 0;
    }

    /// Whether the document at `url` is there already, as a document.
    pub(crate) fn has(&mut self, url: &Url) -> bool {
        let Some(first) = self.coming.front_mut().filter(|first| first.url == *url) else {
            return false;
        };
        matches!(first.look(), Some(Ok(Fetched::Page(_))))
    }

    /// What came from `url`; none when it has to be asked for.
    pub(crate) async fn take(&mut self, url: &Url) -> Option<Answer> {
        let first = self.coming.pop_front()?;
        if first.url != *url {
            self.clear();
            return None;
        }
        let guessed = first.guessed;
        let answer = first.answer().await;
        if guessed && !matches!(answer, Ok(Fetched::Page(_))) {
            self.clear();
            return None;
        }
        Some(answer)
    }
}

impl Coming {
    /// The answer, if it is there already.
    fn look(&mut self) -> Option<&Answer> {
        if let Pending::Fetching(task) = &mut self.answer
            && task.is_finished()
            && let Some(joined) = task.now_or_never()
        {
            self.answer = Pending::There(flat(&self.url, joined));
        }
        match &self.answer {
            Pending::Fetching(_) => None,
            Pending::There(answer) => Some(answer),
        }
    }

    async fn answer(self) -> Answer {
        match self.answer {
            Pending::Fetching(task) => flat(&self.url, task.await),
            Pending::There(answer) => answer,
        }
    }
}

fn flat(url: &Url, joined: Result<Answer, tokio::task::JoinError>) -> Answer {
    joined.unwrap_or_else(|error| {
        Err(ClientError::Connection {
            url: url.to_string(),
            reason: format!("fetching ahead failed: {error}"),
        })
    })
}

/// How many pages may be on their way behind a sealed one of so many bytes, when it were `before` of them.
fn pages_max(before: usize, page_bytes: usize) -> usize {
    // Each may be twice as large as the last one.
    let by_size = AHEAD_BYTES_MAX / (2 * page_bytes).max(1);
    let doubled = before.max(1) * 2;
    doubled.min(AHEAD_PAGES_MAX).min(by_size).max(1)
}

/// Where the page behind a sealed one is, if `url` is named as a sealed page.
fn archive_behind(url: &Url) -> Option<Url> {
    let file: ArchiveFile = url.path_segments()?.next_back()?.parse().ok()?;
    if url.query().is_some() {
        return None;
    }
    url.join(&file.next().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_pages_on_their_way_are_bounded_by_their_number_and_their_bytes() {
        let mut before = 0;
        for expected in [2, 4, 8, 16, 32, 32] {
            before = pages_max(before, 1_000);
            assert_eq!(before, expected);
        }
        assert_eq!(before, AHEAD_PAGES_MAX);
        assert_eq!(pages_max(before, AHEAD_BYTES_MAX / 6), 3);
        assert_eq!(pages_max(before, 2 * AHEAD_BYTES_MAX), 1);
        assert_eq!(pages_max(before, 0), AHEAD_PAGES_MAX);
    }

    #[test]
    fn the_page_behind_a_sealed_one_is_guessed() {
        let behind = |url: &str| archive_behind(&Url::parse(url).unwrap()).map(String::from);
        assert_eq!(
            behind("http://h/p/feeds/f/archive/0123456789abcdef/9.r1.json").as_deref(),
            Some("http://h/p/feeds/f/archive/0123456789abcdef/10.r1.json")
        );
        for other in [
            "http://h/feeds/f?after=start",
            "http://h/feeds/f/archive/0123456789abcdef/9.r1.json?x=1",
            "http://h/feeds/f/archive/0123456789abcdef/09.r1.json",
            "http://h/feeds/9.txt",
        ] {
            assert_eq!(behind(other), None, "{other}");
        }
    }
}
