//! A database whose service is taken over, or compared: all SQL that does so, but for what is the sequencer's.

use std::collections::HashMap;
use std::pin::{Pin, pin};

use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, RowStream};
use tokio_util::task::AbortOnDropHandle;

use super::address::{self, Address};
use super::failure::store_error;
use super::feeds::column;
use super::sequencer::{Sequencer, insert_batches_behind_copies};
use super::values::Xid;
use super::{migrate, sessions};
use crate::error::StoreError;
use crate::limits::{MOVED_IDLE_MS_MAX, MOVED_LOCK_MS_MAX};
use crate::moving::{Batch, Column, EVENT_COLUMNS, Event, Kind, MovedRow, Rows, SPECIAL, Table};
use crate::store::{OwnedValue, Value};

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
                side.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
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
        let of_places = |name: &String| ["positions", "sequencer_batches", "epochs"].contains(&name.as_str());
        let later: Vec<String> = tables.extract_if(.., |name| of_places(name)).collect();
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE").await?;
        self.lock(&tables, "SHARE").await?;
        let connected = sessions::connect(address, |_| {}).await?;
        let sequencer = Sequencer::new(connected.client, String::new()).await?;
        for feed in sequencer.pending().await? {
            while sequencer.sequence(feed).await?.more {}
        }
        self.lock(&later, "SHARE").await
    }

    async fn begin_target(&mut self) -> Result<(), StoreError> {
        let tables = self.all_tables().await?;
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        // Readers may go on reading that there is nothing.
        self.lock(&tables, "EXCLUSIVE").await?;
        // A row may come before the one that it refers to: it is looked at in the end.
        for (table, name) in self.references().await? {
            self.run(&format!(
                "ALTER TABLE {table} ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED"
            ))
            .await?;
        }
        let row = self.client.query_one("SELECT pg_current_xact_id()", &[]).await;
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
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
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

    /// Who holds a subscription now, and which.
    pub(crate) async fn holder(&self) -> Result<Option<String>, StoreError> {
        let row = self
            .client
            .query_opt(
                "SELECT encode(holder, 'hex') || ' holds ' || name FROM subscriptions
                 WHERE holder IS NOT NULL AND lease_until_ms > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
                 LIMIT 1",
                &[],
            )
            .await
            .map_err(store_error)?;
        row.map(|row| column(&row, 0)).transpose()
    }

    /// All tables but those of the events and of the migrations.
    pub(crate) async fn tables(&self) -> Result<Vec<Table>, StoreError> {
        let rows = self
            .client
            .query(
                r"SELECT c.relname::text, a.attname::text, t.typname::text, a.attnotnull,
                      (SELECT k.place FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place) WHERE k.number = a.attnum)
                  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
                  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
                  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND c.relname NOT LIKE '%\_migrations' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                  ORDER BY c.relname, a.attnum",
                &[],
            )
            .await
            .map_err(store_error)?;
        let mut tables: Vec<(Table, Vec<(i64, String)>)> = Vec::new();
        for row in &rows {
            let (name, attribute): (String, String) = (column(row, 0)?, column(row, 1)?);
            if SPECIAL.contains(&name.as_str()) {
                continue;
            }
            if tables.last().is_none_or(|(table, _)| table.name != name) {
                let (columns, key) = (Vec::new(), Vec::new());
                tables.push((Table { name, columns, key }, Vec::new()));
            }
            let Some((table, key)) = tables.last_mut() else { continue };
            if let Some(place) = column::<Option<i64>>(row, 4)? {
                key.push((place, attribute.clone()));
            }
            table.columns.push(Column {
                name: attribute,
                kind: kind_of(column(row, 2)?),
                not_null: column(row, 3)?,
            });
        }
        let with_key = tables.into_iter().map(|(mut table, mut key)| {
            key.sort_unstable();
            table.key = key.into_iter().map(|(_, name)| name).collect();
            table
        });
        Ok(with_key.collect())
    }

    /// A trigger, if there is one.
    pub(crate) async fn trigger(&self) -> Result<Option<String>, StoreError> {
        let row = self
            .client
            .query_opt(
                "SELECT t.tgrelid::regclass::text || ': ' || t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relnamespace = current_schema()::regnamespace LIMIT 1",
                &[],
            )
            .await
            .map_err(store_error)?;
        row.map(|row| column(&row, 0)).transpose()
    }

    pub(crate) async fn count(&self, table: &str) -> Result<u64, StoreError> {
        self.number(&format!("SELECT count(*) FROM {}", quoted(table))).await
    }

    async fn number(&self, sql: &str) -> Result<u64, StoreError> {
        let row = self.client.query_one(sql, &[]).await.map_err(store_error)?;
        let count: i64 = column(&row, 0)?;
        Ok(count.unsigned_abs())
    }

    /// The rows of a table, by its key in the order of bytes.
    pub(crate) async fn rows(&self, table: &Table) -> Result<Rows, StoreError> {
        let columns: Vec<String> = table.columns.iter().map(|c| quoted(&c.name)).collect();
        let order: Vec<String> = table
            .key_indexes()
            .into_iter()
            .filter_map(|index| Some((columns.get(index)?, table.columns.get(index)?)))
            .map(|(name, column)| {
                let collation = if column.kind == Kind::Text { " COLLATE \"C\"" } else { "" };
                let is_key = table.key.contains(&column.name);
                // As on SQLite; a key has none.
                let nulls = if is_key { "" } else { " NULLS FIRST" };
                format!("{name}{collation}{nulls}")
            })
            .collect();
        self.read(&format!(
            "SELECT {} FROM {} ORDER BY {}",
            columns.join(", "),
            quoted(&table.name),
            order.join(", ")
        ))
        .await
    }

    /// All events by feed and position.
    pub(crate) async fn events(&self) -> Result<Rows, StoreError> {
        self.read(
            r#"SELECT p.feed, p.position, p.recorded_us, p."check", o.id, o.type, o.subject, o.version, o.time_us,
                   o.datacontenttype, o.dataschema, o.traceparent, o.causationid, o.correlationid, o.extensions, o.data
               FROM positions p JOIN outbox o ON o.feed = p.feed AND o.xid = p.xid AND o.event_no = p.event_no
               ORDER BY p.feed, p.position"#,
        )
        .await
    }

    /// Subject, version, feed and position of all events, by subject and version; no position where there is none yet.
    pub(crate) async fn versions(&self) -> Result<Rows, StoreError> {
        self.read(
            r#"SELECT o.subject, o.version, o.feed, p.position
               FROM outbox o LEFT JOIN positions p ON p.feed = o.feed AND p.event_no = o.event_no
               ORDER BY o.subject COLLATE "C", o.version"#,
        )
        .await
    }

    /// Events without a place, and places without an event.
    pub(crate) async fn unplaced(&self) -> Result<u64, StoreError> {
        self.number(
            "SELECT count(*) FROM outbox o FULL JOIN positions p
                 ON p.event_no = o.event_no AND p.feed = o.feed AND p.xid = o.xid
             WHERE p.event_no IS NULL OR o.event_no IS NULL",
        )
        .await
    }

    /// What the server itself has to complain of: it says so by itself.
    pub(crate) async fn complaints(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn read(&self, sql: &str) -> Result<Rows, StoreError> {
        let parameters: [&(dyn ToSql + Sync); 0] = [];
        let rows = self.client.query_raw(sql, parameters).await.map_err(store_error)?;
        Ok(Rows::Sent(Box::new(MovedRows(Box::pin(rows.fuse())))))
    }

    pub(crate) async fn delete_all(&self, table: &str) -> Result<(), StoreError> {
        self.run(&format!("DELETE FROM {}", quoted(table))).await
    }

    pub(crate) async fn insert(&mut self, table: &Table, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        self.copy(&table.name, &columns, rows.iter().map(|row| row.iter().map(OwnedValue::borrow)))
            .await
    }

    pub(crate) async fn insert_events(&mut self, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        let xid = self
            .xid
            .ok_or_else(|| StoreError::Statement("the database is not open for writing".to_owned()))?;
        let first = self.event_no + 1;
        self.event_no += rows.len() as i64;
        let numbered = || rows.iter().zip(first..);
        let value = |row: &MovedRow, index: usize| row.get(index).cloned().unwrap_or(OwnedValue::Null);
        let mut columns = vec!["feed", "event_no"];
        columns.extend(&EVENT_COLUMNS[Event::ID..]);
        let events: Vec<MovedRow> = numbered()
            .map(|(row, number)| {
                let mut values = vec![value(row, Event::FEED), OwnedValue::Integer(number)];
                values.extend(row.iter().skip(Event::ID).cloned());
                values
            })
            .collect();
        self.copy("outbox", &columns, events.iter().map(|row| row.iter().map(OwnedValue::borrow)))
            .await?;
        let columns = ["feed", "position", "recorded_us", "check", "event_no", "xid"];
        let xid = Copied::Xid(xid);
        let places: Vec<Vec<Copied>> = numbered()
            .map(|(row, number)| {
                let mut values: Vec<Copied> =
                    row.iter().take(Event::ID).cloned().map(Copied::Value).collect();
                values.extend([Copied::Value(OwnedValue::Integer(number)), xid.clone()]);
                values
            })
            .collect();
        self.copy("positions", &columns, places.iter().map(|row| row.iter().cloned()))
            .await
    }

    async fn copy<R, V>(&mut self, table: &str, columns: &[&str], rows: impl Iterator<Item = R>) -> Result<(), StoreError>
    where
        R: Iterator<Item = V>,
        V: ToSql + Sync,
    {
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let (names, quoted) = (names.join(", "), quoted(table));
        if !self.types.contains_key(table) {
            let sql = format!("SELECT {names} FROM {quoted}");
            let prepared = self.client.prepare(&sql).await.map_err(store_error)?;
            let types = prepared.columns().iter().map(|c| c.type_().clone()).collect();
            self.types.insert(table.to_owned(), types);
        }
        let types = self.types.get(table).map_or(&[][..], Vec::as_slice);
        let sql = format!("COPY {quoted} ({names}) FROM STDIN BINARY");
        let said = |error: tokio_postgres::Error| match store_error(error) {
            StoreError::Statement(text) => StoreError::Statement(format!("table {table}: {text}")),
            StoreError::Constraint(text) => StoreError::Constraint(format!("table {table}: {text}")),
            error => error,
        };
        let sink = self.client.copy_in(&sql).await.map_err(said)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, types));
        for row in rows {
            let values: Vec<V> = row.collect();
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            writer.as_mut().write(&values).await.map_err(said)?;
        }
        writer.finish().await.map(drop).map_err(said)
    }

    /// Keeps what was written, after all numbers that come next were put behind it.
    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        let sequences = self
            .client
            .query(
                "SELECT format('SELECT setval(%L::regclass, greatest(max(%I), (SELECT last_value FROM %s))) FROM %s HAVING max(%I) IS NOT NULL',
                     s.name, a.attname, s.name, a.attrelid::regclass, a.attname)
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                 CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(c.oid::regclass::text, a.attname) AS name) s
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
                   AND NOT a.attisdropped AND s.name IS NOT NULL",
                &[],
            )
            .await
            .map_err(store_error)?;
        for row in &sequences {
            self.run(column(row, 0)?).await?;
        }
        insert_batches_behind_copies(&self.client, self.event_no).await?;
        self.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let deferred = self
            .client
            .query(
                "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
                 WHERE contype = 'f' AND condeferrable AND xmin = pg_current_xact_id()::xid
                   AND connamespace = current_schema()::regnamespace",
                &[],
            )
            .await
            .map_err(store_error)?;
        for row in &deferred {
            let (table, name): (&str, &str) = (column(row, 0)?, column(row, 1)?);
            self.run(&format!("ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE"))
                .await?;
        }
        self.run("ANALYZE; COMMIT").await
    }
}

