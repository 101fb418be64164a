//! Searching within a bounded stretch of a feed, and by time.

use chrono::{DateTime, Utc};

use super::feeds::{Feeds, column, time as time_of};
use super::log;
use super::rows::{self, position};
use crate::error::StoreError;
use crate::event::FeedName;
use crate::filter::Filter;
use crate::limits::SCAN_EVENTS_MAX;
use crate::position::{Cursor, Position};
use crate::store::{RecordedBehind, Scan};

pub(super) async fn scan(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    after: Position,
    filter: &Filter,
    limit: u32,
) -> Result<Scan, StoreError> {
    let feed = feeds.find(client, name).await?;
    let types = list(filter.types().iter().map(|one| one.as_str()));
    let subjects = list(filter.subjects().iter().map(|one| one.as_str()));
    let reading = log::search(
        client,
        &feed,
        &[
            &feed.number,
            &(after.get() as i64),
            &types,
            &subjects,
            &i64::from(limit),
        ],
    )
    .await?;
    let from = reading.cursor_at(after);
    let last = reading
        .state
        .head
        .position
        .get()
        .min(after.get().saturating_add(u64::from(SCAN_EVENTS_MAX)));
    let upto = match reading.events.last() {
        _ if last <= after.get() => from,
        // Behind the last one that fitted in, nothing was looked at.
        Some(event) if reading.events.len() as u64 >= u64::from(limit) => Some(event.cursor()),
        _ => reading.cursor_at(Position::new(last).unwrap_or(after)),
    };
    Ok(Scan {
        from,
        upto,
        state: reading.state,
        events: reading.events,
    })
}

/// The values as an array; none when there are none.
fn list<'a>(values: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
    let values: Vec<&str> = values.collect();
    (!values.is_empty()).then_some(values)
}

/// `recorded` never goes back along a feed, so the place is found by halving: in some 40 steps, without an index.
const BEFORE: &str = r#"
WITH RECURSIVE halves(low, high) AS (
    SELECT f.pruned_position,
        coalesce((SELECT position FROM positions WHERE feed = $1 ORDER BY position DESC LIMIT 1), f.pruned_position)
    FROM feeds f WHERE f.feed = $1
    UNION ALL
    SELECT CASE WHEN middle.recorded_us < $2 THEN middle.position ELSE low END,
        CASE WHEN middle.recorded_us < $2 THEN high ELSE middle.position - 1 END
    FROM halves CROSS JOIN LATERAL (
        SELECT position, recorded_us FROM positions
        WHERE feed = $1 AND position = low + (high - low + 1) / 2
    ) middle
    WHERE low < high
)
SELECT p.position, p."check" FROM halves JOIN positions p ON p.feed = $1 AND p.position = halves.low
WHERE halves.low = halves.high"#;

pub(super) async fn cursor_before(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    time: DateTime<Utc>,
) -> Result<Cursor, StoreError> {
    let feed = feeds.find(client, name).await?;
    let rows = log::values(client, BEFORE, &[&feed.number, &log::micros(time)]).await?;
    // Epochs only ever come to be behind what was found.
    let state = log::state(client, &feed).await?;
    let Some(row) = rows.first() else {
        return Ok(state.earliest);
    };
    let position = position(column(row, 0)?)?;
    if position == state.earliest.position {
        return Ok(state.earliest);
    }
    Ok(Cursor {
        epoch: state.history.epoch_at(position),
        position,
        check: rows::check(row, 1)?,
    })
}

/// The times behind the places $2, in their order; none where nothing is behind.
const BEHIND: &str = "
SELECT (SELECT p.recorded_us FROM positions p WHERE p.feed = $1 AND p.position > asked.position ORDER BY p.position LIMIT 1)
FROM unnest($2::bigint[]) WITH ORDINALITY AS asked(position, number) ORDER BY asked.number";

pub(super) async fn recorded_behind(
    client: &deadpool_postgres::Object,
    feeds: &Feeds,
    name: &FeedName,
    positions: &[Position],
) -> Result<RecordedBehind, StoreError> {
    let feed = feeds.find(client, name).await?;
    // Looked at first: what is behind a position is not told before it is within the head.
    let state = log::state(client, &feed).await?;
    let asked: Vec<i64> = positions.iter().map(|one| one.get() as i64).collect();
    let rows = log::values(client, BEHIND, &[&feed.number, &asked]).await?;
    let times = rows
        .iter()
        .zip(positions)
        .map(|(row, position)| {
            let recorded_us: Option<i64> = column(row, 0)?;
            let within = *position < state.head.position;
            recorded_us.filter(|_| within).map(time_of).transpose()
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(RecordedBehind { state, times })
}
