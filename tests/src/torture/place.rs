//! Where a service's database is.

use std::path::PathBuf;

/// A file of SQLite, or a database of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The path.
    File(PathBuf),
    /// The URL for a service.
    Postgres(String),
}

impl Place {
    /// As a program takes it that shall not have many connections.
    pub fn address(&self) -> String {
        match self {
            Place::File(path) => path.to_string_lossy().into_owned(),
            Place::Postgres(url) => format!("{url}?writers=4&readers=2"),
        }
    }

    /// Whether it is on PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Place::Postgres(_))
    }
}
