//! Comparing two databases as their readers see them, and checking one in itself.

use super::error::MoveError;
use super::progress::{Counter, Told};
use super::report::Report;
use super::schema::paired;
use super::side::{As, Side};
use super::{events, tables};
use crate::error::StoreError;
use crate::feed::FeedState;
use crate::position::Cursor;
use crate::store::{Log, OwnedValue, Store};

const FIRST: &str = "the first database";
const SECOND: &str = "the second database";

/// A database, both as its readers see it and as it is kept.
struct Looked {
    name: &'static str,
    store: Store,
    side: Side,
}

impl Looked {
    async fn open(url: &str, name: &'static str) -> Result<Self, MoveError> {
        let store = Store::open_existing(url)
            .await
            .map_err(MoveError::at(name))?;
        let side = Side::open(url, As::Looker)
            .await
            .map_err(MoveError::at(name))?;
        Ok(Looked { name, store, side })
    }

    fn failed(&self) -> impl Fn(StoreError) -> MoveError {
        MoveError::at(self.name)
    }

    /// Its feeds, in alphabetical order, as they are now.
    async fn feeds(&self) -> Result<Vec<(Log, FeedState)>, MoveError> {
        let mut feeds = Vec::new();
        for name in self.store.feeds().await.map_err(self.failed())? {
            let log = self
                .store
                .log(name.as_str())
                .map_err(|error| self.failed()(StoreError::Corrupt(error.to_string())))?;
            let state = log.state().await.map_err(self.failed())?;
            feeds.push((log, state));
        }
        Ok(feeds)
    }
}

/// Compares two databases byte by byte: every feed with its identity, its epochs and its head, every event with all its
/// attributes, every sealed page as it is sent, and every other table row by row. Leases are left out. Nobody should write
/// to either of them meanwhile.
///
/// # Errors
/// When one of them fails, or they have different tables. What differs is in the report.
pub async fn compare(first: &str, second: &str, told: &mut Told<'_>) -> Result<Report, MoveError> {
    let a = Looked::open(first, FIRST).await?;
    let b = Looked::open(second, SECOND).await?;
    let both = paired(
        (a.side.tables().await.map_err(a.failed())?, a.name),
        (b.side.tables().await.map_err(b.failed())?, b.name),
    )?;
    let mut report = Report::default();
    let mut others = b.feeds().await?;
    for (log, state) in a.feeds().await? {
        let name = state.identity.name.clone();
        let Some(index) = others
            .iter()
            .position(|(_, state)| state.identity.name == name)
        else {
            report.add(format!("feed {name} is in {FIRST} and not in {SECOND}"));
            continue;
        };
        let other = others.swap_remove(index);
        events::compare([(&log, &state), (&other.0, &other.1)], &mut report, told)
            .await
            .map_err(|(side, error)| [&a, &b][side].failed()(error))?;
    }
    for (_, state) in others {
        let name = &state.identity.name;
        report.add(format!("feed {name} is in {SECOND} and not in {FIRST}"));
    }
    for looked in [&a, &b] {
        unplaced(looked, &mut report).await?;
    }
    for table in both.iter().filter(|table| !table.is_of_leases()) {
        tables::compare([&a.side, &b.side], table, &mut report, told)
            .await
            .map_err(|(side, error)| [&a, &b][side].failed()(error))?;
    }
    a.store.close().await;
    b.store.close().await;
    Ok(report)
}

/// Checks one database in itself: in every feed the positions and the running check, in every subject the versions, that
/// every event has its place, and that the cursors of its subscriptions can be read.
///
/// # Errors
/// When the database fails. What is wrong is in the report.
pub async fn check(url: &str, told: &mut Told<'_>) -> Result<Report, MoveError> {
    let looked = Looked::open(url, "the database").await?;
    let mut report = Report::default();
    for complaint in looked.side.complaints().await.map_err(looked.failed())? {
        report.add(complaint);
    }
    unplaced(&looked, &mut report).await?;
    let mut pruned = false;
    for (log, state) in looked.feeds().await? {
        pruned |= state.earliest.position.get() > 0;
        events::walk(&log, &state, &mut report, told)
            .await
            .map_err(looked.failed())?;
    }
    versions(&looked, pruned, &mut report, told).await?;
    cursors(&looked, &mut report).await?;
    looked.store.close().await;
    Ok(report)
}

async fn unplaced(looked: &Looked, report: &mut Report) -> Result<(), MoveError> {
    let unplaced = looked.side.unplaced().await.map_err(looked.failed())?;
    if unplaced > 0 {
        report.add(format!(
            "{unplaced} events of {} have no position, or positions no event: a running service gives positions",
            looked.name
        ));
    }
    Ok(())
}

/// In every subject the versions are 1, 2, 3 …, in the order of the positions of one feed (invariant I5).
async fn versions(
    looked: &Looked,
    pruned: bool,
    report: &mut Report,
    told: &mut Told<'_>,
) -> Result<(), MoveError> {
    report.turn();
    let total = looked.side.count("outbox").await.map_err(looked.failed())?;
    let mut counter = Counter::begin("versions", total, told);
    let mut rows = looked.side.versions().await.map_err(looked.failed())?;
    let mut last: Option<(String, i64, i64, i64)> = None;
    while let Some(batch) = rows.next().await.map_err(looked.failed())? {
        counter.add(batch.len());
        for row in batch {
            let Ok(
                [
                    OwnedValue::Text(subject),
                    OwnedValue::Integer(version),
                    OwnedValue::Integer(feed),
                    position,
                ],
            ) = <[OwnedValue; 4]>::try_from(row)
            else {
                report.add("an event has no subject or no version");
                continue;
            };
            let position = match position {
                OwnedValue::Integer(position) => position,
                // It comes behind all that have one.
                _ => i64::MAX,
            };
            match &last {
                Some((before, number, in_feed, at)) if *before == subject => {
                    if version != number + 1 {
                        report.add(format!(
                            "subject {subject}: version {version} comes behind {number}"
                        ));
                    }
                    if feed != *in_feed || (position <= *at && position != i64::MAX) {
                        report.add(format!(
                            "subject {subject}: version {version} has a position before that of version {number}, or in another feed"
                        ));
                    }
                }
                _ if version != 1 && !pruned => {
                    report.add(format!("subject {subject} begins with version {version}"));
                }
                _ => {}
            }
            last = Some((subject, version, feed, position));
        }
    }
    Ok(())
}

/// What consumers go on from.
async fn cursors(looked: &Looked, report: &mut Report) -> Result<(), MoveError> {
    let tables = looked.side.tables().await.map_err(looked.failed())?;
    let Some(table) = tables.iter().find(|table| table.name == "subscriptions") else {
        return Ok(());
    };
    let index = |name: &str| table.columns.iter().position(|column| column.name == name);
    let (Some(name), Some(cursor)) = (index("name"), index("cursor")) else {
        return Ok(());
    };
    let mut rows = looked.side.rows(table).await.map_err(looked.failed())?;
    let mut count = 0;
    while let Some(batch) = rows.next().await.map_err(looked.failed())? {
        count += batch.len() as u64;
        for row in batch {
            if let OwnedValue::Text(text) = &row[cursor]
                && text.parse::<Cursor>().is_err()
            {
                let name = super::report::shown(&row[name]);
                report.add(format!(
                    "subscription {name} stands at {text:?}, which is no cursor"
                ));
            }
        }
    }
    report.tables.push((table.name.clone(), count));
    Ok(())
}
