//! The books in a SQLite file.

use std::path::Path;

use feed_core::EventId;
use rusqlite::{Connection, OpenFlags};

use super::{Applied, Books, Kept, Published, READ_MS_MAX};
use crate::failure::{Context, Failure};

pub(super) fn read(database: &Path) -> Result<Books, Failure> {
    let what = database.display();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(database, flags).context(&what)?;
    conn.busy_timeout(std::time::Duration::from_millis(READ_MS_MAX))
        .context(&what)?;
    let tx = conn.transaction().context(&what)?;
    read_all(&tx).context(&what)
}

fn read_all(conn: &Connection) -> rusqlite::Result<Books> {
    let mut books = Books::default();
    let row = conn.query_row(
        "SELECT cursor, state, coalesce(reason, '') FROM subscriptions",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    match row {
        Ok((cursor, state, reason)) => {
            books.stands_at(cursor);
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
