//! The books in a database of PostgreSQL.

use feed_core::EventId;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Applied, Books, Kept, Published};
use crate::failure::{Context, Failure};
use crate::postgres::connect;

pub(super) async fn read(url: &str) -> Result<Books, Failure> {
    let client = connect(url).await?;
    // All of it as of one moment; it ends with the connection.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await.context(begin)?;
    let mut books = Books::default();
    let sql = "SELECT cursor, state, coalesce(reason, '') FROM subscriptions";
    if let Some(row) = rows(&client, sql).await?.first() {
        books.stands_at(column(row, 0)?);
        (books.state, books.reason) = (column(row, 1)?, column(row, 2)?);
    }
    let ledger = rows(&client, "SELECT to_regclass('fault_ledger') IS NOT NULL").await?;
    if ledger.first().map(|row| column(row, 0)).transpose()? == Some(true) {
        let sql =
            "SELECT position, event_id, subject, fence, holder FROM fault_ledger ORDER BY row";
        for row in rows(&client, sql).await? {
            let id: Vec<u8> = column(&row, 1)?;
            books.applied.push(Applied {
                position: position(&row, 0)?,
                id: EventId::from_bytes(id.try_into().ok().context("an id has 16 bytes")?),
                subject: column(&row, 2)?,
                fence: column(&row, 3)?,
                holder: column(&row, 4)?,
            });
        }
    }
    let sql =
        "SELECT position, state, coalesce(error, '') FROM subscription_events ORDER BY position";
    for row in rows(&client, sql).await? {
        books.kept.push(Kept {
            position: position(&row, 0)?,
            state: column(&row, 1)?,
            error: column(&row, 2)?,
        });
    }
    let sql = "SELECT p.position, o.id, o.subject, o.causationid
               FROM outbox o LEFT JOIN positions p ON p.event_no = o.event_no AND p.xid = o.xid ORDER BY p.position";
    let id = |id: Uuid| EventId::from_bytes(id.into_bytes());
    for row in rows(&client, sql).await? {
        let subject: String = column(&row, 2)?;
        if column::<Option<i64>>(&row, 0)?.is_none() {
            books.unplaced.push(subject);
            continue;
        }
        books.published.push(Published {
            position: position(&row, 0)?,
            id: id(column(&row, 1)?),
            subject,
            cause: column::<Option<Uuid>>(&row, 3)?.map(id),
        });
    }
    let batches = rows(&client, "SELECT max(batch) FROM sequencer_batches").await?;
    if let Some(row) = batches.first() {
        books.batches = column::<Option<i64>>(row, 0)?.map(i64::unsigned_abs);
    }
    Ok(books)
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Row>, Failure> {
    client.query(sql, &[]).await.context(sql)
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).context("a column of the books")
}

fn position(row: &Row, index: usize) -> Result<u64, Failure> {
    Ok(column::<i64>(row, index)?.unsigned_abs())
}
