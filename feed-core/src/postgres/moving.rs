//! A database whose service is taken over, or compared: all SQL that does so, but for what is the sequencer's. Opening it
//! and locking others out is here, reading in `reading`, writing in `filling`.

mod filling;
mod reading;

pub(crate) use reading::MovedRows;

use std::collections::HashMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use tokio_util::task::AbortOnDropHandle;

use super::address::{self, Address};
use super::failure::store_error;
use super::feeds::column;
use super::sequencer::Sequencer;
use super::values::Xid;
use super::{migrate, sessions};
use crate::error::StoreError;
use crate::limits::{MOVED_IDLE_MS_MAX, MOVED_LOCK_MS_MAX, POSTGRES_SEQUENCED_EVENTS_MAX};

/// A connection with a transaction that is open all the time.
pub(crate) struct PostgresSide {
    client: Client,
    _driver: AbortOnDropHandle<()>,
    /// Types of the columns that rows are written to, by table.
    types: HashMap<String, Vec<Type>>,
    /// Of the transaction, when it writes.
    xid: Option<Xid>,
    /// The number of the last event that was written.
    event_no: i64,
}

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Looker,
    Source,
    Target,
}

impl PostgresSide {
    /// Opens a database that is there, to look at it as of now.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, As::Looker).await
    }

    /// Opens one to read all of it while nobody writes. What was committed before has its positions then.
    pub(crate) async fn open_source(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, As::Source).await
    }

    /// Opens one to fill it while nobody else writes.
    pub(crate) async fn open_target(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, As::Target).await
    }

    async fn open_as(url: &str, role: As) -> Result<Self, StoreError> {
        let address = address::parse(url)?;
        migrate::migrate(&address, None).await?;
        let connected = sessions::connect(&address, |_| {}).await?;
        let mut side = PostgresSide {
            client: connected.client,
            _driver: connected.driver,
            types: HashMap::new(),
            xid: None,
            event_no: 0,
        };
        side.run(&format!(
            "SET statement_timeout = 0; SET lock_timeout = {MOVED_LOCK_MS_MAX};
             SET idle_in_transaction_session_timeout = {MOVED_IDLE_MS_MAX}"
        ))
        .await?;
        match role {
            As::Looker => {
                side.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?;
            }
            As::Source => side.begin_source(&address).await?,
            As::Target => side.begin_target().await?,
        }
        Ok(side)
    }

    /// Locks come first: what a snapshot of before has not seen would be missing.
    async fn begin_source(&mut self, address: &Address) -> Result<(), StoreError> {
        let mut tables = self.all_tables().await?;
        // Their rows come from the sequencer, which is let do its work first.
        let of_places =
            |name: &String| ["positions", "sequencer_batches", "epochs"].contains(&name.as_str());
        let later: Vec<String> = tables.extract_if(.., |name| of_places(name)).collect();
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")
            .await?;
        self.lock(&tables, "SHARE").await?;
        let connected = sessions::connect(address, |_| {}).await?;
        let sequencer = Sequencer::new(connected.client, String::new()).await?;
        for feed in sequencer.pending().await? {
            while sequencer
                .sequence(feed, POSTGRES_SEQUENCED_EVENTS_MAX)
                .await?
                .more
            {}
        }
        self.lock(&later, "SHARE").await
    }

    async fn begin_target(&mut self) -> Result<(), StoreError> {
        let tables = self.all_tables().await?;
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            .await?;
        // Readers may go on reading that there is nothing.
        self.lock(&tables, "EXCLUSIVE").await?;
        // A row may come before the one that it refers to: it is looked at in the end.
        for (table, name) in self.references().await? {
            self.run(&format!(
                "ALTER TABLE {table} ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED"
            ))
            .await?;
        }
        let row = self
            .client
            .query_one("SELECT pg_current_xact_id()", &[])
            .await;
        self.xid = Some(column(&row.map_err(store_error)?, 0)?);
        Ok(())
    }

    async fn lock(&self, tables: &[String], mode: &str) -> Result<(), StoreError> {
        let names: Vec<String> = tables.iter().map(|name| quoted(name)).collect();
        self.run(&format!("LOCK TABLE {} IN {mode} MODE", names.join(", ")))
            .await
    }

    /// Foreign keys that are looked at row by row: table and name, in quotes.
    async fn references(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self
            .client
            .query(
                "SELECT DISTINCT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
                 WHERE contype = 'f' AND NOT condeferrable AND connamespace = current_schema()::regnamespace AND conparentid = 0",
                &[],
            )
            .await
            .map_err(store_error)?;
        rows.iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
            .collect()
    }

    async fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(store_error)
    }

    async fn all_tables(&self) -> Result<Vec<String>, StoreError> {
        let rows = self
            .client
            .query(
                r"SELECT relname::text FROM pg_class
                  WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                    AND relname NOT LIKE '%\_migrations' ORDER BY relname",
                &[],
            )
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| column(row, 0)).collect()
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
