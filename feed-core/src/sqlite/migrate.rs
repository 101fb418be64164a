//! Bringing a file's schema up to date, one process at a time; or only looking whether it is.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::store_error;
use crate::error::StoreError;
use crate::limits::WRITE_BUSY_MS_MAX;
use crate::store::{Migrations, migrating};

const OWN: [(&str, &str); 5] = [
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
    (
        "V5__partitions",
        include_str!("../../migrations/sqlite/V5__partitions.sql"),
    ),
];

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
    migrating::check_owner(&service)?;
    let histories: Vec<String> = conn
        .prepare(r"SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\_migrations' ESCAPE '\'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(store_error)?;
    // Nothing is changed in a file of another service.
    if let Some(reason) = migrating::other_owner(histories, &service, !service.sqlite.is_empty()) {
        return Err(StoreError::Open {
            path: path.display().to_string(),
            reason,
        });
    }
    run(conn, &OWN, migrating::OWN_TABLE)?;
    run(conn, service.sqlite, &migrating::table_of(&service))
    // The lock ends with the file handle.
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
    migrating::check_applied(&applied, &OWN).map_err(|unfit| unfit.into_error(wrong))
}

/// The names of this crate's migrations that were applied to the file; none when it is another program's.
fn applied(path: &Path) -> rusqlite::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX))?;
    if !conn.table_exists(None, migrating::OWN_TABLE)? {
        return Ok(Vec::new());
    }
    let mut rows = conn.prepare(&format!(
        "SELECT 'V' || version || '__' || name FROM {} ORDER BY version",
        migrating::OWN_TABLE
    ))?;
    rows.query_map([], |row| row.get(0))?.collect()
}

fn run(conn: &mut Connection, migrations: &[(&str, &str)], table: &str) -> Result<(), StoreError> {
    let Some(runner) = migrating::runner(migrations, table)? else {
        return Ok(());
    };
    runner
        .run(conn)
        .map(drop)
        .map_err(|error| migrating::failed(&error))
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
        run(&mut conn, &OWN[..2], migrating::OWN_TABLE).unwrap();
        assert!(
            refused(&path).contains("V3__consumers"),
            "{}",
            refused(&path)
        );
        run(&mut conn, &OWN, migrating::OWN_TABLE).unwrap();
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
