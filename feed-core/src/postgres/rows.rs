//! Events and states of feeds as they stand in rows.

use std::borrow::Cow;
use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::feeds::{column, corrupt, time};
use crate::error::StoreError;
use crate::event::{DataView, Event, EventId, EventView, Version, is_name};
use crate::feed::{FeedIdentity, FeedState, History};
use crate::limits::{EVENT_TYPE_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::position::{Check, Cursor, Epoch, Position};

pub(super) fn state_of(identity: &Arc<FeedIdentity>, row: &Row) -> Result<FeedState, StoreError> {
    let history = history(column(row, 17)?, column(row, 18)?)?;
    let pruned = position(column(row, 15)?)?;
    let earliest = Cursor {
        epoch: history.epoch_at(pruned),
        position: pruned,
        check: check(row, 16)?,
    };
    let newest: Option<i64> = column(row, 19)?;
    let (head, updated) = match newest {
        None => (history.start(), identity.created),
        Some(newest) => {
            let position = position(newest)?;
            let head = Cursor {
                epoch: history.epoch_at(position),
                position,
                check: check(row, 20)?,
            };
            (head, time(column(row, 21)?)?)
        }
    };
    Ok(FeedState {
        identity: identity.clone(),
        history,
        head,
        earliest,
        updated,
        is_standbys: column(row, 22)?,
    })
}

pub(super) fn history(firsts: Vec<i64>, epochs: Vec<Vec<u8>>) -> Result<History, StoreError> {
    let epochs = firsts
        .into_iter()
        .zip(epochs)
        .map(|(first, epoch)| Ok((position(first)?, Epoch::from_bytes(bytes(&epoch)?))))
        .collect::<Result<Vec<_>, StoreError>>()?;
    History::new(epochs).map_err(corrupt)
}

pub(super) fn event_in(
    row: &Row,
    identity: &FeedIdentity,
    history: &History,
) -> Result<Event, StoreError> {
    let view = view(row, identity, history)?;
    view.to_event(&identity.source).map_err(corrupt)
}

/// An event as it stands in its row.
pub(super) fn view<'a>(
    row: &'a Row,
    identity: &'a FeedIdentity,
    history: &History,
) -> Result<EventView<'a>, StoreError> {
    let position = position(column(row, 0)?)?;
    let id = |index| -> Result<Option<EventId>, StoreError> {
        let id: Option<Uuid> = column(row, index)?;
        Ok(id.map(|id| EventId::from_bytes(id.into_bytes())))
    };
    let named = |index, bytes_max| {
        let name: &str = column(row, index)?;
        match is_name(name, bytes_max) {
            true => Ok(name),
            false => Err(corrupt(format!(
                "event {position} has no valid type or subject"
            ))),
        }
    };
    let version: i64 = column(row, 4)?;
    let extensions: Option<&str> = column(row, 13)?;
    let content_type: Option<&str> = column(row, 8)?;
    let data: Option<&[u8]> = column(row, 14)?;
    Ok(EventView {
        id: id(1)?.ok_or_else(|| corrupt("an event without an id"))?,
        source: &identity.source,
        event_type: named(2, EVENT_TYPE_BYTES_MAX)?,
        subject: named(3, SUBJECT_BYTES_MAX)?,
        version: Version::new(u32::try_from(version).map_err(corrupt)?).map_err(corrupt)?,
        time: time(column(row, 5)?)?,
        recorded: time(column(row, 6)?)?,
        position,
        epoch: history.epoch_at(position),
        check: check(row, 7)?,
        dataschema: column(row, 9)?,
        traceparent: column(row, 10)?,
        causationid: id(11)?,
        correlationid: column(row, 12)?,
        extensions: Cow::Owned(match extensions {
            Some(text) => serde_json::from_str(text).map_err(corrupt)?,
            None => Default::default(),
        }),
        data: data.map(|bytes| DataView::stored(content_type, bytes)),
    })
}

pub(super) fn check(row: &Row, index: usize) -> Result<Check, StoreError> {
    Ok(Check::from_bytes(bytes(column(row, index)?)?))
}

fn bytes<const N: usize>(found: &[u8]) -> Result<[u8; N], StoreError> {
    found
        .try_into()
        .map_err(|_| corrupt(format!("{} bytes where {N} belong", found.len())))
}

pub(super) fn position(number: i64) -> Result<Position, StoreError> {
    Position::new(u64::try_from(number).map_err(corrupt)?).map_err(corrupt)
}
