//! `customer-svc import`: states geos and customers from CSV files, as PUT requests would.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use feed_core::{InvalidValue, Store, StoreError, Tx};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::{CapacityMbps, CurrentMbps, Customer, CustomerId, Geo, GeoSlug, MaxMbps, Name};
use crate::storage::{self, ChangeError, Put};

/// Rows that one transaction states at most: it holds up other writers.
const ROWS_PER_WRITE_MAX: usize = 200;
/// Rows of one file at most.
const ROWS_MAX: usize = 1_000_000;

/// What is to be imported.
#[derive(Debug, Clone)]
pub struct ImportSettings {
    /// Path or address of the database; it is created if it is not there.
    pub database: String,
    /// CSV file with the columns `geo,name,max_mbps,capacity_mbps`.
    pub geos: Option<PathBuf>,
    /// CSV file with the columns `customer_id,name,geo,current_mbps`.
    pub customers: Option<PathBuf>,
}

/// Why files were not imported. Every file is read to its end before its first row is stated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A row is wrong.
    #[error("{file}, line {line}: {reason}")]
    Row {
        /// The file.
        file: String,
        /// Number of the line, from 1, which is the header.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A row could not be stated; those of the batches before it were.
    #[error("{file}, lines {first_line} to {last_line}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// First line of the batch, which was rolled back.
        first_line: u64,
        /// Last line of the batch.
        last_line: u64,
        /// What the database said.
        reason: String,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The feed cannot be made.
    #[error(transparent)]
    Feed(#[from] InvalidValue),
}

#[derive(Deserialize)]
struct GeoRecord {
    geo: GeoSlug,
    name: Name,
    max_mbps: MaxMbps,
    capacity_mbps: CapacityMbps,
}

#[derive(Deserialize)]
struct CustomerRecord {
    customer_id: CustomerId,
    name: Name,
    geo: GeoSlug,
    current_mbps: CurrentMbps,
}

/// A row of either file.
enum Stated {
    Geo(Geo),
    Customer(Customer),
}

impl From<GeoRecord> for Stated {
    fn from(record: GeoRecord) -> Self {
        Stated::Geo(Geo {
            geo: record.geo,
            name: record.name,
            max_mbps: record.max_mbps,
            capacity_mbps: record.capacity_mbps,
        })
    }
}

impl From<CustomerRecord> for Stated {
    fn from(record: CustomerRecord) -> Self {
        Stated::Customer(Customer {
            customer_id: record.customer_id,
            name: record.name,
            geo: record.geo,
            current_mbps: record.current_mbps,
        })
    }
}

impl Stated {
    async fn put(&self, tx: &mut Tx<'_>) -> Result<Put, ChangeError> {
        match self {
            Stated::Geo(geo) => storage::put_geo(tx, geo).await,
            Stated::Customer(customer) => storage::put_customer(tx, customer).await,
        }
    }
}

/// The rows of a file, each with its line.
struct Rows {
    file: String,
    rows: Vec<(u64, Stated)>,
}

/// Imports the geos, then the customers.
///
/// # Errors
/// When a file or the database cannot be used; the message names file and line.
pub(crate) async fn run(settings: ImportSettings) -> Result<(), ImportError> {
    let geos = settings.geos.as_deref().map(read::<GeoRecord>);
    let customers = settings.customers.as_deref().map(read::<CustomerRecord>);
    let files: Vec<Rows> = geos
        .into_iter()
        .chain(customers)
        .collect::<Result<_, _>>()?;
    let store = Store::open(&settings.database, storage::MIGRATIONS).await?;
    store.create_feed(storage::feed_config()?).await?;
    for rows in files {
        let file = rows.file.clone();
        let (total, changed) = state(&store, rows).await?;
        tracing::info!(file, rows = total, changed, "imported");
    }
    store.close().await;
    Ok(())
}

/// Reads and checks all rows of a file.
fn read<R>(path: &Path) -> Result<Rows, ImportError>
where
    R: DeserializeOwned + Into<Stated>,
{
    let file = path.display().to_string();
    let wrong = |line: u64, reason: String| ImportError::Row {
        file: file.clone(),
        line,
        reason,
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| ImportError::File {
            file: file.clone(),
            reason: error.to_string(),
        })?;
    let headers = reader
        .headers()
        .map_err(|error| wrong(1, error.to_string()))?
        .clone();
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let more = reader.read_record(&mut record).map_err(|error| {
            wrong(
                error.position().map_or(line, csv::Position::line),
                reason(&error),
            )
        })?;
        if !more {
            return Ok(Rows { file, rows });
        }
        let line = record.position().map_or(line, csv::Position::line);
        if rows.len() == ROWS_MAX {
            return Err(wrong(line, format!("a file has {ROWS_MAX} rows at most")));
        }
        let row: R = record
            .deserialize(Some(&headers))
            .map_err(|error| wrong(line, reason(&error)))?;
        rows.push((line, row.into()));
    }
}

/// What is wrong, without the place, which the error around it names.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields where the header has {expected_len}"),
        _ => error.to_string(),
    }
}

/// States the rows, batch by batch. Returns how many there were and how many of them changed something.
async fn state(store: &Store, rows: Rows) -> Result<(usize, usize), ImportError> {
    let Rows { file, rows } = rows;
    let total = rows.len();
    let progress = progress_bar(&file, total as u64);
    let mut changed = 0;
    let mut rows = rows.into_iter();
    loop {
        let batch: Arc<[(u64, Stated)]> = rows.by_ref().take(ROWS_PER_WRITE_MAX).collect();
        let (Some((first_line, _)), Some((last_line, _))) = (batch.first(), batch.last()) else {
            break;
        };
        let stated = batch.clone();
        let written = store
            .write_retrying(async move |tx: &mut Tx<'_>| {
                let mut changed = 0;
                for (_, row) in stated.iter() {
                    if row.put(tx).await? != Put::Unchanged {
                        changed += 1;
                    }
                }
                Ok::<usize, ChangeError>(changed)
            })
            .await;
        changed += written.map_err(|error| ImportError::Write {
            file: file.clone(),
            first_line: *first_line,
            last_line: *last_line,
            reason: error.to_string(),
        })?;
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    Ok((total, changed))
}

/// A bar on stderr; nothing when that is no terminal.
fn progress_bar(file: &str, rows: u64) -> ProgressBar {
    let bar = ProgressBar::new(rows).with_message(file.to_owned());
    match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} rows") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests;
