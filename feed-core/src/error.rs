//! Errors that more than one part of the crate speaks of.
//!
//! Each says where (feed, subject, position, event id) and, by [`is_transient`](StoreError::is_transient),
//! whether trying the same again can help.

use crate::event::{EventId, Version};

/// A text that is not what it should be: the name of the value, what was found and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not valid: {allowed}")]
pub struct InvalidValue {
    /// What the text should have been, such as `feed name`.
    pub what: &'static str,
    /// What was found, shortened to 80 characters.
    pub found: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl InvalidValue {
    /// Keeps the beginning of `found` only, so that an error never repeats a huge input.
    pub(crate) fn new(what: &'static str, found: &str, allowed: &'static str) -> Self {
        InvalidValue {
            what,
            found: found.chars().take(80).collect(),
            allowed,
        }
    }
}

/// Something that a store could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address names no store that this build knows.
    #[error("database address {0:?}: give a file path, sqlite:PATH or postgres://…")]
    Address(String),
    /// The database could not be opened or prepared.
    #[error("cannot open {path}: {reason}")]
    Open {
        /// The database file, or the address without user and password.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The SQLite library has a bug that can lose commits (the WAL-reset race, before 3.51.3).
    #[error(
        "SQLite {found} is too old: {needed} or newer is needed, since older ones can lose commits"
    )]
    LibraryTooOld {
        /// Version of the library in this build.
        found: String,
        /// Oldest version that is taken.
        needed: &'static str,
    },
    /// The database was written by a newer version of the program.
    #[error(
        "the database has migration {name:?}, which this version does not know: start a version that does"
    )]
    NewerSchema {
        /// The migration that is unknown here.
        name: String,
    },
    /// A migration failed or differs from the one that was applied.
    #[error("migration failed: {0}")]
    Migration(String),
    /// There is no feed of that name.
    #[error("there is no feed {0:?}")]
    UnknownFeed(String),
    /// The feed exists with other properties, which never change.
    #[error("feed {feed:?} was created with {property} {stored}, not {asked}: this never changes")]
    FeedDiffers {
        /// Name of the feed.
        feed: String,
        /// The property that differs.
        property: &'static str,
        /// What the feed was created with.
        stored: String,
        /// What was asked for.
        asked: String,
    },
    /// A value in the database is not of the type that was asked for.
    #[error("column {column}: {reason}")]
    Column {
        /// Name or index of the column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// A stored value is impossible: the file was changed by something else, or is damaged.
    #[error("the database holds an impossible value: {0}")]
    Corrupt(String),
    /// The number of parameters differs from the number of `$n` in the SQL.
    #[error("{given} parameters for {wanted} in {sql:?}")]
    Parameters {
        /// Parameters given.
        given: usize,
        /// Parameters that the SQL names.
        wanted: usize,
        /// The statement.
        sql: String,
    },
    /// The transaction only reads.
    #[error("this transaction only reads")]
    ReadOnly,
    /// A statement failed and the work went on as if it had not.
    #[error("a statement of the transaction failed, so nothing of it was kept")]
    FailedStatement,
    /// The work awaited something else than its transaction.
    #[error(
        "a transaction's work may wait for nothing but the transaction (no HTTP, no timers, no channels)"
    )]
    ForeignAwait,
    /// The work used the writer, or a reader, longer than it may.
    #[error("the work was interrupted after {ms_max} ms")]
    TimeLimit {
        /// The limit.
        ms_max: u64,
    },
    /// The work panicked; its transaction was rolled back.
    #[error("the work panicked: {0}")]
    Panicked(String),
    /// A uniqueness or check constraint refused the change.
    #[error("constraint: {0}")]
    Constraint(String),
    /// Another process holds the database, or the connection was lost.
    #[error("the database is busy or out of reach: {0}")]
    Unavailable(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The SQL is wrong, or does not fit the schema.
    #[error("statement: {0}")]
    Statement(String),
    /// Anything else that the database said, such as a full disk.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// The error for a panic, with its message where it has one.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        StoreError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
    }

    /// Whether the same work may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Unavailable(_) | StoreError::Closed | StoreError::Database(_) => true,
            StoreError::Address(_)
            | StoreError::Open { .. }
            | StoreError::LibraryTooOld { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Migration(_)
            | StoreError::UnknownFeed(_)
            | StoreError::FeedDiffers { .. }
            | StoreError::Column { .. }
            | StoreError::Corrupt(_)
            | StoreError::Parameters { .. }
            | StoreError::ReadOnly
            | StoreError::FailedStatement
            | StoreError::ForeignAwait
            | StoreError::TimeLimit { .. }
            | StoreError::Panicked(_)
            | StoreError::Statement(_)
            | StoreError::Constraint(_) => false,
        }
    }
}

/// An append that was refused; nothing of it is in the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The subject has another version than expected (invariant I5): load it again and decide anew.
    #[error("subject {subject}: version {current} where {expected} was expected")]
    Conflict {
        /// The subject.
        subject: String,
        /// What the caller expected.
        expected: String,
        /// The version that the subject has.
        current: Version,
    },
    /// The id is taken by an event with other content.
    #[error("event id {id} is taken by another event of {subject}")]
    IdTaken {
        /// The id.
        id: EventId,
        /// Subject of the event that has it.
        subject: String,
    },
    /// The subject's events are in another feed.
    #[error("subject {subject} lives in feed {feed:?}")]
    SubjectElsewhere {
        /// The subject.
        subject: String,
        /// The feed where it lives.
        feed: String,
    },
    /// An event is larger than its feed allows.
    #[error("event {id} has {bytes} bytes, feed {feed:?} takes {bytes_max}")]
    TooLarge {
        /// The event.
        id: EventId,
        /// The feed.
        feed: String,
        /// Its data and attributes, in bytes.
        bytes: usize,
        /// What the feed takes, in bytes.
        bytes_max: u32,
    },
    /// More than [`EVENTS_PER_APPEND_MAX`](crate::limits::EVENTS_PER_APPEND_MAX) events at once, or none.
    #[error("{count} events in one append: 1 to {max} are taken")]
    Count {
        /// Events given.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The feed or the subject has no number left.
    #[error("{0} is full")]
    Full(String),
    /// The connection does not sync at every commit, so an acknowledged event could be lost (invariant I2).
    #[error("refused: the connection has {found}, {needed} is needed")]
    NotDurable {
        /// The setting with its value.
        found: String,
        /// The values that are taken.
        needed: &'static str,
    },
    /// A handler of several events at once did not say which of them it follows.
    #[error("say by Tx::follow which event this one follows: its id derives from it")]
    CauseUnknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppendError {
    /// Whether loading again and deciding anew may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, AppendError::Conflict { .. })
    }

    /// Whether the same append may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            AppendError::Store(error) => error.is_transient(),
            AppendError::Conflict { .. } => true,
            AppendError::IdTaken { .. }
            | AppendError::SubjectElsewhere { .. }
            | AppendError::TooLarge { .. }
            | AppendError::Count { .. }
            | AppendError::Full(_)
            | AppendError::CauseUnknown
            | AppendError::NotDurable { .. } => false,
        }
    }
}
