//! One consumer that reads the whole feed, or follows it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use feed_core::client::{ClientOptions, FeedClient, FetchOptions, Fetched, Seen, verify};
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
    let mut bytes = 0;
    let rate = read(feed, events, |event| {
        bytes += event.data.as_ref().map_or(0, |data| data.bytes().len());
        Ok(())
    });
    let rate = rate.await?;
    if bytes == 0 {
        return Err("no data came".into());
    }
    Ok(rate)
}

/// Events a second: the same, and data deserialised.
pub(super) async fn structs(feed: &str, events: u64) -> Result<f64, Failure> {
    let mut bytes = 0;
    let rate = read(feed, events, |event| {
        let data: Measured = event.decode()?;
        bytes += data.filler.len();
        Ok(())
    });
    let rate = rate.await?;
    if bytes == 0 {
        return Err("no data came".into());
    }
    Ok(rate)
}

async fn read(
    feed: &str,
    events: u64,
    mut each: impl FnMut(&Event) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let client = FeedClient::new(feed, ClientOptions::default())?;
    let began = Instant::now();
    let (mut seen, mut came) = (Seen::Nothing, 0);
    let mut url = client.tail(&After::Start);
    while came < events {
        let Fetched::Page(page) = client.fetch(&url, FetchOptions::default()).await? else {
            return Err("304 without a tag".into());
        };
        let fresh = verify(seen, page.document.events)?;
        fresh.iter().try_for_each(&mut each)?;
        came += fresh.len() as u64;
        seen = fresh
            .last()
            .map_or(seen, |last| Seen::Cursor(last.cursor()));
        url = page.next.ok_or("a document without next")?;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
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
    let began = Instant::now();
    let mut applied = 0;
    while applied < events {
        if let StepOutcome::Applied { events, .. } = consumer.step().await? {
            applied += events as u64;
        }
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
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
