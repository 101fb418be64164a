//! Bringing a database's schema up to date, one process at a time; or only looking whether it is.

use std::time::Duration;

use tokio_postgres::Client;

use super::address::Address;
use super::failure::store_error;
use super::feeds::column;
use super::sessions::connect;
use crate::error::StoreError;
use crate::limits::POSTGRES_MIGRATE_MS_MAX;
use crate::store::{Migrations, migrating};

const OWN: [(&str, &str); 4] = [
    (
        "V1__feeds",
        include_str!("../../migrations/postgres/V1__feeds.sql"),
    ),
    (
        "V2__consumers",
        include_str!("../../migrations/postgres/V2__consumers.sql"),
    ),
    (
        "V3__timers",
        include_str!("../../migrations/postgres/V3__timers.sql"),
    ),
    (
        "V4__partitions",
        include_str!("../../migrations/postgres/V4__partitions.sql"),
    ),
];

/// What the database says of itself when it is opened.
pub(super) struct Opened {
    /// Of the schema that the service's tables are in: another one for each service, also within one database.
    pub(super) namespace: u32,
    pub(super) clock_ms: i64,
}

/// Applies this crate's migrations, then the service's; without any, and on a standby, only looks whether they were.
///
/// An advisory lock lets several instances start at the same time: refinery takes none itself.
pub(super) async fn migrate(
    address: &Address,
    migrations: Option<Migrations>,
) -> Result<Opened, StoreError> {
    let mut connected = connect(address, |_| {}).await?;
    let client = &mut connected.client;
    let row = client
        .query_one(
            "SELECT pg_is_in_recovery(), n.oid, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT),
                 current_setting('server_version_num')::bigint, current_setting('fsync')
             FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = current_schema()",
            &[],
        )
        .await
        .map_err(store_error)?;
    let wrong = |reason: String| StoreError::Open {
        path: address.shown.clone(),
        reason,
    };
    let version: i64 = column(&row, 3)?;
    if version < VERSION_MIN {
        return Err(wrong(format!(
            "PostgreSQL {} is too old: {} or newer is needed",
            version / 10_000,
            VERSION_MIN / 10_000
        )));
    }
    if column::<&str>(&row, 4)? == "off" {
        tracing::warn!(
            "the database runs with fsync=off: what it acknowledged may be lost when the machine goes down"
        );
    }
    let namespace: Option<u32> = column(&row, 1)?;
    let opened = Opened {
        namespace: namespace
            .ok_or_else(|| wrong("its search_path names no schema that is there".to_owned()))?,
        clock_ms: column(&row, 2)?,
    };
    let is_standby: bool = column(&row, 0)?;
    match migrations {
        Some(migrations) if !is_standby => {
            let limit = Duration::from_millis(POSTGRES_MIGRATE_MS_MAX);
            tokio::time::timeout(limit, apply(client, address, migrations))
                .await
                .map_err(|_| {
                    StoreError::Migration(format!("not done after {POSTGRES_MIGRATE_MS_MAX} ms"))
                })??;
        }
        Some(_) | None => check(client, address).await?,
    }
    Ok(opened)
}

/// `xid8` and `pg_current_snapshot` came with 13.
const VERSION_MIN: i64 = 130_000;

async fn apply(
    client: &mut Client,
    address: &Address,
    service: Migrations,
) -> Result<(), StoreError> {
    migrating::check_owner(&service)?;
    // Held by the session, which ends when this function's caller is done.
    client
        .batch_execute(
            "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
             SELECT pg_advisory_lock((oid::bigint << 32) | 4294967295) FROM pg_namespace WHERE nspname = current_schema()",
        )
        .await
        .map_err(store_error)?;
    let owners: Vec<String> = client
        .query(
            r"SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE '%\_migrations'",
            &[],
        )
        .await
        .map_err(store_error)?
        .iter()
        .map(|row| column(row, 0))
        .collect::<Result<_, _>>()?;
    if let Some(reason) = migrating::other_owner(owners, &service, !service.postgres.is_empty()) {
        return Err(StoreError::Open {
            path: address.shown.clone(),
            reason,
        });
    }
    run(client, &OWN, migrating::OWN_TABLE).await?;
    run(client, service.postgres, &migrating::table_of(&service)).await
}

async fn run(
    client: &mut Client,
    migrations: &[(&str, &str)],
    table: &str,
) -> Result<(), StoreError> {
    let Some(runner) = migrating::runner(migrations, table)? else {
        return Ok(());
    };
    runner
        .run_async(client)
        .await
        .map(drop)
        .map_err(|error| migrating::failed(&error))
}

/// Refuses a database that is none of this crate, or has another schema than this program's. Nothing is changed.
async fn check(client: &Client, address: &Address) -> Result<(), StoreError> {
    let wrong = |reason: String| StoreError::Open {
        path: address.shown.clone(),
        reason,
    };
    let table = client
        .query_one("SELECT to_regclass($1)::text", &[&migrating::OWN_TABLE])
        .await
        .map_err(store_error)?;
    let mut applied = Vec::new();
    if column::<Option<String>>(&table, 0)?.is_some() {
        let sql = format!(
            "SELECT 'V' || version || '__' || name FROM {} ORDER BY version",
            migrating::OWN_TABLE
        );
        for row in client.query(&sql, &[]).await.map_err(store_error)? {
            applied.push(column::<String>(&row, 0)?);
        }
    }
    migrating::check_applied(&applied, &OWN).map_err(|unfit| unfit.into_error(wrong))
}
