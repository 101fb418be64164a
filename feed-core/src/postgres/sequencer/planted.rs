//! Sequencers as they are often written, which lose what commits late. Planted to see that it is found: see [`Bug`].

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Row};

use crate::error::StoreError;
use crate::faults::{Bug, planted};
use crate::postgres::failure::store_error;
use crate::postgres::feeds::column;

/// How long a number that is missing is waited for, in milliseconds.
const WAIT_MS: u64 = 30;

/// Behind the highest number that has a position.
const BEHIND: &str = "
SELECT o.xid, o.event_no, o.id, last.event_no FROM outbox o,
    (SELECT coalesce(max(event_no), 0) AS event_no FROM positions WHERE feed = $1) last
WHERE o.feed = $1 AND o.event_no > last.event_no
ORDER BY o.event_no";

/// What such a sequencer finds; none when no such bug is planted.
pub(super) async fn found(client: &Client, feed: i64) -> Option<Result<Vec<Row>, StoreError>> {
    let waits = planted(Bug::PlacedAfterAWhile);
    if !waits && !planted(Bug::PlacedByNumber) {
        return None;
    }
    let rows = client.query(BEHIND, &[&feed]).await.map_err(store_error);
    Some(rows.and_then(|rows| if waits { up_to_a_gap(rows) } else { Ok(rows) }))
}

/// The rows up to a number that is missing and was not for long.
fn up_to_a_gap(mut rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
    static MISSING: LazyLock<Mutex<Option<(i64, Instant)>>> = LazyLock::new(Mutex::default);
    let mut missing = MISSING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(first) = rows.first() else {
        return Ok(rows);
    };
    let mut next = column::<i64>(first, 3)? + 1;
    for index in 0..rows.len() {
        let number: i64 = column(&rows[index], 1)?;
        if number != next {
            let (_, since) = *missing
                .filter(|(known, _)| *known == next)
                .get_or_insert((next, Instant::now()));
            *missing = Some((next, since));
            if since.elapsed() < Duration::from_millis(WAIT_MS) {
                rows.truncate(index);
                break;
            }
        }
        next = number + 1;
    }
    Ok(rows)
}
