//! A timer as it is set, and as its handler gets it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::InvalidValue;
use crate::event::{DecodeError, Event, EventId, is_attribute_text, to_micros};
use crate::limits::{TIMER_DATA_BYTES_MAX, TIMER_KEY_BYTES_MAX, TIMER_KIND_BYTES_MAX};
use crate::store::Origin;

/// A timer to be set, see [`Tx::set_timer`](crate::Tx::set_timer).
///
/// Kind and key name it: the kind says which handler is called, the key what it is about. There is one timer of a kind
/// and a key, so setting it again moves it.
///
/// ```
/// use feed_core::Timer;
/// let due = chrono::Utc::now() + chrono::TimeDelta::minutes(15);
/// let timer = Timer::new("order-expiry", "7f3a", due)?.with_data(&serde_json::json!({ "reminders": 2 }))?;
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) due: DateTime<Utc>,
    /// A JSON text.
    pub(super) data: Option<String>,
    pub(super) origin: Origin,
}

impl Timer {
    /// A timer that fires at `due`, to the microsecond; at once when that has passed.
    ///
    /// # Errors
    /// When `kind` or `key` is not visible ASCII without spaces, of 1 to 255 bytes.
    pub fn new(kind: &str, key: &str, due: DateTime<Utc>) -> Result<Self, InvalidValue> {
        Ok(Timer {
            kind: name("timer kind", kind, TIMER_KIND_BYTES_MAX)?,
            key: name("timer key", key, TIMER_KEY_BYTES_MAX)?,
            due: to_micros(due),
            data: None,
            origin: Origin::default(),
        })
    }

    /// With `data` for the handler, as JSON.
    ///
    /// # Errors
    /// When `data` has no JSON form, or one of more than [`TIMER_DATA_BYTES_MAX`].
    pub fn with_data(mut self, data: &impl Serialize) -> Result<Self, InvalidValue> {
        let invalid = |found: &str| {
            InvalidValue::new(
                "timer data",
                found,
                "a value with a JSON form of 4096 bytes at most",
            )
        };
        let text = serde_json::to_string(data).map_err(|error| invalid(&error.to_string()))?;
        if text.len() > TIMER_DATA_BYTES_MAX {
            return Err(invalid(&text));
        }
        self.data = Some(text);
        Ok(self)
    }

    /// As a consequence of `cause`, in its conversation and its trace: the events that are appended when the timer fires
    /// carry them. In a handler this is so without being said.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.origin = Origin::of(cause);
        self
    }

    /// As a consequence of the event with this id, with which a conversation begins unless
    /// [`correlated`](Self::correlated) says otherwise: for an event that was just appended.
    #[must_use]
    pub fn caused_by_id(mut self, cause: EventId) -> Self {
        self.origin.causationid = Some(cause);
        self.origin
            .correlationid
            .get_or_insert_with(|| cause.to_string());
        self
    }

    /// With what all events of one conversation share.
    ///
    /// # Errors
    /// When the text is empty, too long or has control characters.
    pub fn correlated(mut self, correlationid: &str) -> Result<Self, InvalidValue> {
        self.origin.correlationid = Some(attribute("correlationid", correlationid)?);
        Ok(self)
    }

    /// With the W3C trace context of the request.
    ///
    /// # Errors
    /// When the text is empty, too long or has control characters.
    pub fn traced(mut self, traceparent: &str) -> Result<Self, InvalidValue> {
        self.origin.traceparent = Some(attribute("traceparent", traceparent)?);
        Ok(self)
    }
}

/// A timer that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimer {
    /// What is to be done.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// When it was to be done. By how much it is later now, nothing is promised.
    pub due: DateTime<Utc>,
    /// How often it was tried before.
    pub attempts: u32,
    /// A JSON text.
    pub(super) data: Option<String>,
    /// Another one each time that the timer is set.
    pub(super) setting: EventId,
    pub(super) origin: Origin,
}

impl DueTimer {
    /// The data as a `T`.
    ///
    /// # Errors
    /// When there is none, or it is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let data = self.data.as_deref().ok_or_else(DecodeError::missing)?;
        serde_json::from_str(data).map_err(|error| DecodeError::because(error.to_string()))
    }

    /// The event that the timer follows from, if it is known.
    pub fn causationid(&self) -> Option<EventId> {
        self.origin.causationid
    }
}

fn name(what: &'static str, text: &str, bytes_max: usize) -> Result<String, InvalidValue> {
    let fits = (1..=bytes_max).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let allowed = "visible ASCII without spaces, 255 bytes at most";
    Err(InvalidValue::new(what, text, allowed))
}

fn attribute(what: &'static str, text: &str) -> Result<String, InvalidValue> {
    if is_attribute_text(text) {
        return Ok(text.to_owned());
    }
    let allowed = "text without control characters, 1 to 1024 bytes";
    Err(InvalidValue::new(what, text, allowed))
}
