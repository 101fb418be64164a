//! PostgreSQL: appends beside plain inserts, the delay from a commit to its position, and reading pages of small and large
//! feeds; all on one cluster, in one run.

mod append;
mod consume;
mod delay;
mod pages;

use feed_core::{FeedConfig, Migrations, Store};
use feedway_tests::postgres::{Cluster, ClusterOptions, Database};
use tokio::runtime::Runtime;

use crate::{Failure, Options};

pub(crate) const FEED: &str = "bench";

/// A database with the feed, opened as a service opens it.
pub(crate) async fn open(
    cluster: &Cluster,
    parameters: &str,
) -> Result<(Database, Store), Failure> {
    let database = Database::on(cluster, "bench").await?;
    let url = format!("{}{parameters}", database.url());
    let store = Store::open(&url, Migrations::NONE).await?;
    store.create_feed(FeedConfig::new(FEED, "bench")?).await?;
    Ok((database, store))
}

pub(crate) fn run(runtime: &Runtime, options: &Options) -> Result<(), Failure> {
    runtime.block_on(async {
        let cluster = Cluster::start(ClusterOptions::default()).await?;
        let admin = cluster.admin("postgres").await?;
        let row = admin
            .query_one(
                "SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync')",
                &[],
            )
            .await?;
        println!(
            "PostgreSQL {}, synchronous_commit={}, fsync={}; events of {} bytes of data.\n",
            row.get::<_, String>(0),
            row.get::<_, String>(1),
            row.get::<_, String>(2),
            options.event_bytes
        );
        append::run(&cluster, options).await?;
        delay::run(&cluster, options).await?;
        consume::run(&cluster, options).await?;
        pages::run(&cluster, options).await
    })
}

/// The value at a share of the sorted values.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}
