//! The process that serves the feed, and that appends to it when it is told to: a service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::Query;
use axum::routing::post;
use feed_core::server::RouterOptions;
use tokio_util::sync::CancellationToken;

use super::{Appender, BULK, FEED, client, open};
use crate::Failure;
use crate::peers::drive::{self, Pace};

/// Where it is told to append.
const PACE_PATH: &str = "/bench/pace";
/// A number that no other writer of the same feed has.
const WRITER: usize = 999_999;

/// Serve a feed for the benchmark, until killed.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeOptions {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    event_bytes: usize,
    /// Bytes of pages that are kept in memory; as many as usual unless given.
    #[arg(long)]
    page_cache_bytes: Option<u64>,
}

/// Serves until the process is ended.
pub(crate) async fn serve(options: &ServeOptions) -> Result<(), Failure> {
    let store = open(&options.folder).await?;
    let mut router = RouterOptions::default();
    if let Some(bytes) = options.page_cache_bytes {
        router.page_cache_bytes = bytes;
    }
    let feeds = feed_core::server::router_with(&store, [FEED, BULK], &router)?;
    let bytes = options.event_bytes;
    let appender = Arc::new(move || Appender::new(&store, FEED, WRITER, 1, bytes));
    let paced = post(move |Query(pace): Query<Pace>| {
        let appender = appender.clone();
        async move {
            match drive::by_the_clock(appender(), pace).await {
                Ok(kept_up) => kept_up.to_string(),
                Err(error) => error.to_string(),
            }
        }
    });
    let router = feeds.route(PACE_PATH, paced);
    let listener = feed_core::server::bind(options.listen).await?;
    Ok(feed_core::server::serve(listener, router, CancellationToken::new()).await?)
}

/// Lets the serving process append; whether it kept up the pace.
pub(super) async fn appended_there(address: SocketAddr, pace: Pace) -> Result<bool, Failure> {
    let Pace {
        per_second,
        seconds,
    } = pace;
    let url = format!("http://{address}{PACE_PATH}?per_second={per_second}&seconds={seconds}");
    let said = client()?
        .post(url)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    said.parse().map_err(|_| said.into())
}
