//! The wiring: store, feed, routes and poller; how they start, and how they stop together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use feed_core::client::{
    AllowedAddresses, BearerTokenError, ClientOptions, FeedClient, bearer_token_from_file,
};
use feed_core::read_model::ReadModel;
use feed_core::server::{self, BindError, CorsOrigin, TokenFileError, Tokens};
use feed_core::{Consumer, ConsumerError, InvalidValue, Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{http, reactions, storage};

/// What the service is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Path or address of the database; a file is created if it is not there.
    pub database: String,
    /// The orders feed.
    pub followed: FollowedFeed,
    /// How requests are answered; none: not at all.
    pub http: Option<HttpSettings>,
    /// How the orders feed is followed; none: somebody else does it on the same database.
    pub poller: Option<PollerSettings>,
}

/// How requests are answered.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File of the bearer tokens that are taken; none: everybody may do everything.
    pub tokens: Option<PathBuf>,
    /// Whose web pages may read the answers; none: no other's.
    pub cors_origins: Vec<CorsOrigin>,
}

/// The feed that this service follows. Who answers requests and does not poll asks it where an event stands.
#[derive(Debug, Clone)]
pub struct FollowedFeed {
    /// Its URL.
    pub url: String,
    /// File that holds the bearer token for it.
    pub token_file: Option<PathBuf>,
    /// Where it may be.
    pub addresses: AllowedAddresses,
}

/// How the orders feed is followed.
#[derive(Debug, Clone)]
pub struct PollerSettings {
    /// Time between two polls when there is nothing new, of a feed that does not wait with its answer.
    pub poll_interval: Duration,
    /// How long the lease of the subscription lasts.
    pub lease: Duration,
    /// Longest wait after failures in a row.
    pub retry_max: Duration,
    /// Into how many partitions a new subscription is split; none: one, or as many as there are.
    pub partitions: Option<u32>,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The feed cannot be made.
    #[error(transparent)]
    Feed(#[from] InvalidValue),
    /// The file of tokens that are taken cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The file with the token for the orders feed cannot be used.
    #[error(transparent)]
    Token(#[from] BearerTokenError),
    /// The service's description cannot be written.
    #[error("the OpenAPI document: {0}")]
    Api(#[from] serde_json::Error),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The orders feed cannot be followed.
    #[error("--orders-feed: {0}")]
    Consumer(#[from] ConsumerError),
}

/// Why the service ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The listener failed.
    #[error("serving failed: {0}")]
    Serve(#[from] std::io::Error),
    /// The feed cannot be followed at all, and there was nothing else to do.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// A part of the service panicked.
    #[error("a part of the service failed: {0}")]
    Panicked(String),
}

/// The service, ready to run.
pub struct Application {
    store: Store,
    http: Option<Http>,
    poller: Option<Consumer>,
}

struct Http {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

impl Application {
    /// Opens the database, creates the feed and listens, but does nothing else yet.
    ///
    /// # Errors
    /// When the settings cannot be followed; the message names what to change.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        // First, so that nothing is written when another instance has the address.
        let listener = match &settings.http {
            Some(http) => Some(server::bind(http.listen).await?),
            None => None,
        };
        let store = Store::open(&settings.database, storage::MIGRATIONS).await?;
        tracing::info!(
            database = feed_core::without_password(&settings.database),
            "database opened"
        );
        store.create_feed(storage::feed_config()?).await?;
        let followed = settings.followed;
        let options = followed.client_options()?;
        let poller = match &settings.poller {
            Some(settings) => Some(follow(&store, &followed.url, options.clone(), settings)?),
            None => None,
        };
        let http = match settings.http.zip(listener) {
            Some((settings, listener)) => {
                let read_model = ReadModel::new(
                    &store,
                    storage::FEED,
                    reactions::SUBSCRIPTION,
                    FeedClient::new(&followed.url, options).map_err(ConsumerError::from)?,
                )?;
                Some(Http::new(&store, read_model, settings, listener)?)
            }
            None => None,
        };
        Ok(Application {
            store,
            http,
            poller,
        })
    }

    /// Where it listens; none when it answers no requests.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|http| http.address)
    }

    /// The port on which it listens; 0 when it answers no requests.
    pub fn port(&self) -> u16 {
        self.address().map_or(0, |address| address.port())
    }

    /// Works until `stop` is cancelled; then finishes what it began, and closes the database.
    ///
    /// A halted subscription ends nothing: an operator may resume it.
    ///
    /// # Errors
    /// When a part fails without which the rest is of no use.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        // A part that fails stops the others, not whoever gave us the token.
        let stop = stop.child_token();
        let mut parts: JoinSet<Result<(), RunError>> = JoinSet::new();
        let serves = self.http.is_some();
        if let Some(http) = self.http {
            tracing::info!(
                address = %format_args!("http://{}", http.address),
                feed = %format_args!("http://{}/feeds/{}", http.address, storage::FEED),
                "customer-svc listens"
            );
            let stop = stop.clone();
            parts.spawn(async move { Ok(server::serve(http.listener, http.router, stop).await?) });
        }
        if let Some(consumer) = self.poller {
            let stop = stop.clone();
            parts.spawn(async move {
                match consumer.run(stop).await {
                    Err(error) if !serves => Err(error.into()),
                    Err(error) => {
                        tracing::error!(%error, "the feed cannot be followed");
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                }
            });
        }
        let mut outcome = Ok(());
        while let Some(ended) = parts.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(RunError::Panicked(error.to_string())));
            if ended.is_err() {
                stop.cancel();
            }
            outcome = outcome.and(ended);
        }
        self.store.close().await;
        outcome
    }
}

impl Http {
    fn new(
        store: &Store,
        read_model: ReadModel,
        settings: HttpSettings,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let tokens = match settings.tokens {
            Some(path) => Some(Tokens::from_file(&path)?),
            None => None,
        };
        let feeds = server::router(store, [storage::FEED])?;
        let (routes, described) = http::routes(store, read_model).split_for_parts();
        let api = http::api(&described, tokens.is_some())?;
        let router = server::guard(routes.merge(feeds), tokens)
            .merge(api.routes())
            .merge(server::problem_pages(http::PROBLEM_TYPES))
            .merge(server::health(
                store,
                "customer-svc",
                env!("CARGO_PKG_VERSION"),
            ))
            .fallback(http::no_such_path)
            .method_not_allowed_fallback(http::no_such_method);
        // Outside of all: browsers ask without a token whether they may ask.
        let router = server::cors(router, &settings.cors_origins);
        let address = listener.local_addr().map_err(|source| BindError::Failed {
            address: settings.listen,
            source,
        })?;
        Ok(Http {
            listener,
            address,
            router,
        })
    }
}

impl FollowedFeed {
    /// How it is asked.
    pub(crate) fn client_options(&self) -> Result<ClientOptions, BearerTokenError> {
        let bearer_token = match &self.token_file {
            Some(path) => Some(bearer_token_from_file(path)?),
            None => None,
        };
        Ok(ClientOptions {
            bearer_token,
            addresses: self.addresses,
            ..ClientOptions::default()
        })
    }
}

fn follow(
    store: &Store,
    url: &str,
    options: ClientOptions,
    settings: &PollerSettings,
) -> Result<Consumer, StartError> {
    let consumer = Consumer::new(store, reactions::SUBSCRIPTION, url)?
        .handlers(reactions::handlers())
        .client_options(options)
        .poll_interval(settings.poll_interval)
        .lease(settings.lease)
        .backoff_max(settings.retry_max);
    match settings.partitions {
        Some(partitions) => Ok(consumer.partitions(partitions)?),
        None => Ok(consumer),
    }
}
