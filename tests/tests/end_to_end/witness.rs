//! A witness of what the feeds have shown: it must stay true, whatever crashes.

use std::collections::HashMap;

use feed_core::client::{ClientOptions, FeedClient, FetchOptions, Fetched, Seen, verify};
use feed_core::{After, Cursor, Event, EventId, Format};

use crate::databases::{number, rows};

/// Follows one feed from its start, and remembers the bytes of every sealed page that it saw.
pub(crate) struct Witness {
    http: reqwest::Client,
    client: FeedClient,
    feed_url: String,
    seen: Seen,
    pub(crate) ids: Vec<EventId>,
    sealed: HashMap<String, Vec<u8>>,
}

impl Witness {
    pub(crate) fn new(base_url: &str, feed: &str) -> Witness {
        let feed_url = format!("{base_url}/feeds/{feed}");
        Witness {
            http: reqwest::Client::new(),
            client: FeedClient::new(&feed_url, ClientOptions::default()).unwrap(),
            feed_url,
            seen: Seen::Nothing,
            ids: Vec::new(),
            sealed: HashMap::new(),
        }
    }

    /// Reads on to the head. What was seen before must still be followed on from; a service that is down is no breach.
    pub(crate) async fn look(&mut self) {
        loop {
            let after = match self.seen {
                Seen::Nothing => After::Start,
                Seen::Cursor(cursor) => After::Cursor(cursor),
            };
            let fetched = match self
                .client
                .fetch(&self.client.tail(&after), FetchOptions::default())
                .await
            {
                Ok(fetched) => fetched,
                Err(error) if error.is_transient() => return,
                Err(error) => {
                    panic!("i02, i04: the feed does not know its own cursor any more: {error}")
                }
            };
            let Fetched::Page(page) = fetched else {
                panic!("304 without a tag")
            };
            let caught_up = page.document.caught_up == Some(true);
            let fresh =
                verify(self.seen, page.document.events).expect("i03: what follows on was changed");
            self.ids.extend(fresh.iter().map(|event| event.id));
            self.seen = fresh
                .last()
                .map(Event::cursor)
                .map_or(self.seen, Seen::Cursor);
            if caught_up {
                break;
            }
        }
        self.look_at_sealed_pages().await;
    }

    /// Walks back from the newest sealed page until one is known, and compares that and the first with what they were.
    async fn look_at_sealed_pages(&mut self) {
        for format in [Format::Atom, Format::Json] {
            let Ok(head) = self.get(&self.feed_url.clone(), format).await else {
                return;
            };
            let mut previous = prev_archive(&head);
            let mut base = head.url().clone();
            while let Some(link) = previous {
                base = base.join(&link).unwrap();
                let Ok(page) = self.get(base.as_str(), format).await else {
                    return;
                };
                previous = prev_archive(&page);
                let Ok(bytes) = page.bytes().await else {
                    return;
                };
                let known = self.sealed.insert(base.to_string(), bytes.to_vec());
                if let Some(known) = known {
                    assert!(known == bytes, "i04: the bytes of {base} changed");
                    break;
                }
            }
        }
    }

    /// At the end: every page that was ever seen is the same now.
    pub(crate) async fn compare_all(&mut self) -> usize {
        self.look().await;
        for (url, known) in &self.sealed {
            let now = self
                .http
                .get(url)
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            assert!(*known == now, "i04: the bytes of {url} changed");
        }
        self.sealed.len()
    }

    async fn get(&self, url: &str, format: Format) -> reqwest::Result<reqwest::Response> {
        self.http
            .get(url)
            .header("Accept", format.media_type())
            .send()
            .await?
            .error_for_status()
    }
}

fn prev_archive(response: &reqwest::Response) -> Option<String> {
    let links = response.headers().get("link")?.to_str().ok()?;
    let link = links
        .split(", ")
        .find(|link| link.ends_with("rel=\"prev-archive\""))?;
    Some(link.split_once('>')?.0.trim_start_matches('<').to_owned())
}

/// i07, i08: the subscription stands at the head of what it follows, and has counted each event once.
pub(crate) async fn assert_applied_once(database: &str, subscription: &str, followed: usize) {
    let sql = "SELECT cursor, events, state FROM subscriptions ORDER BY name";
    let found: Vec<(String, i64, String)> = rows(database, sql).await;
    let [(cursor, events, state)] = &found[..] else {
        panic!("{subscription} alone is there, not {found:?}");
    };
    let cursor: Cursor = cursor.parse().unwrap();
    let followed = followed as i64;
    assert_eq!(
        (cursor.position.get() as i64, *events),
        (followed, followed)
    );
    // It waits where the other service has stopped meanwhile.
    assert_ne!(state, "halted");
}

/// i01: what was settled has no timer any more, and none is left over or has failed.
pub(crate) async fn assert_no_timers(database: &str) {
    assert_eq!(number(database, "SELECT count(*) FROM timers").await, 0);
}
