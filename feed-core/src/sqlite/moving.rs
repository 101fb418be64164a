//! A file whose service is taken over, or compared: all SQL that does so.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};
use tokio::sync::mpsc;

use super::connection::{check_library, open_writer, store_error};
use super::outbox::key;
use super::rows::EVENT_COLUMNS as STORED_COLUMNS;
use super::{boot_clock, borrowed, migrate};
use crate::error::StoreError;
use crate::limits::MOVED_BATCHES_AHEAD_MAX;
use crate::moving::{Batch, Column, Event, Kind, MovedRow, Rows, SPECIAL, Table};
use crate::store::{OwnedValue, Value};

/// A connection with a transaction that is open all the time.
pub(crate) struct SqliteSide {
    conn: Arc<Mutex<Connection>>,
}

impl SqliteSide {
    /// Opens a file that is there, and begins: to look at it as of now, or as the only one who may write to it.
    pub(crate) async fn open(path: &str, alone: bool) -> Result<Self, StoreError> {
        check_library()?;
        let path = Path::new(path).to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            migrate::check(&path)?;
            let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
            let conn = open_writer(&path, flags)?;
            // A row may come before the one that it refers to: it is looked at in the end.
            let begin = if alone {
                "BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON"
            } else {
                "BEGIN; SELECT count(*) FROM feeds"
            };
            conn.execute_batch(begin).map_err(store_error)?;
            Ok(SqliteSide {
                conn: Arc::new(Mutex::new(conn)),
            })
        });
        opened
            .await
            .map_err(|error| StoreError::Panicked(error.to_string()))?
    }

    /// Does something on a thread that may wait.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let conn = self.conn.clone();
        let called = tokio::task::spawn_blocking(move || {
            // Its transaction is rolled back when anything fails.
            work(&conn.lock().unwrap_or_else(PoisonError::into_inner))
        });
        called
            .await
            .map_err(|error| StoreError::Panicked(error.to_string()))?
    }

    /// Who holds a subscription now, and which.
    pub(crate) async fn holder(&self) -> Result<Option<String>, StoreError> {
        self.call(|conn| {
            let clock = boot_clock::now();
            conn.prepare(
                "SELECT lower(hex(holder)) || ' holds ' || name FROM subscriptions
                 WHERE holder IS NOT NULL AND lease_boot = ?1 AND lease_until_ms > ?2",
            )
            .and_then(|mut statement| {
                let mut rows = statement.query(rusqlite::params![clock.boot, clock.ms])?;
                rows.next()?.map(|row| row.get(0)).transpose()
            })
            .map_err(store_error)
        })
        .await
    }

    /// All tables but those of the events and of the migrations.
    pub(crate) async fn tables(&self) -> Result<Vec<Table>, StoreError> {
        self.call(tables).await
    }

    /// A trigger, if there is one.
    pub(crate) async fn trigger(&self) -> Result<Option<String>, StoreError> {
        self.call(|conn| {
            conn.prepare(
                "SELECT tbl_name || ': ' || name FROM sqlite_schema WHERE type = 'trigger'",
            )
            .and_then(|mut statement| {
                let mut rows = statement.query([])?;
                rows.next()?.map(|row| row.get(0)).transpose()
            })
            .map_err(store_error)
        })
        .await
    }

    pub(crate) async fn count(&self, table: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", quoted(table));
        let count: i64 = self
            .call(move |conn| {
                conn.query_row(&sql, [], |row| row.get(0))
                    .map_err(store_error)
            })
            .await?;
        Ok(count.unsigned_abs())
    }

    /// The rows of a table, by its key.
    pub(crate) fn rows(&self, table: &Table) -> Rows {
        let columns: Vec<String> = table.columns.iter().map(|c| quoted(&c.name)).collect();
        let order: Vec<String> = table
            .key_indexes()
            .into_iter()
            .filter_map(|index| columns.get(index))
            .map(|column| format!("{column} COLLATE BINARY"))
            .collect();
        self.read(format!(
            "SELECT {} FROM {} ORDER BY {}",
            columns.join(", "),
            quoted(&table.name),
            order.join(", ")
        ))
    }

    /// All events by feed and position.
    pub(crate) fn events(&self) -> Rows {
        self.read(
            r#"SELECT feed, position, recorded_us, "check", id, type, subject, version, time_us, datacontenttype, dataschema,
                   traceparent, causationid, correlationid, extensions, data
               FROM outbox ORDER BY feed_position"#
                .to_owned(),
        )
    }

    /// Subject, version, feed and position of all events, by subject and version.
    pub(crate) fn versions(&self) -> Rows {
        self.read(
            "SELECT subject, version, feed, position FROM outbox ORDER BY subject, version"
                .to_owned(),
        )
    }

    /// Events without a place: none, since each gets its own when it is appended.
    pub(crate) async fn unplaced(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// What the file itself has to complain of.
    pub(crate) async fn complaints(&self) -> Result<Vec<String>, StoreError> {
        self.call(|conn| {
            let mut told: Vec<String> = conn
                .prepare("PRAGMA quick_check(10)")
                .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
                .map_err(store_error)?;
            told.retain(|line| line != "ok");
            let orphans: Vec<String> = conn
                .prepare(
                    r#"SELECT DISTINCT "table" || ' refers to a row of ' || parent || ' that is not there'
                       FROM pragma_foreign_key_check LIMIT 10"#,
                )
                .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
                .map_err(store_error)?;
            told.extend(orphans);
            Ok(told)
        })
        .await
    }

    /// Reads the rows of a query on a thread of its own, which holds the connection until they are read.
    fn read(&self, sql: String) -> Rows {
        let (sender, receiver) = mpsc::channel(MOVED_BATCHES_AHEAD_MAX);
        let conn = self.conn.clone();
        tokio::task::spawn_blocking(move || {
            let conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = send_rows(&conn, &sql, &sender) {
                // Nobody waits for it any more when this fails.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Rows::Read(receiver)
    }

    pub(crate) async fn delete_all(&self, table: &str) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM {}", quoted(table));
        self.call(move |conn| conn.execute(&sql, []).map(drop).map_err(store_error))
            .await
    }

    pub(crate) async fn insert(
        &self,
        table: &Table,
        rows: Vec<MovedRow>,
    ) -> Result<(), StoreError> {
        let columns: Vec<String> = table.columns.iter().map(|c| quoted(&c.name)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(&table.name),
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        self.insert_rows(sql, rows).await
    }

    pub(crate) async fn insert_events(&self, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        let columns = STORED_COLUMNS.split(',').count();
        let sql = format!(
            "INSERT INTO outbox ({STORED_COLUMNS}) VALUES ({})",
            vec!["?"; columns].join(", ")
        );
        let rows = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
        self.insert_rows(sql, rows).await
    }

    async fn insert_rows(&self, sql: String, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        self.call(move |conn| {
            let mut statement = conn.prepare_cached(&sql).map_err(store_error)?;
            for row in &rows {
                statement
                    .execute(params_from_iter(row.iter()))
                    .map_err(store_error)?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps what was written.
    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        self.call(|conn| conn.execute_batch("ANALYZE; COMMIT").map_err(store_error))
            .await
    }
}

/// An event on its way as a row of the outbox.
fn stored(event: MovedRow) -> Result<MovedRow, StoreError> {
    let wrong = || StoreError::Corrupt("an event has no place".to_owned());
    let (Some(OwnedValue::Integer(feed)), Some(OwnedValue::Integer(position))) =
        (event.get(Event::FEED), event.get(Event::POSITION))
    else {
        return Err(wrong());
    };
    let position = u64::try_from(*position).map_err(|_| wrong())?;
    let key = OwnedValue::Integer(key(*feed, position));
    let mut values = event.into_iter().skip(Event::RECORDED_US);
    let (recorded_us, check) = (
        values.next().ok_or_else(wrong)?,
        values.next().ok_or_else(wrong)?,
    );
    // The order of `STORED_COLUMNS`: what was appended up to its time stands before the two.
    let mut row = vec![key];
    row.extend(values.by_ref().take(5));
    row.extend([recorded_us, check]);
    row.extend(values);
    Ok(row)
}

fn send_rows(
    conn: &Connection,
    sql: &str,
    sender: &mpsc::Sender<Result<Vec<MovedRow>, StoreError>>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare(sql).map_err(store_error)?;
    let columns = statement.column_count();
    let mut rows = statement.query([]).map_err(store_error)?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next().map_err(store_error)? {
        let mut values = Vec::with_capacity(columns);
        for index in 0..columns {
            let value = row.get_ref(index).map_err(store_error)?;
            let value = borrowed(value).map_err(|reason| StoreError::Column {
                column: row.as_ref().column_name(index).unwrap_or("?").to_owned(),
                reason,
            })?;
            values.push(OwnedValue::from(&value));
        }
        if let Some(rows) = batch.push(values)
            && sender.blocking_send(Ok(rows)).is_err()
        {
            return Ok(());
        }
    }
    if let Some(rows) = batch.rest() {
        let _ = sender.blocking_send(Ok(rows));
    }
    Ok(())
}

fn tables(conn: &Connection) -> Result<Vec<Table>, StoreError> {
    let names: Vec<String> = conn
        .prepare(
            r"SELECT name FROM sqlite_schema
              WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE '%\_migrations' ESCAPE '\'
              ORDER BY name",
        )
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(store_error)?;
    names
        .into_iter()
        .filter(|name| !SPECIAL.contains(&name.as_str()))
        .map(|name| table(conn, name))
        .collect()
}

fn table(conn: &Connection, name: String) -> Result<Table, StoreError> {
    type Found = (String, String, bool, u32);
    let found: Vec<Found> = conn
        .prepare(
            r#"SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid"#,
        )
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            statement.query_map([&name], read)?.collect()
        })
        .map_err(store_error)?;
    let mut key: Vec<(u32, String)> = found
        .iter()
        .filter(|(_, _, _, place)| *place > 0)
        .map(|(name, _, _, place)| (*place, name.clone()))
        .collect();
    key.sort_unstable();
    let columns = found.into_iter().map(|(name, kind, not_null, _)| Column {
        name,
        kind: kind_of(&kind),
        not_null,
    });
    Ok(Table {
        columns: columns.collect(),
        key: key.into_iter().map(|(_, name)| name).collect(),
        name,
    })
}

/// By the rules of affinity (sqlite.org/datatype3.html), as far as they lead to what is taken.
fn kind_of(declared: &str) -> Kind {
    let upper = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if has(&["INT"]) {
        Kind::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Kind::Text
    } else if has(&["BLOB"]) {
        Kind::Blob
    } else {
        Kind::Other(format!("of type {declared:?}"))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl ToSql for OwnedValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.borrow() {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
