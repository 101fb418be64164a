//! What a service's database says of what its subscription did.

use std::collections::HashSet;
use std::path::Path;

use feed_core::{Cursor, EventId};
use rusqlite::{Connection, OpenFlags};

use crate::failure::{Context, Failure};

/// An event that was applied, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the feed.
    pub position: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about.
    pub subject: String,
    /// The number of the lease under which it was applied.
    pub fence: i64,
    /// Who held the lease.
    pub holder: Vec<u8>,
}

/// An event that was not simply applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the feed.
    pub position: u64,
    /// How it is doing.
    pub state: String,
    /// Why it could not be applied.
    pub error: String,
}

/// An event of a service's own feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its place.
    pub position: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about.
    pub subject: String,
    /// The event that it follows up.
    pub cause: Option<EventId>,
}

/// All of it, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// The cursor's position.
    pub cursor: u64,
    /// Its state, and why.
    pub state: String,
    /// The reason.
    pub reason: String,
    /// In the order of application.
    pub applied: Vec<Applied>,
    /// By position.
    pub kept: Vec<Kept>,
    /// By position.
    pub published: Vec<Published>,
}

impl Books {
    /// Reads the database of a service with one subscription and one feed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(database: &Path) -> Result<Self, Failure> {
        let what = database.display();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(database, flags).context(&what)?;
        conn.busy_timeout(std::time::Duration::from_secs(15))
            .context(&what)?;
        let tx = conn.transaction().context(&what)?;
        read(&tx).context(&what)
    }

    /// Positions up to the cursor that were neither applied nor kept.
    pub fn passed_over(&self) -> Vec<u64> {
        let known: HashSet<u64> = self
            .applied
            .iter()
            .map(|one| one.position)
            .chain(
                self.kept
                    .iter()
                    .filter(|one| one.state != "retrying")
                    .map(|one| one.position),
            )
            .collect();
        (1..=self.cursor)
            .filter(|position| !known.contains(position))
            .collect()
    }
}

fn read(conn: &Connection) -> rusqlite::Result<Books> {
    let mut books = Books::default();
    let row = conn.query_row(
        "SELECT cursor, state, coalesce(reason, '') FROM subscriptions",
        [],
        |row| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?, row.get(2)?)),
    );
    match row {
        Ok((cursor, state, reason)) => {
            let cursor: Option<Cursor> = cursor.and_then(|cursor| cursor.parse().ok());
            books.cursor = cursor.map_or(0, |cursor| cursor.position.get());
            (books.state, books.reason) = (state, reason);
        }
        Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) => return Err(error),
    }
    let ledger: i64 = conn.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'fault_ledger'",
        [],
        |row| row.get(0),
    )?;
    if ledger == 1 {
        let sql =
            "SELECT position, event_id, subject, fence, holder FROM fault_ledger ORDER BY row";
        books.applied = rows(conn, sql, |row| {
            Ok(Applied {
                position: position(row, 0)?,
                id: EventId::from_bytes(row.get(1)?),
                subject: row.get(2)?,
                fence: row.get(3)?,
                holder: row.get(4)?,
            })
        })?;
    }
    let sql =
        "SELECT position, state, coalesce(error, '') FROM subscription_events ORDER BY position";
    books.kept = rows(conn, sql, |row| {
        Ok(Kept {
            position: position(row, 0)?,
            state: row.get(1)?,
            error: row.get(2)?,
        })
    })?;
    let sql = "SELECT position, id, subject, causationid FROM outbox ORDER BY feed_position";
    books.published = rows(conn, sql, |row| {
        Ok(Published {
            position: position(row, 0)?,
            id: EventId::from_bytes(row.get(1)?),
            subject: row.get(2)?,
            cause: row.get::<_, Option<[u8; 16]>>(3)?.map(EventId::from_bytes),
        })
    })?;
    Ok(books)
}

fn position(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn rows<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare(sql)?.query_map([], read)?.collect()
}
