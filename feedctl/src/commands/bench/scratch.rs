//! A feed that is made to be measured.

use std::path::PathBuf;

use feed_core::{
    AppendError, Expected, FeedConfig, Migrations, NewEvent, Store, StoreError, Subject, Tx,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::cli::CliError;
use crate::progress::Steps;

/// The feed that measurements are appended to; whoever finds it in a database knows where it comes from.
pub(super) const FEED: &str = "feedctl-bench";
/// Type of its events.
pub(super) const EVENT_TYPE: &str = "Measured";
/// Events that are filled in by one transaction.
const FILLED_AT_ONCE: u32 = 500;
/// Bytes of a payload beside its filler.
const PAYLOAD_BYTES: usize = 50;

/// How the feed is made.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Scratch {
    /// Folder on the disk that is to be measured, for the database that is made; the system's temporary one unless given
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Bytes of data in an event that is made
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=60_000))]
    pub(super) bytes: u32,
}

/// Data of an event.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    /// Its number.
    pub(super) number: u32,
    /// When it was appended, in microseconds since 1970 by the clock of the machine.
    pub(super) appended_us: i64,
    filler: String,
}

impl Scratch {
    /// For events with so many bytes of data.
    pub(super) fn of(bytes: u32) -> Self {
        Scratch { dir: None, bytes }
    }

    /// A folder that is taken away when it is dropped.
    pub(super) fn folder(&self) -> Result<TempDir, CliError> {
        let made = match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir),
            None => tempfile::tempdir(),
        };
        made.map_err(|error| {
            let folder = self.dir.clone().unwrap_or_else(std::env::temp_dir);
            CliError::Usage(format!(
                "no folder could be made in {}: {error}; --dir names another place",
                folder.display()
            ))
        })
    }

    /// An event of the wanted size.
    pub(super) fn event(&self, number: u32) -> Result<NewEvent, CliError> {
        let payload = Payload {
            number,
            appended_us: chrono::Utc::now().timestamp_micros(),
            filler: "x".repeat((self.bytes as usize).saturating_sub(PAYLOAD_BYTES)),
        };
        NewEvent::json(EVENT_TYPE, &payload).map_err(|error| CliError::Usage(error.to_string()))
    }
}

/// A new database in this folder.
pub(super) async fn open(folder: &TempDir) -> Result<(String, Store), CliError> {
    let path = folder.path().join("bench.db").display().to_string();
    let store = Store::open(&path, Migrations::NONE).await.map_err(failed)?;
    create_feed(&store).await?;
    Ok((path, store))
}

/// A service's database, opened as the service opens it: what is committed gets its positions.
pub(super) async fn open_as_service(database: &str) -> Result<Store, CliError> {
    // It has to be there, with the schema of this program, so that nothing is made or migrated.
    let there = Store::open_existing(database).await.map_err(failed)?;
    there.close().await;
    Store::open(database, Migrations::NONE)
        .await
        .map_err(failed)
}

/// The feed [`FEED`], made if it is not there.
pub(super) async fn create_feed(store: &Store) -> Result<(), CliError> {
    let config = FeedConfig::new(FEED, "feedctl");
    let config = config.map_err(|error| CliError::Usage(error.to_string()))?;
    store.create_feed(config).await.map(drop).map_err(failed)
}

/// Appends until the feed has this many events, and waits until all of them have positions.
pub(super) async fn fill(store: &Store, scratch: &Scratch, events: u32) -> Result<(), CliError> {
    let steps = Steps::new("filling", u64::from(events));
    for first in (0..events).step_by(FILLED_AT_ONCE as usize) {
        append(store, scratch, first..events.min(first + FILLED_AT_ONCE)).await?;
        steps.done_to(u64::from(first));
    }
    store.sequenced().await.map_err(failed)
}

/// Appends these events about a subject of their own, and waits for the acknowledgement.
pub(super) async fn append(
    store: &Store,
    scratch: &Scratch,
    numbers: std::ops::Range<u32>,
) -> Result<(), CliError> {
    let events = numbers
        .map(|number| scratch.event(number))
        .collect::<Result<Vec<_>, _>>()?;
    // Measured again in the same database, the subjects are others.
    let subject = format!("bench-{}", uuid::Uuid::now_v7());
    let subject = Subject::new(subject).map_err(|error| CliError::Usage(error.to_string()))?;
    let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
        let appended = tx.append(FEED, &subject, Expected::New, &events).await;
        appended.map(drop)
    };
    let written = store.write(work).await;
    written.map_err(|error| CliError::Refused(error.to_string()))
}

pub(super) fn failed(error: StoreError) -> CliError {
    CliError::Usage(error.to_string())
}
