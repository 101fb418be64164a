//! Why a database was not taken over or compared.

use crate::error::StoreError;

/// Something that could not be moved or compared. Nothing was changed in either database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// A database failed, or cannot be opened.
    #[error("{database}: {source}")]
    Store {
        /// Which of them, such as `the source`.
        database: &'static str,
        /// What it said.
        source: StoreError,
    },
    /// Both are of the same kind: there are better ways.
    #[error(
        "both databases are {kind}; {instead}: this command takes a service from one kind of store to the other"
    )]
    SameKind {
        /// The kind.
        kind: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// Something still works with the source.
    #[error("the source is in use: {0}")]
    InUse(String),
    /// There is something in the target that would be lost.
    #[error("the target is not empty: {0}")]
    NotEmpty(String),
    /// The databases have different tables or columns.
    #[error("the schemas differ: {0}")]
    SchemasDiffer(String),
    /// The source holds what a copy cannot be made of.
    #[error("the source is damaged: {0}")]
    Damaged(String),
}

impl MoveError {
    /// Whether a database can be used, and says no.
    pub fn is_refusal(&self) -> bool {
        match self {
            MoveError::Store { .. } | MoveError::SameKind { .. } => false,
            MoveError::InUse(_)
            | MoveError::NotEmpty(_)
            | MoveError::SchemasDiffer(_)
            | MoveError::Damaged(_) => true,
        }
    }

    pub(super) fn at(database: &'static str) -> impl Fn(StoreError) -> MoveError {
        move |source| MoveError::Store { database, source }
    }
}
