//! One consumer that reads the whole feed, or follows it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::{After, Consumer, Event, Handlers, Migrations, StartAt, StepOutcome, Store, Tx};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::peers::drive::Arrivals;
use crate::peers::payload::Measured;

const MIGRATIONS: Migrations = Migrations {
    owner: "bench",
    sqlite: &[("V1__seen", crate::peers::limits::ROWS_TABLE)],
    postgres: &[],
};
const TYPE: &str = "Measured";

/// Events a second: envelopes read, every check verified, data handed on as it came.
pub(super) async fn envelopes(feed: &str, events: u64) -> Result<f64, Failure> {
    // On a task, as in a service.
    tokio::spawn(read(feed.to_owned(), events, data_bytes)).await?
}

/// Events a second: the same, and data deserialised.
pub(super) async fn structs(feed: &str, events: u64) -> Result<f64, Failure> {
    tokio::spawn(read(feed.to_owned(), events, filler_bytes)).await?
}

fn data_bytes(event: &Event) -> Result<usize, Failure> {
    Ok(event.data.as_ref().map_or(0, |data| data.bytes().len()))
}

fn filler_bytes(event: &Event) -> Result<usize, Failure> {
    let data: Measured = event.decode()?;
    Ok(data.filler.len())
}

/// Reads to the end; what `bytes_of` finds in each event has to be something.
async fn read(
    feed: String,
    events: u64,
    bytes_of: fn(&Event) -> Result<usize, Failure>,
) -> Result<f64, Failure> {
    let client = FeedClient::new(&feed, ClientOptions::default())?;
    let mut reader = client.reader(None);
    let (mut came, mut empty) = (0, 0);
    let began = Instant::now();
    while let Some(fresh) = reader.next().await? {
        for event in &fresh {
            empty += u64::from(bytes_of(event)? == 0);
        }
        came += fresh.len() as u64;
    }
    let rate = came as f64 / began.elapsed().as_secs_f64();
    if came != events || empty > 0 {
        return Err(format!("{came} of {events} events came, {empty} without data").into());
    }
    Ok(rate)
}

/// Events a second: a handler writes a row for each into the consumer's own database, with the cursor.
pub(super) async fn rows(feed: &str, events: u64, folder: &Path) -> Result<f64, Failure> {
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("rows.db");
    let store = Store::open(&path.to_string_lossy(), MIGRATIONS).await?;
    let handlers = Handlers::new().on(TYPE, async |tx: &mut Tx<'_>, event: &Event| {
        let position = event.position.get() as i64;
        let row = [position.into(), event.subject.as_str().into()];
        tx.execute(crate::peers::limits::INSERT_ROW, &row).await?;
        Ok(())
    });
    let mut consumer = Consumer::new(&store, "bench/bench", feed)?.handlers(handlers);
    let apply = async move {
        let began = Instant::now();
        let mut applied = 0;
        while applied < events {
            if let StepOutcome::Applied { events, .. } = consumer.step().await? {
                applied += events as u64;
            }
        }
        Ok::<_, Failure>(events as f64 / began.elapsed().as_secs_f64())
    };
    let rate = tokio::spawn(apply).await??;
    store.close().await;
    Ok(rate)
}

/// Long polls from `head` on; each event reaches the handler inside the transaction that saves the cursor.
pub(super) async fn follow(
    feed: String,
    head: After,
    folder: PathBuf,
    arrivals: Arrivals,
) -> Result<(), Failure> {
    let path = folder.join("follower.db");
    let store = Store::open(&path.to_string_lossy(), Migrations::NONE).await?;
    let handlers = Handlers::new().on(TYPE, async move |_: &mut Tx<'_>, event: &Event| {
        arrivals.arrived(event.data.as_ref().map_or(&[][..], |data| data.bytes()));
        Ok(())
    });
    let consumer = Consumer::new(&store, "bench/follower", &feed)?.start_at(StartAt::After(head));
    Ok(consumer
        .handlers(handlers)
        .run(CancellationToken::new())
        .await?)
}
