//! The texts in an event's attributes, checked where they enter.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::error::InvalidValue;
use crate::limits::{
    ATTRIBUTE_BYTES_MAX, EVENT_TYPE_BYTES_MAX, EXTENSION_NAME_BYTES_MAX, FEED_NAME_BYTES_MAX,
    SUBJECT_BYTES_MAX, SUBSCRIPTION_NAME_BYTES_MAX, VERSION_MAX,
};

/// A checked text: newtype, `FromStr`, `Display`, `AsRef<str>` and serde by its text.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        ///
        /// Short ones, of 23 bytes or fewer, take no memory of their own; longer ones are shared by their clones.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            #[doc = concat!("Takes ", $allowed, ".")]
            ///
            /// # Errors
            /// When the text is anything else.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
                let text = text.as_ref();
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok($name(SmolStr::new(text)))
                } else {
                    Err(InvalidValue::new($what, text, $allowed))
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidValue;

            fn try_from(text: String) -> Result<Self, InvalidValue> {
                $name::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $name::new(text.as_ref()).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Whether it can be a subject or a type.
pub(crate) fn is_name(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

checked_text! {
    /// Name of a feed, as it stands in its URL.
    FeedName, "feed name", "a-z, 0-9 and -, starting with a letter or digit, 64 at most",
    |text| (1..=FEED_NAME_BYTES_MAX).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

checked_text! {
    /// The aggregate that an event is about, such as `order-0190b6e2`.
    Subject, "subject", "visible ASCII without spaces, 255 bytes at most",
    |text| is_name(text, SUBJECT_BYTES_MAX)
}

checked_text! {
    /// What happened, such as `OrderCreated` or `com.example.order.created`.
    EventType, "event type", "visible ASCII without spaces, 255 bytes at most",
    |text| is_name(text, EVENT_TYPE_BYTES_MAX)
}

checked_text! {
    /// Name of a subscription, unique in its database, such as `orders/customers`.
    SubscriptionName, "subscription name", "a-z, 0-9, -, _ and /, 128 at most",
    |text| (1..=SUBSCRIPTION_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_/".contains(&b))
}

checked_text! {
    /// Name of an extension attribute (CloudEvents 1.0, section 3.1.1), none that CloudEvents or the feed use.
    ExtensionName, "extension name", "a-z and 0-9, 20 at most, and no name that is in use",
    |text| (1..=EXTENSION_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !NAMES_IN_USE.contains(&text)
}

/// Attributes that have a place of their own in an [`Event`](super::Event).
const NAMES_IN_USE: [&str; 18] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "database64",
    "sequence",
    "epoch",
    "check",
    "recorded",
    "version",
    "traceparent",
    "causationid",
    "correlationid",
];

/// Value of an extension attribute: the CloudEvents types that JSON tells apart.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Extension {
    /// CloudEvents Boolean.
    Boolean(bool),
    /// CloudEvents Integer: 32 bits with sign.
    Integer(i32),
    /// CloudEvents String, and all that is written as one (URI, timestamp, binary).
    Text(String),
}

impl Extension {
    /// Bytes that the value takes in an event's size.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Extension::Boolean(_) => 1,
            Extension::Integer(_) => 4,
            Extension::Text(text) => text.len(),
        }
    }

    /// Whether the value is short enough and has no character that CloudEvents forbids in strings.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Extension::Boolean(_) | Extension::Integer(_) => true,
            Extension::Text(text) => is_attribute_text(text),
        }
    }
}

/// CloudEvents 1.0, section "Type System", String: no control characters and no noncharacters.
pub(crate) fn is_attribute_text(text: &str) -> bool {
    let forbidden = |c: char| {
        c.is_control() || (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c)
    };
    !text.is_empty() && text.len() <= ATTRIBUTE_BYTES_MAX && !text.contains(forbidden)
}

/// Number of an event within its subject: 1, 2, 3 …; 0 is a subject without events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
pub struct Version(u32);

impl Version {
    /// A subject without events.
    pub const NONE: Version = Version(0);

    /// # Errors
    /// When `version` is above [`VERSION_MAX`].
    pub fn new(version: u32) -> Result<Self, InvalidValue> {
        if version > VERSION_MAX {
            return Err(InvalidValue::new(
                "version",
                &version.to_string(),
                "a number from 0 to 2^31 - 1",
            ));
        }
        Ok(Version(version))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The version after this one; none after the last possible one.
    pub fn next(self) -> Option<Version> {
        (self.0 < VERSION_MAX).then(|| Version(self.0 + 1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_checked() {
        assert!(FeedName::new("orders").is_ok());
        for bad in ["", "-orders", "Orders", "a/b", &"a".repeat(65)] {
            assert!(FeedName::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "with space", "tab\t", "ü", &"a".repeat(256)] {
            assert!(Subject::new(bad).is_err(), "{bad}");
            assert!(EventType::new(bad).is_err(), "{bad}");
        }
        assert!(ExtensionName::new("partitionkey").is_ok());
        for bad in ["", "sequence", "with-dash", "Upper", &"a".repeat(21)] {
            assert!(ExtensionName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attribute_texts_are_limited() {
        assert!(is_attribute_text(&"a".repeat(1024)));
        assert!(is_attribute_text("ü 💡 <&>"));
        for bad in ["", "\n", "\u{7f}", "\u{85}", "\u{fffe}", "\u{fdd0}"] {
            assert!(!is_attribute_text(bad), "{bad:?}");
        }
        assert!(!is_attribute_text(&"a".repeat(1025)));
        assert!(!is_attribute_text(&"ü".repeat(513)));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_printed_the_same(text in "\\PC{0,300}") {
            if let Ok(subject) = Subject::new(text.as_str()) {
                prop_assert_eq!(subject.to_string(), text);
            }
        }
    }
}
