//! Bringing a file's schema up to date, one process at a time.

use std::fs::File;
use std::path::Path;

use refinery::{Migration, Runner, error::Kind};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::store::Migrations;

const OWN: [(&str, &str); 4] = [
    (
        "V1__feeds",
        include_str!("../../migrations/sqlite/V1__feeds.sql"),
    ),
    (
        "V2__pruning",
        include_str!("../../migrations/sqlite/V2__pruning.sql"),
    ),
    (
        "V3__consumers",
        include_str!("../../migrations/sqlite/V3__consumers.sql"),
    ),
    (
        "V4__timers",
        include_str!("../../migrations/sqlite/V4__timers.sql"),
    ),
];
const OWN_TABLE: &str = "feed_core_migrations";

/// Applies this crate's migrations, then the service's.
///
/// A lock on a file beside the database lets `serve` and `poll` start together: refinery takes none itself.
pub(super) fn migrate(
    conn: &mut Connection,
    path: &Path,
    service: Migrations,
) -> Result<(), StoreError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let unlockable = |error: std::io::Error| StoreError::Open {
        path: lock_path.to_string_lossy().into_owned(),
        reason: error.to_string(),
    };
    let lock = File::create(&lock_path).map_err(unlockable)?;
    lock.lock().map_err(unlockable)?;
    run(conn, &OWN, OWN_TABLE)?;
    if !service
        .owner
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b == b'_')
        || service.owner == "feed_core"
    {
        return Err(StoreError::Migration(format!(
            "{:?} cannot own migrations: a-z and _ only",
            service.owner
        )));
    }
    run(
        conn,
        service.sqlite,
        &format!("{}_migrations", service.owner),
    )
    // The lock ends with the file handle.
}

fn run(conn: &mut Connection, migrations: &[(&str, &str)], table: &str) -> Result<(), StoreError> {
    if migrations.is_empty() {
        return Ok(());
    }
    let migrations = migrations
        .iter()
        .map(|(name, sql)| {
            Migration::unapplied(name, sql)
                .map_err(|error| StoreError::Migration(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut runner = Runner::new(&migrations);
    runner.set_migration_table_name(table);
    match runner.run(conn) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            // Applied in the file and unknown here: a newer program was there before.
            Kind::MissingVersion(migration) => StoreError::NewerSchema {
                name: migration.to_string(),
            },
            _ => StoreError::Migration(error.to_string()),
        }),
    }
}
