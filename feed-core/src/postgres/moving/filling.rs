//! Writing: rows by COPY, then the numbers that come next, and where the sequencer goes on.

use std::pin::pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::{PostgresSide, quoted};
use crate::error::StoreError;
use crate::moving::{EVENT_COLUMNS, Event, MovedRow, Table};
use crate::postgres::failure::store_error;
use crate::postgres::feeds::column;
use crate::postgres::sequencer::insert_batches_behind_copies;
use crate::postgres::values::Xid;
use crate::store::OwnedValue;

impl PostgresSide {
    pub(crate) async fn delete_all(&self, table: &str) -> Result<(), StoreError> {
        self.run(&format!("DELETE FROM {}", quoted(table))).await
    }

    pub(crate) async fn insert(
        &mut self,
        table: &Table,
        rows: Vec<MovedRow>,
    ) -> Result<(), StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        self.copy(
            &table.name,
            &columns,
            rows.iter().map(|row| row.iter().map(OwnedValue::borrow)),
        )
        .await
    }

    pub(crate) async fn insert_events(&mut self, rows: Vec<MovedRow>) -> Result<(), StoreError> {
        let xid = self.xid.ok_or_else(|| {
            StoreError::Statement("the database is not open for writing".to_owned())
        })?;
        let first = self.event_no + 1;
        self.event_no += rows.len() as i64;
        let numbered = || rows.iter().zip(first..);
        let value =
            |row: &MovedRow, index: usize| row.get(index).cloned().unwrap_or(OwnedValue::Null);
        let mut columns = vec!["feed", "event_no"];
        columns.extend(&EVENT_COLUMNS[Event::ID..]);
        let events: Vec<MovedRow> = numbered()
            .map(|(row, number)| {
                let mut values = vec![value(row, Event::FEED), OwnedValue::Integer(number)];
                values.extend(row.iter().skip(Event::ID).cloned());
                values
            })
            .collect();
        self.copy(
            "outbox",
            &columns,
            events.iter().map(|row| row.iter().map(OwnedValue::borrow)),
        )
        .await?;
        let columns = [
            "feed",
            "position",
            "recorded_us",
            "check",
            "event_no",
            "xid",
        ];
        let xid = Copied::Xid(xid);
        let places: Vec<Vec<Copied>> = numbered()
            .map(|(row, number)| {
                let mut values: Vec<Copied> = row
                    .iter()
                    .take(Event::ID)
                    .cloned()
                    .map(Copied::Value)
                    .collect();
                values.extend([Copied::Value(OwnedValue::Integer(number)), xid.clone()]);
                values
            })
            .collect();
        self.copy(
            "positions",
            &columns,
            places.iter().map(|row| row.iter().cloned()),
        )
        .await
    }

    async fn copy<R, V>(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: impl Iterator<Item = R>,
    ) -> Result<(), StoreError>
    where
        R: Iterator<Item = V>,
        V: ToSql + Sync,
    {
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let (names, quoted) = (names.join(", "), quoted(table));
        if !self.types.contains_key(table) {
            let sql = format!("SELECT {names} FROM {quoted}");
            let prepared = self.client.prepare(&sql).await.map_err(store_error)?;
            let types = prepared
                .columns()
                .iter()
                .map(|c| c.type_().clone())
                .collect();
            self.types.insert(table.to_owned(), types);
        }
        let types = self.types.get(table).map_or(&[][..], Vec::as_slice);
        let sql = format!("COPY {quoted} ({names}) FROM STDIN BINARY");
        let said = |error: tokio_postgres::Error| match store_error(error) {
            StoreError::Statement(text) => StoreError::Statement(format!("table {table}: {text}")),
            StoreError::Constraint(text) => {
                StoreError::Constraint(format!("table {table}: {text}"))
            }
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
            self.run(&format!(
                "ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE"
            ))
            .await?;
        }
        self.run("ANALYZE; COMMIT").await
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
