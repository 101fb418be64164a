//! Any sequence of appends, reads, restarts and answers from caches: no reader ever skips (I3), and what was named once
//! stays what it was (I4).

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use feed_core::server::router;
use feed_core::testing::TempStore;
use feed_core::{Check, Cursor, Event, Format, Migrations, Store, atom, json};
use http::{HeaderMap, Request};
use proptest::prelude::*;
use tower::ServiceExt;
use url::Url;

use super::lamps::{LAMPS, append, config};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Restart,
    /// Reads the head document.
    Head(Read),
    /// Goes on from one of the cursors that were ever seen.
    Tail(Read, prop::sample::Index),
    /// Reads on by `next` from where the reader stands.
    Next(Read),
}

/// How a document is read.
#[derive(Debug, Clone, Copy)]
struct Read {
    json: bool,
    /// Through a cache, which keeps what it may and asks whether the rest has changed.
    cached: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = || (any::<bool>(), any::<bool>()).prop_map(|(json, cached)| Read { json, cached });
    let step = prop_oneof![
        3 => (1..6u64).prop_map(Step::Append),
        1 => Just(Step::Restart),
        2 => read().prop_map(Step::Head),
        3 => (read(), any::<prop::sample::Index>()).prop_map(|(read, index)| Step::Tail(read, index)),
        6 => read().prop_map(Step::Next),
    ];
    proptest::collection::vec(step, 1..40)
}

#[derive(Clone)]
struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn next(&self, base: &Url) -> Option<Url> {
        let link = self
            .header("link")
            .split(", ")
            .find(|link| link.contains("rel=\"next\""))?;
        let target = link.split(['<', '>']).nth(1)?;
        Some(base.join(target).unwrap())
    }
}

/// What is known of the feed, and a reader that goes over it from the start.
struct World {
    dir: TempStore,
    store: Store,
    app: Router,
    /// What each position was when it was seen first.
    known: BTreeMap<u64, Event>,
    cursors: Vec<Cursor>,
    /// The bytes of sealed pages, by URL.
    sealed: BTreeMap<String, Vec<u8>>,
    /// What a shared cache has, by URL and representation.
    cache: BTreeMap<(String, bool), Answer>,
    /// Where the reader goes on, and the last position that it has seen.
    next: Url,
    seen: u64,
}

impl World {
    async fn new() -> Self {
        let dir = TempStore::new(Migrations::NONE).await;
        dir.create_feed(config(3)).await.unwrap();
        let store = Store::clone(&dir);
        World {
            app: router(&store, [LAMPS]).unwrap(),
            store,
            dir,
            known: BTreeMap::new(),
            cursors: Vec::new(),
            sealed: BTreeMap::new(),
            cache: BTreeMap::new(),
            next: Url::parse("http://h/feeds/lamps?after=start").unwrap(),
            seen: 0,
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => append(&self.store, count).await,
            Step::Restart => {
                self.store.close().await;
                let path = self.dir.path().to_string_lossy().into_owned();
                self.store = Store::open(&path, Migrations::NONE).await.unwrap();
                self.app = router(&self.store, [LAMPS]).unwrap();
            }
            Step::Head(read) => {
                let url = Url::parse("http://h/feeds/lamps").unwrap();
                let (_, answer) = self.get(url, read).await;
                let mut events = self.events(&answer);
                events.reverse();
                self.learn(&events, None);
            }
            Step::Tail(read, index) => {
                if self.cursors.is_empty() {
                    return;
                }
                let cursor = *index.get(&self.cursors);
                let url = Url::parse(&format!("http://h/feeds/lamps?after={cursor}")).unwrap();
                let (_, answer) = self.get(url, read).await;
                let events = self.events(&answer);
                self.learn(&events, Some(cursor));
            }
            Step::Next(read) => {
                let (url, answer) = self.get(self.next.clone(), read).await;
                for event in self.events(&answer) {
                    let position = event.position.get();
                    if position > self.seen {
                        assert_eq!(position, self.seen + 1, "I3: nothing is skipped");
                        self.seen = position;
                        self.learn(&[event], None);
                    }
                }
                self.next = answer.next(&url).expect("next is always there");
            }
        }
    }

    /// Every event is what it was when it was seen first, and they follow on from each other and from `after`.
    fn learn(&mut self, events: &[Event], after: Option<Cursor>) {
        let mut last = after;
        for event in events {
            let position = event.position.get();
            if let Some(last) = last {
                assert_eq!(position, last.position.get() + 1, "I3: no hole");
                assert_eq!(event.check, last.check.next(event.id));
            } else if position == 1 {
                assert_eq!(event.check, Check::START.next(event.id));
            }
            last = Some(event.cursor());
            let known = self.known.entry(position).or_insert_with(|| event.clone());
            assert_eq!(known, event, "I4: a position names the same event for ever");
            if !self.cursors.contains(&event.cursor()) {
                self.cursors.push(event.cursor());
            }
        }
    }

    fn events(&self, answer: &Answer) -> Vec<Event> {
        match answer.header("content-type") {
            found if found == Format::Atom.media_type() => {
                atom::read_feed(&answer.body).unwrap().events
            }
            _ => json::read_batch(&answer.body).unwrap(),
        }
    }

    /// The document at `url`, over redirects, and where it was.
    async fn get(&mut self, mut url: Url, read: Read) -> (Url, Answer) {
        for _ in 0..5 {
            let key = (url.to_string(), read.json);
            let kept = self.cache.get(&key).filter(|_| read.cached).cloned();
            if let Some(kept) = &kept
                && kept.header("cache-control").contains("immutable")
            {
                return (url, kept.clone());
            }
            let tag = kept.as_ref().map(|kept| kept.header("etag").to_owned());
            let (status, answer) = self.ask(&url, read.json, tag.as_deref()).await;
            match (status, kept) {
                (304, Some(kept)) => {
                    // What the server calls unchanged has to be: asked without the tag, it says the same.
                    let (_, fresh) = self.ask(&url, read.json, None).await;
                    assert_eq!(fresh.body, kept.body, "I4: a tag names the same bytes");
                    return (url, kept);
                }
                (307, _) => url = url.join(answer.header("location")).unwrap(),
                (200, _) => {
                    if answer.header("cache-control").contains("immutable") {
                        let first = self
                            .sealed
                            .entry(url.to_string())
                            .or_insert_with(|| answer.body.clone());
                        assert_eq!(*first, answer.body, "I4: sealed bytes stay");
                    }
                    self.cache.insert(key, answer.clone());
                    return (url, answer);
                }
                other => panic!("{url}: {}", other.0),
            }
        }
        panic!("{url}: too many redirects");
    }

    async fn ask(&self, url: &Url, json: bool, tag: Option<&str>) -> (u16, Answer) {
        let format = if json { Format::Json } else { Format::Atom };
        let mut request = Request::get(url.as_str()).header("accept", format.media_type());
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        let response = self
            .app
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 24).await.unwrap().to_vec();
        (
            parts.status.as_u16(),
            Answer {
                headers: parts.headers,
                body,
            },
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn i03_i04_hold_for_any_sequence_of_appends_reads_restarts_and_cache_hits(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.step(step).await;
            }
            world.store.close().await;
        });
    }
}
