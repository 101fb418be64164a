//! Taking a service's database over to another store.

use std::collections::HashSet;

use super::error::MoveError;
use super::progress::{Counter, Told};
use super::schema::{Table, paired};
use super::side::{As, Side, Store};
use super::{Event, MovedRow};
use crate::limits::MOVED_TARGET_ROWS_MAX;
use crate::position::Check;
use crate::store::OwnedValue;

const SOURCE: &str = "the source";
const TARGET: &str = "the target";

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Events, in all feeds.
    pub events: u64,
    /// Every other table, with its rows.
    pub tables: Vec<(String, u64)>,
}

/// Takes a service's whole database over from `from` to `to`, which are addresses as
/// [`Store::open`](crate::Store::open) takes them, one of each kind of store: its tables, its feeds with ids, epochs,
/// positions, checks and recorded times, its subscriptions and what they keep, its timers. Readers and consumers go on as if
/// nothing had happened. Leases are left behind.
///
/// Both databases have to be there with the schema of the service's present version; in the target there is nothing but
/// what its migrations have put there. Nobody writes to either of them meanwhile. It is done in one transaction of the
/// target: all of it or nothing.
///
/// # Errors
/// [`MoveError`]; nothing was changed then.
pub async fn copy(from: &str, to: &str, told: &mut Told<'_>) -> Result<Moved, MoveError> {
    match (Store::of(from), Store::of(to)) {
        (Store::Sqlite, Store::Sqlite) => {
            return Err(MoveError::SameKind {
                kind: "SQLite files",
                instead: "make a backup of the file",
            });
        }
        (Store::Postgres, Store::Postgres) => {
            return Err(MoveError::SameKind {
                kind: "in PostgreSQL",
                instead: "use pg_dump and pg_restore",
            });
        }
        (Store::Sqlite, Store::Postgres) | (Store::Postgres, Store::Sqlite) => {}
    }
    let in_source = MoveError::at(SOURCE);
    let in_target = MoveError::at(TARGET);
    let source = Side::open(from, As::Source).await.map_err(&in_source)?;
    if let Some(holder) = source.holder().await.map_err(&in_source)? {
        return Err(MoveError::InUse(format!(
            "instance {holder}: stop the service first; after a crash its lease ends within seconds"
        )));
    }
    let mut target = Side::open(to, As::Target).await.map_err(&in_target)?;
    let tables = paired(
        (source.tables().await.map_err(&in_source)?, SOURCE),
        (target.tables().await.map_err(&in_target)?, TARGET),
    )?;
    if let Some(trigger) = target.trigger().await.map_err(&in_target)? {
        return Err(MoveError::NotEmpty(format!(
            "it has a trigger ({trigger}), which would do things a second time: create it afterwards"
        )));
    }
    let unplaced = source.unplaced().await.map_err(&in_source)?;
    if unplaced > 0 {
        return Err(MoveError::Damaged(format!(
            "{unplaced} events have no position or positions no event"
        )));
    }
    let mut moved = Moved {
        events: 0,
        tables: Vec::new(),
    };
    let mut migrated = Vec::with_capacity(tables.len());
    check_empty(&target).await?;
    for table in &tables {
        migrated.push(keys_in_target(&target, table).await?);
    }
    for (table, keys) in tables.iter().zip(migrated) {
        let rows = copy_table(&source, &mut target, table, keys, told).await?;
        moved.tables.push((table.name.clone(), rows));
    }
    moved.events = copy_events(&source, &mut target, told).await?;
    target.commit().await.map_err(&in_target)?;
    Ok(moved)
}

async fn check_empty(target: &Side) -> Result<(), MoveError> {
    for (table, noun) in [("outbox", "event"), ("feeds", "feed")] {
        let rows = target.count(table).await.map_err(MoveError::at(TARGET))?;
        if rows > 0 {
            return Err(MoveError::NotEmpty(format!(
                "it has {}: its service has run on it already",
                counted(rows, noun)
            )));
        }
    }
    Ok(())
}

fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The keys of the rows that the service's migrations have put there, after which the table is emptied.
async fn keys_in_target(
    target: &Side,
    table: &Table,
) -> Result<HashSet<Vec<OwnedValue>>, MoveError> {
    let in_target = MoveError::at(TARGET);
    let rows = target.count(&table.name).await.map_err(&in_target)?;
    if rows == 0 {
        return Ok(HashSet::new());
    }
    if table.is_own() || table.key.is_empty() || rows > MOVED_TARGET_ROWS_MAX {
        return Err(MoveError::NotEmpty(format!(
            "table {} has {}",
            table.name,
            counted(rows, "row")
        )));
    }
    let mut keys = HashSet::new();
    let mut rows = target.rows(table).await.map_err(&in_target)?;
    while let Some(batch) = rows.next().await.map_err(&in_target)? {
        keys.extend(batch.iter().map(|row| key(table, row)));
    }
    target.delete_all(&table.name).await.map_err(&in_target)?;
    Ok(keys)
}

fn key(table: &Table, row: &MovedRow) -> Vec<OwnedValue> {
    let indexes = table.key_indexes();
    let values = indexes.iter().filter_map(|index| row.get(*index));
    values.cloned().collect()
}

async fn copy_table(
    source: &Side,
    target: &mut Side,
    table: &Table,
    mut keys: HashSet<Vec<OwnedValue>>,
    told: &mut Told<'_>,
) -> Result<u64, MoveError> {
    let in_source = MoveError::at(SOURCE);
    if table.is_of_leases() {
        return Ok(0);
    }
    let total = source.count(&table.name).await.map_err(&in_source)?;
    let mut counter = Counter::begin(&table.name, total, told);
    let leases: Vec<usize> = (0..table.columns.len())
        .filter(|index| table.is_lease(&table.columns[*index].name))
        .collect();
    let mut rows = source.rows(table).await.map_err(&in_source)?;
    while let Some(mut batch) = rows.next().await.map_err(&in_source)? {
        let count = batch.len();
        for row in &mut batch {
            if !keys.is_empty() {
                keys.remove(&key(table, row));
            }
            for index in &leases {
                row[*index] = OwnedValue::Null;
            }
        }
        let inserted = target.insert(table, batch).await;
        inserted.map_err(MoveError::at(TARGET))?;
        counter.add(count);
    }
    match keys.into_iter().next() {
        None => Ok(counter.done()),
        Some(key) => Err(MoveError::NotEmpty(format!(
            "table {} has a row {} that the source has not",
            table.name,
            super::report::shown_row(&key)
        ))),
    }
}

/// Where a feed is.
#[derive(Default)]
struct Place {
    feed: i64,
    position: i64,
    check: Option<Check>,
}

async fn copy_events(
    source: &Side,
    target: &mut Side,
    told: &mut Told<'_>,
) -> Result<u64, MoveError> {
    let in_source = MoveError::at(SOURCE);
    let total = source.count("outbox").await.map_err(&in_source)?;
    let mut counter = Counter::begin("events", total, told);
    let mut place = Place::default();
    let mut rows = source.events().await.map_err(&in_source)?;
    while let Some(batch) = rows.next().await.map_err(&in_source)? {
        let count = batch.len();
        for row in &batch {
            place.follow(row)?;
        }
        let inserted = target.insert_events(batch).await;
        inserted.map_err(MoveError::at(TARGET))?;
        counter.add(count);
    }
    Ok(counter.done())
}

impl Place {
    /// Goes on to an event. A damaged feed is not carried on.
    fn follow(&mut self, row: &MovedRow) -> Result<(), MoveError> {
        let damaged = |what: &str| Err(MoveError::Damaged(what.to_owned()));
        let (
            Some(OwnedValue::Integer(feed)),
            Some(OwnedValue::Integer(position)),
            Some(OwnedValue::Blob(check)),
            Some(OwnedValue::Blob(id)),
        ) = (
            row.get(Event::FEED),
            row.get(Event::POSITION),
            row.get(Event::CHECK),
            row.get(Event::ID),
        )
        else {
            return damaged("an event has no position, no check or no id");
        };
        let (Ok(id), Ok(check)) = (id.as_slice().try_into(), check.as_slice().try_into()) else {
            return damaged("an id has 16 bytes and a check 6");
        };
        let check = Check::from_bytes(check);
        if self.feed == *feed {
            let next = self
                .check
                .map(|check| check.next(crate::event::EventId::from_bytes(id)));
            if *position != self.position + 1 || next != Some(check) {
                return Err(MoveError::Damaged(format!(
                    "the event at position {position} of feed number {feed} does not follow on from that at {}; \
                     feedctl verify tells more",
                    self.position
                )));
            }
        }
        *self = Place {
            feed: *feed,
            position: *position,
            check: Some(check),
        };
        Ok(())
    }
}
