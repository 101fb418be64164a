//! A feed behind a real socket, and servers that answer what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use feed_core::server::{bind, router, serve};
use feed_core::testing::TempStore;
use feed_core::{AppendError, Expected, FeedConfig, Migrations, NewEvent, Store, Subject, Tx};
use tokio_util::sync::CancellationToken;

/// A running server; it stops when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        let requests = Arc::<AtomicUsize>::default();
        let counted = requests.clone();
        let app = app.layer(from_fn(move |request: Request, next: Next| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let response: Response = next.run(request).await;
                response
            }
        }));
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, app, stop.clone()));
        Server {
            address,
            requests,
            stop,
        }
    }

    pub(crate) fn feed_url(&self) -> String {
        format!("http://{}/feeds/lamps", self.address)
    }

    /// Requests until now.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A feed of `length` events on pages of `capacity`, and its server.
pub(crate) struct Feed {
    pub(crate) store: TempStore,
    pub(crate) server: Server,
}

impl Feed {
    pub(crate) async fn new(capacity: u32, length: u64) -> Self {
        Self::behind(capacity, length, |router| router).await
    }

    /// As [`new`](Self::new), with the router wrapped.
    pub(crate) async fn behind(
        capacity: u32,
        length: u64,
        wrap: impl FnOnce(Router) -> Router,
    ) -> Self {
        let store = TempStore::new(Migrations::NONE).await;
        let config = FeedConfig::new("lamps", "lamp-svc").unwrap();
        let config = config.page_capacity(capacity).unwrap();
        store.create_feed(config).await.unwrap();
        append(&store, length).await;
        let server = Server::start(wrap(router(&store, ["lamps"]).unwrap())).await;
        Feed { store, server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.feed_url()
    }
}

/// Appends `count` events, of two types about three subjects in turn.
pub(crate) async fn append(store: &Store, count: u64) {
    for begin in (0..count).step_by(500) {
        let appended: Result<(), AppendError> = store
            .write(async move |tx: &mut Tx<'_>| {
                for number in begin..count.min(begin + 500) {
                    let subject = Subject::new(format!("lamp-{}", number % 3)).expect("a subject");
                    let event_type = ["Lit", "Dimmed"][number as usize % 2];
                    let event = NewEvent::json(event_type, &number).expect("an event");
                    tx.append("lamps", &subject, Expected::Any, &[event])
                        .await?;
                }
                Ok(())
            })
            .await;
        appended.unwrap();
    }
}
