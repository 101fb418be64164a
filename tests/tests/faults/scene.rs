//! A feed, a proxy before it, and what comes through.

use std::time::Duration;

use feed_core::client::{ClientError, ClientOptions, FeedClient, FetchOptions, Fetched, Page};
use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Event, Expected, FeedConfig, Format, Migrations, NewEvent, Store, Subject, Tx,
    Window,
};
use feedway_tests::faults::{FaultPlan, FaultProxy};
use reqwest::header::HeaderMap;

use super::scripted::LIT;
use super::served::{PREFIX, Served};

/// Name of the feed.
pub(crate) const LAMPS: &str = "lamps";
/// Events in one of its pages.
pub(crate) const CAPACITY: u32 = 5;
/// The seed of tests to which any is good.
pub(crate) const SEED: u64 = 7;

/// The feed and the proxy.
pub(crate) struct Scene {
    pub(crate) store: TempStore,
    pub(crate) served: Served,
    pub(crate) proxy: FaultProxy,
    pub(crate) http: reqwest::Client,
}

/// What came through. A body is `None` when it broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

impl Scene {
    /// A feed of so many events before a proxy with this plan.
    pub(crate) async fn new(events: u32, seed: u64, plan: FaultPlan) -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new(LAMPS, "lamp-svc").unwrap();
        let config = config.page_capacity(CAPACITY).unwrap();
        store.create_feed(config).await.unwrap();
        append(&store, events).await;
        let served = Served::start(&store, &[LAMPS]).await;
        let proxy = FaultProxy::start(served.origin(), seed, plan)
            .await
            .unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Scene {
            store,
            served,
            proxy,
            http,
        }
    }

    /// The feed's URL through the proxy, with this behind it.
    pub(crate) fn url(&self, behind: &str) -> String {
        self.proxy
            .through(&format!("{PREFIX}/feeds/{LAMPS}{behind}"))
    }

    /// The tail behind a position, which is never redirected.
    pub(crate) fn tail(&self, position: u64, format: Format) -> String {
        let format = format.extension();
        self.url(&format!("?after={position}&format={format}"))
    }

    /// One answer; none when the connection ended before it or it was no HTTP.
    pub(crate) async fn get(&self, url: &str) -> Option<Got> {
        self.get_with(url, &[]).await
    }

    pub(crate) async fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Option<Got> {
        let mut request = self.http.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.ok()?;
        Some(Got {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.ok().map(|body| body.to_vec()),
        })
    }

    /// The document behind a position, as a consumer gets it.
    pub(crate) async fn fetch(&self, position: u64, format: Format) -> Result<Page, ClientError> {
        let options = ClientOptions {
            format,
            ..ClientOptions::default()
        };
        let client = FeedClient::new(&self.url(""), options).unwrap();
        let url = self.tail(position, format).parse().unwrap();
        match client.fetch(&url, FetchOptions::default()).await? {
            Fetched::Page(page) => Ok(*page),
            Fetched::NotModified => panic!("no ETag was sent"),
        }
    }

    /// Positions of the document behind a position.
    pub(crate) async fn positions(&self, position: u64, format: Format) -> Vec<u64> {
        let page = self.fetch(position, format).await.unwrap();
        page.document
            .events
            .iter()
            .map(|event| event.position.get())
            .collect()
    }

    /// All events that there are.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let log = self.store.log(LAMPS).unwrap();
        log.read(Window::Newest { limit: 10_000 }).await.unwrap().1
    }
}

/// Appends so many events.
pub(crate) async fn append(store: &Store, count: u32) {
    let appended: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            for number in 0..count {
                let subject = Subject::new(format!("lamp-{}", number % 3)).unwrap();
                let lit = NewEvent::json(LIT, &serde_json::json!({ "lamp_id": number })).unwrap();
                tx.append(LAMPS, &subject, Expected::Any, &[lit]).await?;
            }
            Ok(())
        })
        .await;
    appended.unwrap();
}
