//! The schema changes of a service.

/// A service's own migrations, applied after those of this crate and recorded in a history of their own.
///
/// Each is a pair of a name such as `V1__orders` and its SQL; DDL is written per backend.
///
/// ```
/// use feed_core::Migrations;
/// const MIGRATIONS: Migrations = Migrations {
///     owner: "order",
///     sqlite: &[("V1__orders", "CREATE TABLE orders (id TEXT PRIMARY KEY) STRICT")],
///     postgres: &[("V1__orders", "CREATE TABLE orders (id TEXT PRIMARY KEY)")],
/// };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// Prefix of the history table: `{owner}_migrations`. Letters and `_` only.
    pub owner: &'static str,
    /// The migrations for SQLite, in order.
    pub sqlite: &'static [(&'static str, &'static str)],
    /// The migrations for PostgreSQL, in order. Whole numbers are `BIGINT` there, texts `TEXT` and bytes `BYTEA`.
    pub postgres: &'static [(&'static str, &'static str)],
}

impl Migrations {
    /// A service without tables of its own.
    pub const NONE: Migrations = Migrations {
        owner: "service",
        sqlite: &[],
        postgres: &[],
    };
}