/// Rows as a connection sends them.
/// They are over once: what is asked again after the end says that the connection is closed.
pub(crate) struct MovedRows(Pin<Box<Fuse<RowStream>>>);

impl MovedRows {
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<MovedRow>>, StoreError> {
        let mut batch = Batch::default();
        while let Some(row) = self.0.next().await {
            let row = row.map_err(store_error)?;
            let values = (0..row.len())
                .map(|index| column::<Value<'_>>(&row, index).map(|value| OwnedValue::from(&value)))
                .collect::<Result<MovedRow, _>>()?;
            if let Some(rows) = batch.push(values) {
                return Ok(Some(rows));
            }
        }
        Ok(batch.rest())
    }
}

/// A value of a place.
#[derive(Debug, Clone)]
enum Copied {
    Value(OwnedValue),
    Xid(Xid),
}

impl ToSql for Copied {
    fn to_sql(
        &self,
        wanted: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Copied::Value(value) => value.borrow().to_sql(wanted, out),
            Copied::Xid(xid) => xid.to_sql(wanted, out),
        }
    }

    /// Which values go where is known when there is one.
    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

fn kind_of(name: &str) -> Kind {
    match name {
        "int8" | "int4" | "int2" | "bool" => Kind::Integer,
        "text" | "varchar" | "bpchar" | "name" => Kind::Text,
        "bytea" | "uuid" => Kind::Blob,
        other => Kind::Other(format!("of type {other:?}")),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
