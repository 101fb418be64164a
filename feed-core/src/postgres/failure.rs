//! What PostgreSQL's errors mean to a caller.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::address::explain;
use crate::error::StoreError;
use crate::limits::POSTGRES_STATEMENT_MS_MAX;

pub(super) fn store_error(error: Error) -> StoreError {
    let Some(said) = error.as_db_error() else {
        // The connection was lost, or the value does not fit the statement.
        let text = explain(&error);
        return if error.is_closed()
            || text.contains("communicating with the server")
            || text.contains("connect")
        {
            StoreError::Unavailable(text)
        } else {
            StoreError::Statement(text)
        };
    };
    let mut text = said.message().to_owned();
    if let Some(detail) = said.detail() {
        text = format!("{text}: {detail}");
    }
    let code = said.code();
    if *code == SqlState::QUERY_CANCELED {
        return StoreError::TimeLimit {
            ms_max: POSTGRES_STATEMENT_MS_MAX,
        };
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return StoreError::ReadOnly;
    }
    if is_worth_another_try(code)
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
    {
        return StoreError::Unavailable(text);
    }
    // The first two characters are the class (postgresql.org/docs/current/errcodes-appendix.html).
    match code.code().get(..2) {
        Some("23") => StoreError::Constraint(text),
        Some("08" | "57" | "40") => StoreError::Unavailable(text),
        Some("53") if *code == SqlState::TOO_MANY_CONNECTIONS => StoreError::Unavailable(text),
        Some("0A" | "21" | "22" | "25" | "2F" | "42" | "P0" | "34" | "26") => {
            StoreError::Statement(text)
        }
        Some("XX") => StoreError::Corrupt(text),
        _ => StoreError::Database(text),
    }
}

/// Whether the same transaction may succeed when it is run again from its start: another one was in its way.
pub(super) fn is_worth_another_try(code: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(code)
}

/// A write met a server that only reads: a standby, or a primary that is one now. It is tried again, there or elsewhere.
pub(super) fn on_a_standby() -> StoreError {
    StoreError::Unavailable("the database is a standby, which only reads".to_owned())
}
