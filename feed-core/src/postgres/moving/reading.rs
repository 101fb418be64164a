//! Reading: tables and columns as others have them, and rows as they come.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio_postgres::RowStream;
use tokio_postgres::types::ToSql;

use super::{PostgresSide, quoted};
use crate::error::StoreError;
use crate::moving::{Batch, Column, Kind, MovedRow, Rows, SPECIAL, Table};
use crate::postgres::failure::store_error;
use crate::postgres::feeds::column;
use crate::store::{OwnedValue, Value};

impl PostgresSide {
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
            let Some((table, key)) = tables.last_mut() else {
                continue;
            };
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
        self.number(&format!("SELECT count(*) FROM {}", quoted(table)))
            .await
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
                let collation = if column.kind == Kind::Text {
                    " COLLATE \"C\""
                } else {
                    ""
                };
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
               FROM outbox o LEFT JOIN positions p ON p.feed = o.feed AND p.event_no = o.event_no AND p.xid = o.xid
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
        let rows = self
            .client
            .query_raw(sql, parameters)
            .await
            .map_err(store_error)?;
        Ok(Rows::Sent(Box::new(MovedRows(Box::pin(rows.fuse())))))
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

fn kind_of(name: &str) -> Kind {
    match name {
        "int8" | "int4" | "int2" | "bool" => Kind::Integer,
        "text" | "varchar" | "bpchar" | "name" => Kind::Text,
        "bytea" | "uuid" => Kind::Blob,
        other => Kind::Other(format!("of type {other:?}")),
    }
}
