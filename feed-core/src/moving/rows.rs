//! Rows on their way, some at a time.

use tokio::sync::mpsc;

use crate::error::StoreError;
use crate::limits::{MOVED_BATCH_BYTES_MAX, MOVED_BATCH_ROWS_MAX};
use crate::store::OwnedValue;

/// A row's values.
pub(crate) type MovedRow = Vec<OwnedValue>;

/// The rows that come next.
pub(crate) enum Rows {
    /// From a thread that reads ahead by a batch or two.
    #[cfg(feature = "sqlite")]
    Read(mpsc::Receiver<Result<Vec<MovedRow>, StoreError>>),
    /// From a connection.
    #[cfg(feature = "postgres")]
    Sent(Box<crate::postgres::MovedRows>),
}

impl Rows {
    /// The next ones, never none; nothing at the end.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<MovedRow>>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Rows::Read(receiver) => receiver.recv().await.transpose(),
            #[cfg(feature = "postgres")]
            Rows::Sent(rows) => rows.next().await,
        }
    }
}

/// Rows that are collected until they are enough.
#[derive(Default)]
pub(crate) struct Batch {
    rows: Vec<MovedRow>,
    bytes: usize,
}

impl Batch {
    /// Takes a row. Returns all of them when they are enough.
    pub(crate) fn push(&mut self, row: MovedRow) -> Option<Vec<MovedRow>> {
        self.bytes += row.iter().map(OwnedValue::bytes).sum::<usize>();
        self.rows.push(row);
        let enough = self.rows.len() >= MOVED_BATCH_ROWS_MAX || self.bytes >= MOVED_BATCH_BYTES_MAX;
        enough.then(|| {
            self.bytes = 0;
            std::mem::take(&mut self.rows)
        })
    }

    /// Those that are left, if there are any.
    pub(crate) fn rest(self) -> Option<Vec<MovedRow>> {
        (!self.rows.is_empty()).then_some(self.rows)
    }
}
