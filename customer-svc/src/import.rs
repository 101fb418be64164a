//! `customer-svc import`: states geos and customers from CSV files, as PUT requests would.

use std::fs::File;
use std::io::Read;
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
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

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
    let bytes = read_bytes(path).map_err(|reason| ImportError::File {
        file: file.clone(),
        reason,
    })?;
    let wrong = |line: u64, reason: String| ImportError::Row {
        file: file.clone(),
        line,
        reason,
    };
    let mut lines = Lines::of(&bytes);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(bytes.as_slice());
    let headers = reader
        .headers()
        .map_err(|error| wrong(1, reason(&error)))?
        .clone();
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let begins = reader.position().byte();
        let more = reader.read_record(&mut record);
        let line = lines.line_at(begins);
        if !more.map_err(|error| wrong(line, reason(&error)))? {
            return Ok(Rows { file, rows });
        }
        let row: R = record
            .deserialize(Some(&headers))
            .map_err(|error| wrong(line, wrong_field(&error, &headers)))?;
        rows.push((line, row.into()));
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(told)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("a file has {FILE_BYTES_MAX} bytes at most"));
    }
    Ok(bytes)
}

/// Counts lines as an editor does. The reader's own count is of where it looked last, before line ends and empty
/// lines that it passes over.
struct Lines<'a> {
    bytes: &'a [u8],
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Lines {
            bytes,
            counted: 0,
            line: 1,
        }
    }

    /// The line of the record that is behind this offset. Offsets come in rising order.
    fn line_at(&mut self, offset: u64) -> u64 {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let passed_over = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let skipped = self.bytes.iter().skip(from).take_while(passed_over).count();
        let begins = from.saturating_add(skipped).min(self.bytes.len());
        let new = self.bytes.get(self.counted..begins).unwrap_or_default();
        self.line += new.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted = begins.max(self.counted);
        self.line
    }
}

/// What is wrong, without the place, which the error around it names.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields where the header has {expected_len}"),
        _ => error.to_string(),
    }
}

/// What is wrong with a field, and which it is. Our own checks name it; those of the format do not.
fn wrong_field(error: &csv::Error, headers: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else {
        return reason(error);
    };
    match err.field().and_then(|field| headers.get(field as usize)) {
        Some(field) => format!("{field}: {}", err.kind()),
        None => err.kind().to_string(),
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
