//! A cache in the reader, after RFC 9111.

use std::ffi::OsString;

use http::{HeaderName, HeaderValue, header};

use super::between::{Between, Copy};
use super::feeds::Feeds;
use super::tools::{self, Said};

async fn look(public: &str, private: &str) -> Said {
    let python = tools::python().unwrap();
    let args: [OsString; 3] = [
        tools::script("caching.py").into(),
        public.into(),
        private.into(),
    ];
    tools::run(&python, args, &[]).await
}

#[tokio::test]
async fn httpx_with_hishel_keeps_what_may_be_kept_and_asks_again_for_the_rest() {
    if tools::python().is_none() {
        return;
    }
    let feeds = Feeds::start().await;
    let [orders, _] = feeds.live();
    let private = feeds.odd.url("private");
    look(&orders, &private).await.tell();

    // Each header, told wrongly, is noticed.
    let is_sealed = |copy: &Copy| is(copy, header::CACHE_CONTROL, "immutable");
    let is_now = |copy: &Copy| is(copy, header::CACHE_CONTROL, "no-cache");
    let is_refused = |copy: &Copy| copy.status.as_u16() >= 300 && copy.status != 304;
    let origin = url::Url::parse(&orders)
        .unwrap()
        .origin()
        .ascii_serialization();
    for (wrong, name, value, words) in [
        (
            is_sealed as fn(&Copy) -> bool,
            header::CACHE_CONTROL,
            "no-cache",
            "asked for again",
        ),
        (is_now, header::CACHE_CONTROL, "max-age=60", "cost []"),
        (is_now, header::ETAG, "\"one for all\"", "sent again"),
        (is_refused, header::CACHE_CONTROL, "max-age=60", "cost []"),
        (is_now, header::VARY, "Origin", "Vary"),
    ] {
        let spoiled = Between::start(&origin, move |_, copy| {
            if wrong(&copy) {
                with(copy, &name, value)
            } else {
                copy
            }
        })
        .await;
        look(&spoiled.through(&orders), &private)
            .await
            .assert_noticed(words);
    }
    let spoiled = Between::start(feeds.odd.served.origin(), |_, copy| {
        with(copy, &header::CACHE_CONTROL, "public, max-age=60")
    })
    .await;
    let private = spoiled.through(&private);
    look(&orders, &private).await.assert_noticed("private feed");
}

fn is(copy: &Copy, name: HeaderName, word: &str) -> bool {
    let value = copy.headers.get(name).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.contains(word))
}

fn with(mut copy: Copy, name: &HeaderName, value: &'static str) -> Copy {
    copy.headers.insert(name, HeaderValue::from_static(value));
    copy
}
