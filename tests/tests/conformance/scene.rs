//! A feed with events of every kind, and its server, whose answers can be spoiled on their way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use feed_core::server::{RouterOptions, Tokens, bind, guard, router_with, serve};
use feed_core::testing::TempStore;
use feed_core::{
    AppendError, Data, Epoch, Expected, Extension, FeedConfig, Migrations, NewEvent, Store,
    Subject, Tx,
};
use feedctl::conformance::{Append, Options, Outcome, Report};
use tokio_util::sync::CancellationToken;

/// Name of the feed.
pub(crate) const LAMPS: &str = "lamps";

/// Events in a page.
pub(crate) const CAPACITY: u32 = 3;

/// The token of those who may read a guarded feed.
const TOKEN: &str = "0123456789abcdef";

/// Where the router is nested: a path that no link may know of.
const PREFIX: &str = "/some/prefix";

/// The feed and its server; it stops when this is dropped.
pub(crate) struct Scene {
    pub(crate) store: TempStore,
    address: SocketAddr,
    token: Option<String>,
    stop: CancellationToken,
}

impl Scene {
    /// Serves the feed as it is.
    pub(crate) async fn new() -> Self {
        Self::spoiled(|router| router).await
    }

    /// Serves a feed without events.
    pub(crate) async fn empty() -> Self {
        let store = new_store().await;
        Self::serve(store, |router| router).await
    }

    /// Serves a private feed, to those who have [`TOKEN`].
    pub(crate) async fn guarded() -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new(LAMPS, "lamp-svc").unwrap().private();
        let config = config.page_capacity(CAPACITY).unwrap();
        store.create_feed(config).await.unwrap();
        let tokens = store.path().with_file_name("tokens");
        std::fs::write(&tokens, format!("read {TOKEN}\n")).unwrap();
        let tokens = Tokens::from_file(&tokens).unwrap();
        let mut scene = Self::serve(store, |router| guard(router, Some(tokens))).await;
        scene.token = Some(TOKEN.to_owned());
        scene
    }

    /// Serves the feed through `spoil`.
    pub(crate) async fn spoiled(spoil: impl FnOnce(Router) -> Router) -> Self {
        let store = new_store().await;
        for number in 0..7 {
            append(&store, number).await;
        }
        open_epoch(&store);
        for number in 7..10 {
            append(&store, number).await;
        }
        Self::serve(store, spoil).await
    }

    async fn serve(store: TempStore, spoil: impl FnOnce(Router) -> Router) -> Self {
        let mut options = RouterOptions::default();
        // A run is over as soon as the stream has been silent for long enough.
        options.heartbeat = Duration::from_millis(500);
        let routes = spoil(router_with(&store, [LAMPS], &options).unwrap());
        let app = Router::new()
            .nest(PREFIX, routes)
            // The pages that explain problems are the service's, not the router's.
            .route("/problems/{slug}", get(|| async { "explained" }));
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, app, stop.clone()));
        Scene {
            store,
            address,
            token: None,
            stop,
        }
    }

    pub(crate) fn feed_url(&self) -> String {
        format!("http://{}{PREFIX}/feeds/{LAMPS}", self.address)
    }

    /// All rules, with an appender.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(self.feed_url());
        options.bearer_token.clone_from(&self.token);
        let store = Arc::new(Store::clone(&self.store));
        options.append = Some(Append::Function(Arc::new(move || {
            let store = store.clone();
            Box::pin(async move {
                append(&store, 0).await;
                Ok(())
            })
        })));
        options
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn new_store() -> TempStore {
    let store = TempStore::new(Migrations::NONE).await;
    let config = FeedConfig::new(LAMPS, "lamp-svc").unwrap();
    let config = config.page_capacity(CAPACITY).unwrap();
    store.create_feed(config).await.unwrap();
    store
}

/// Appends one event; the kinds come in turn.
pub(crate) async fn append(store: &Store, number: u64) {
    let subject = Subject::new(format!("lamp-{}", number % 3)).unwrap();
    let raw = |kind: &str, bytes: &[u8]| Some(Data::new(kind, bytes.to_vec()).unwrap());
    let event = match number % 7 {
        0 => NewEvent::json(
            "Lit",
            &serde_json::json!({ "owner": "Alexandra Nobody", "text": "<b>]]> & 💡" }),
        ),
        1 => NewEvent::new("Photographed", raw("image/png", &[0x89, b'P', 0, 0xff])),
        2 => NewEvent::new(
            "Lit",
            raw("application/json", b"{\"a\":\r\n 1.50,\n\"b\": \"x\"}"),
        ),
        3 => NewEvent::new(
            "Described",
            raw("text/plain;charset=utf-8", "Zoë\n".as_bytes()),
        ),
        4 => NewEvent::new("Seen", None),
        5 => NewEvent::json("Lit", &"\u{fffe}").and_then(|event| {
            event
                .with_extension("line", Extension::Text("Straße 4 %".into()))?
                .with_extension("priority", Extension::Integer(-3))?
                .with_extension("replayed", Extension::Boolean(true))
        }),
        _ => NewEvent::new("Emptied", raw("application/octet-stream", b"")),
    };
    let event = event.unwrap();
    let appended: Result<(), AppendError> = store
        .write(async move |tx: &mut Tx<'_>| {
            tx.append(LAMPS, &subject, Expected::Any, std::slice::from_ref(&event))
                .await?;
            Ok(())
        })
        .await;
    appended.unwrap();
}

/// Opens a new epoch behind the newest event, as after a restore.
fn open_epoch(store: &TempStore) {
    let conn = rusqlite::Connection::open(store.path()).unwrap();
    let epoch = Epoch::from_bytes([0xab; 8]);
    conn.execute(
        "INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) SELECT feed, 8, ?1, 'restored', 0 FROM feeds",
        [&epoch.as_bytes()[..]],
    )
    .unwrap();
}

/// The rows that did not pass.
pub(crate) fn not_passed(report: &Report) -> Vec<String> {
    let odd = report
        .results
        .iter()
        .filter(|result| result.outcome != Outcome::Passed);
    odd.map(|result| result.row(result.outcome)).collect()
}
