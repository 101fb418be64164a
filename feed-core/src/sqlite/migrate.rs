//! Bringing a file's schema up to date, one process at a time; or only looking whether it is.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use refinery::{Migration, Runner, error::Kind};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::store_error;
use crate::error::StoreError;
use crate::limits::WRITE_BUSY_MS_MAX;
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
    refuse_other_services(conn, path, service)?;
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

/// A database is one service's: tables of two would get into each other's way. Nothing is changed in a file of another.
fn refuse_other_services(
    conn: &Connection,
    path: &Path,
    service: Migrations,
) -> Result<(), StoreError> {
    if service.sqlite.is_empty() {
        return Ok(());
    }
    let own = format!("{}_migrations", service.owner);
    let owners: Vec<String> = conn
        .prepare(r"SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\_migrations' ESCAPE '\'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(store_error)?;
    let is_own = owners.contains(&own);
    match owners
        .into_iter()
        .find(|table| *table != own && table != OWN_TABLE)
    {
        Some(other) if !is_own => Err(StoreError::Open {
            path: path.display().to_string(),
            reason: format!(
                "it is the database of another service ({}, not {}): each has one of its own",
                other.trim_end_matches("_migrations"),
                service.owner
            ),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a file that is not there, holds no database of this crate, or has another schema than this program's. Nothing
/// is created and nothing is changed.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let wrong = |reason: String| StoreError::Open {
        path: path.display().to_string(),
        reason,
    };
    let file = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !file.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    let applied = applied(path).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => wrong("it is no SQLite database".to_owned()),
        _ => wrong(error.to_string()),
    })?;
    if applied.is_empty() {
        return Err(wrong(
            "it is no database of a Feedway service: it has no feeds and no subscriptions"
                .to_owned(),
        ));
    }
    let known = |name: &String| OWN.iter().any(|(own, _)| own == name);
    if let Some(name) = applied.iter().find(|name| !known(name)) {
        return Err(StoreError::NewerSchema { name: name.clone() });
    }
    let missing = OWN
        .iter()
        .find(|(own, _)| !applied.iter().any(|name| name == own));
    match missing {
        None => Ok(()),
        Some((own, _)) => Err(wrong(format!(
            "it has not got migration {own:?} yet: start its service once in the version of this program"
        ))),
    }
}

/// The names of this crate's migrations that were applied to the file; none when it is another program's.
fn applied(path: &Path) -> rusqlite::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX))?;
    if !conn.table_exists(None, OWN_TABLE)? {
        return Ok(Vec::new());
    }
    let mut rows = conn.prepare(&format!(
        "SELECT 'V' || version || '__' || name FROM {OWN_TABLE} ORDER BY version"
    ))?;
    rows.query_map([], |row| row.get(0))?.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        check(path).unwrap_err().to_string()
    }

    #[test]
    fn only_a_database_with_the_schema_of_this_program_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.db");
        assert!(
            refused(&path).contains("No such file"),
            "{}",
            refused(&path)
        );
        assert!(!path.exists());
        assert!(refused(folder.path()).contains("it is no file"));

        std::fs::write(
            &path,
            "a shopping list, long enough to be looked at: bread, butter, jam",
        )
        .unwrap();
        assert!(
            refused(&path).contains("no SQLite database"),
            "{}",
            refused(&path)
        );
        std::fs::remove_file(&path).unwrap();

        let mut conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE birds (name TEXT)")
            .unwrap();
        assert!(refused(&path).contains("no database of a Feedway service"));
        run(&mut conn, &OWN[..2], OWN_TABLE).unwrap();
        assert!(
            refused(&path).contains("V3__consumers"),
            "{}",
            refused(&path)
        );
        run(&mut conn, &OWN, OWN_TABLE).unwrap();
        check(&path).unwrap();
        conn.execute_batch(
            "INSERT INTO feed_core_migrations (version, name, applied_on, checksum) VALUES (99, 'later', '', '')",
        )
        .unwrap();
        assert!(
            matches!(check(&path), Err(StoreError::NewerSchema { name }) if name == "V99__later")
        );
    }
}
