//! What is the same in migrating any store: whose tables are whose, and what refinery says.

use refinery::{Error, Migration, Runner, error::Kind};

use super::migrations::Migrations;
use crate::error::StoreError;

/// The history of this crate's own migrations.
pub(crate) const OWN_TABLE: &str = "feed_core_migrations";

/// The history of a service's migrations.
pub(crate) fn table_of(service: &Migrations) -> String {
    format!("{}_migrations", service.owner)
}

pub(crate) fn check_owner(service: &Migrations) -> Result<(), StoreError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
    if !service.owner.bytes().all(plain) || service.owner == "feed_core" {
        return Err(StoreError::Migration(format!(
            "{:?} cannot own migrations: a-z and _ only",
            service.owner
        )));
    }
    Ok(())
}

/// A database is one service's: tables of two would get into each other's way. What is wrong with one that has these
/// histories; nothing when this service, which has tables or not, may use it.
pub(crate) fn other_owner(
    histories: Vec<String>,
    service: &Migrations,
    has_tables: bool,
) -> Option<String> {
    let own = table_of(service);
    if !has_tables || histories.contains(&own) {
        return None;
    }
    let other = histories.into_iter().find(|table| table != OWN_TABLE)?;
    Some(format!(
        "it is the database of another service ({}, not {}): each has one of its own",
        other.trim_end_matches("_migrations"),
        service.owner
    ))
}

/// What applies the migrations; none when there are none.
pub(crate) fn runner(
    migrations: &[(&str, &str)],
    table: &str,
) -> Result<Option<Runner>, StoreError> {
    if migrations.is_empty() {
        return Ok(None);
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
    Ok(Some(runner))
}

pub(crate) fn failed(error: &Error) -> StoreError {
    match error.kind() {
        // Applied in the database and unknown here: a newer program was there before.
        Kind::MissingVersion(migration) => StoreError::NewerSchema {
            name: migration.to_string(),
        },
        _ => StoreError::Migration(with_causes(error)),
    }
}

/// What refinery says leaves out what the database said.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Why a database does not fit this program.
pub(crate) enum Unfit {
    Newer(String),
    Wrong(String),
}

impl Unfit {
    /// As an error; `wrong` says where.
    pub(crate) fn into_error(self, wrong: impl FnOnce(String) -> StoreError) -> StoreError {
        match self {
            Unfit::Newer(name) => StoreError::NewerSchema { name },
            Unfit::Wrong(reason) => wrong(reason),
        }
    }
}

/// Whether exactly this crate's migrations `own` were applied.
pub(crate) fn check_applied(applied: &[String], own: &[(&str, &str)]) -> Result<(), Unfit> {
    if applied.is_empty() {
        return Err(Unfit::Wrong(
            "it is no database of a Feedway service: it has no feeds and no subscriptions"
                .to_owned(),
        ));
    }
    let known = |name: &String| own.iter().any(|(own, _)| own == name);
    if let Some(name) = applied.iter().find(|name| !known(name)) {
        return Err(Unfit::Newer(name.clone()));
    }
    match own
        .iter()
        .find(|(own, _)| !applied.iter().any(|name| name == own))
    {
        None => Ok(()),
        Some((own, _)) => Err(Unfit::Wrong(format!(
            "it has not got migration {own:?} yet: start its service once in the version of this program"
        ))),
    }
}
