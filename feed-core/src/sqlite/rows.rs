//! Events as they stand in the rows of the outbox.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rusqlite::Row;

use super::connection::store_error;
use super::log::{Feed, corrupt};
use super::outbox::position_of;
use crate::error::StoreError;
use crate::event::{DataView, EventId, EventView, Version, is_name, to_micros};
use crate::limits::{EVENT_TYPE_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::position::Check;

/// Columns of an event, in the order in which [`Feed::view`] reads them.
pub(super) const EVENT_COLUMNS: &str = r#"feed_position, id, type, subject, version, time_us, recorded_us, "check", datacontenttype,
    dataschema, traceparent, causationid, correlationid, extensions, data"#;

impl Feed {
    /// The event of a row with [`EVENT_COLUMNS`], borrowed from it.
    pub(super) fn view<'a>(&'a self, row: &'a Row<'_>) -> Result<EventView<'a>, StoreError> {
        let position = position_of(row.get(0).map_err(store_error)?);
        let extensions = match text(row, 13)? {
            Some(text) => serde_json::from_str(text).map_err(corrupt)?,
            None => Default::default(),
        };
        let data = row.get_ref(14).map_err(store_error)?.as_blob_or_null();
        let content_type = text(row, 8)?;
        let causationid: Option<[u8; 16]> = row.get(11).map_err(store_error)?;
        let named = |index, bytes_max| {
            text(row, index)?
                .filter(|name| is_name(name, bytes_max))
                .ok_or_else(|| corrupt(format!("event {position} has no valid type or subject")))
        };
        Ok(EventView {
            id: EventId::from_bytes(row.get(1).map_err(store_error)?),
            source: &self.identity.source,
            event_type: named(2, EVENT_TYPE_BYTES_MAX)?,
            subject: named(3, SUBJECT_BYTES_MAX)?,
            version: Version::new(row.get(4).map_err(store_error)?).map_err(corrupt)?,
            time: time(row.get(5).map_err(store_error)?)?,
            recorded: time(row.get(6).map_err(store_error)?)?,
            position,
            epoch: self.history.epoch_at(position),
            check: Check::from_bytes(row.get(7).map_err(store_error)?),
            dataschema: text(row, 9)?,
            traceparent: text(row, 10)?,
            causationid: causationid.map(EventId::from_bytes),
            correlationid: text(row, 12)?,
            extensions: Cow::Owned(extensions),
            data: data
                .map_err(corrupt)?
                .map(|bytes| DataView::stored(content_type, bytes)),
        })
    }
}

/// A text as it stands in its row.
fn text<'a>(row: &'a Row<'_>, index: usize) -> Result<Option<&'a str>, StoreError> {
    row.get_ref(index)
        .map_err(store_error)?
        .as_str_or_null()
        .map_err(corrupt)
}

pub(super) fn time(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .map(to_micros)
        .ok_or_else(|| StoreError::Corrupt(format!("{micros} is no time")))
}
