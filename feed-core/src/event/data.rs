//! The payload of an event: kept as it came, byte for byte.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Event, EventId, names::is_attribute_text};
use crate::error::InvalidValue;

/// Media type of data that says none (CloudEvents JSON format, section 3.1).
pub(super) const JSON: &str = "application/json";

/// The payload of an event with its media type.
///
/// JSON data is checked to be JSON when it enters, and then kept and handed on as the text that it was,
/// without the white space around it.
///
/// A clone shares the bytes. Those of an event that a client has read may be a part of what was received with it, which is
/// kept as long as any of its data is: whoever keeps few events of many copies what they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    content_type: Cow<'static, str>,
    bytes: Bytes,
}

impl Data {
    /// `value` as JSON.
    ///
    /// # Errors
    /// When `value` has no JSON form, such as a map whose keys are not texts.
    pub fn json(value: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        Ok(Data {
            content_type: Cow::Borrowed(JSON),
            bytes: serde_json::to_vec(value)?.into(),
        })
    }

    /// JSON text that is already checked.
    pub(crate) fn from_raw(raw: &RawValue) -> Self {
        Data {
            content_type: Cow::Borrowed(JSON),
            bytes: Bytes::copy_from_slice(raw.get().as_bytes()),
        }
    }

    /// JSON text that is already checked, and shared with the document that it stands in.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        Data {
            content_type: Cow::Borrowed(JSON),
            bytes,
        }
    }

    /// Bytes of the media type `content_type`; for JSON types (`application/json`, `…+json`) a JSON text.
    ///
    /// # Errors
    /// When the media type is not one, or says JSON and the bytes are not.
    pub fn new(content_type: &str, bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        if !is_media_type(content_type) {
            return Err(InvalidValue::new(
                "datacontenttype",
                content_type,
                "type/subtype with optional parameters",
            ));
        }
        let mut data = Data {
            content_type: if content_type == JSON {
                Cow::Borrowed(JSON)
            } else {
                Cow::Owned(content_type.to_owned())
            },
            bytes: bytes.into(),
        };
        if data.is_json() {
            let raw: &RawValue = serde_json::from_slice(&data.bytes).map_err(|_| {
                InvalidValue::new(
                    "data",
                    &String::from_utf8_lossy(&data.bytes),
                    "a JSON text, as datacontenttype says",
                )
            })?;
            if raw.get().len() != data.bytes.len() {
                data.bytes = Bytes::copy_from_slice(raw.get().as_bytes());
            }
        }
        Ok(data)
    }

    /// From a store, where only checked data is.
    #[cfg(feature = "store")]
    pub(crate) fn stored(content_type: &str, bytes: Vec<u8>) -> Self {
        Data {
            content_type: if content_type == JSON {
                Cow::Borrowed(JSON)
            } else {
                Cow::Owned(content_type.to_owned())
            },
            bytes: bytes.into(),
        }
    }

    /// The media type, for a store: none for plain JSON.
    #[cfg(feature = "store")]
    pub(crate) fn content_type_stored(&self) -> Option<&str> {
        (self.content_type != JSON).then_some(&*self.content_type)
    }

    /// The media type.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the media type says JSON (RFC 6839, section 3.1 for the suffix).
    pub fn is_json(&self) -> bool {
        is_json_type(&self.content_type)
    }

    /// The JSON text; none when the data is not JSON.
    pub fn json_text(&self) -> Option<&str> {
        if self.is_json() {
            std::str::from_utf8(&self.bytes).ok()
        } else {
            None
        }
    }

    /// The JSON data as a `T`.
    ///
    /// # Errors
    /// When the data is not JSON or not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        if !self.is_json() {
            return Err(DecodeError::because(format!(
                "its data is {}, not JSON",
                self.content_type
            )));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| DecodeError::because(error.to_string()))
    }
}

/// Whether a media type says JSON (RFC 6839, section 3.1 for the suffix).
pub(super) fn is_json_type(media_type: &str) -> bool {
    // What nearly all events have.
    if media_type == JSON {
        return true;
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(JSON)
        || essence.len() > 5
            && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
}

/// `type/subtype` of token characters (RFC 9110, section 8.3.1), then anything printable.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    is_attribute_text(text)
        && matches!(essence.split_once('/'), Some((kind, subtype)) if token(kind) && token(subtype))
}

/// Data that is not what a handler expects. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub struct DecodeError {
    event: Option<(EventId, Box<str>)>,
    reason: String,
}

impl DecodeError {
    pub(crate) fn because(reason: String) -> Self {
        DecodeError {
            event: None,
            reason,
        }
    }

    pub(crate) fn missing() -> Self {
        DecodeError::because("it has no data".to_owned())
    }

    /// The same error, naming the event.
    pub(crate) fn of(self, event: &Event) -> Self {
        DecodeError {
            event: Some((event.id, event.event_type.as_str().into())),
            ..self
        }
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.event {
            Some((id, event_type)) => write!(
                f,
                "event {id} ({event_type}) cannot be read: {}",
                self.reason
            ),
            None => write!(f, "data cannot be read: {}", self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_is_checked_and_kept_as_it_came() {
        let data = Data::new("application/json", b" {\"a\" : 1.50} \n".to_vec()).unwrap();
        assert_eq!(data.bytes(), b"{\"a\" : 1.50}");
        assert!(Data::new("application/json", b"{".to_vec()).is_err());
        assert!(Data::new("application/vnd.x+JSON; v=1", b"{} {}".to_vec()).is_err());
        assert!(Data::new("image/png", vec![0, 1]).is_ok());
        for bad in ["", "json", "a/b/c d", "/json", "a b/c"] {
            assert!(Data::new(bad, vec![]).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_media_type_and_bytes_are_taken_or_refused(kind in "\\PC{0,20}", bytes in any::<Vec<u8>>()) {
            if let Ok(data) = Data::new(&kind, bytes.clone()) {
                prop_assert!(data.is_json() || data.bytes() == bytes);
            }
        }
    }
}
