//! Opening a connection as we need it, and what SQLite's errors mean.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::time_limit;
use crate::error::StoreError;
use crate::limits::{WAL_BYTES_KEPT_MAX, WRITE_BUSY_MS_MAX};

/// Older versions can lose commits: a checkpoint that races with a WAL reset (3.7.0 to 3.51.2).
const LIBRARY_VERSION_MIN: i32 = 3_051_003;
const LIBRARY_VERSION_MIN_TEXT: &str = "3.51.3";
/// Statements that a connection keeps prepared.
const STATEMENTS_CACHED: usize = 128;

pub(super) fn check_library() -> Result<(), StoreError> {
    if rusqlite::version_number() < LIBRARY_VERSION_MIN {
        return Err(StoreError::LibraryTooOld {
            found: rusqlite::version().to_owned(),
            needed: LIBRARY_VERSION_MIN_TEXT,
        });
    }
    Ok(())
}

/// The one connection that writes: every commit is synced before it is acknowledged (invariant I2).
pub(super) fn open_writer(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let opened = |error: rusqlite::Error| StoreError::Open {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let conn = Connection::open_with_flags(path, flags).map_err(opened)?;
    conn.busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX))
        .map_err(opened)?;
    if conn.is_readonly(rusqlite::MAIN_DB).map_err(opened)? {
        return Err(StoreError::Open {
            path: path.display().to_string(),
            reason: "the file may not be written: check its owner and permissions".to_owned(),
        });
    }
    let mode: String = conn
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(opened)?;
    if mode != "wal" {
        return Err(StoreError::Open {
            path: path.display().to_string(),
            reason: format!("journal mode is {mode}, WAL is needed (not on a network file system)"),
        });
    }
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = {WAL_BYTES_KEPT_MAX};"
    ))
    .map_err(opened)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(conn)
}

/// What every reader is set to: it never writes and never waits for the writer.
pub(super) fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_millis(WRITE_BUSY_MS_MAX))?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 268435456;")?;
    time_limit::watch(conn)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(())
}

/// What an error of SQLite means to a caller.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error {
        rusqlite::Error::SqliteFailure(failure, _)
        | rusqlite::Error::SqlInputError { error: failure, .. } => match failure.code {
            ErrorCode::ConstraintViolation => StoreError::Constraint(text),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => StoreError::Unavailable(text),
            ErrorCode::OperationInterrupted => StoreError::TimeLimit {
                ms_max: time_limit::ms_max(),
            },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(text),
            ErrorCode::ReadOnly => StoreError::ReadOnly,
            ErrorCode::Unknown
            | ErrorCode::TypeMismatch
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::ApiMisuse => StoreError::Statement(text),
            _ => StoreError::Database(text),
        },
        rusqlite::Error::FromSqlConversionFailure(column, _, _)
        | rusqlite::Error::IntegralValueOutOfRange(column, _)
        | rusqlite::Error::InvalidColumnType(column, _, _) => StoreError::Column {
            column: column.to_string(),
            reason: text,
        },
        _ => StoreError::Statement(text),
    }
}
