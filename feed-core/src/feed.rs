//! A feed's identity and history: what all its documents share.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::InvalidValue;
use crate::event::FeedName;
use crate::limits::{EVENT_BYTES_DEFAULT, PAGE_BYTES_MAX, PAGE_CAPACITY_DEFAULT};
use crate::page::PageCapacity;
use crate::position::{Cursor, Epoch, Position};

/// Who may cache a feed's documents. Decided when the feed is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Shared caches may keep sealed pages.
    Public,
    /// Only the reader itself may.
    Private,
}

impl Visibility {
    /// The word for it in the database and in `Cache-Control`.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Private => "private",
        }
    }
}

/// A feed that a service wants to publish: name and properties, of which none ever changes.
///
/// ```
/// use feed_core::FeedConfig;
/// let feed = FeedConfig::new("orders", "order-svc")?.title("Orders for faster lines")?.page_capacity(50)?;
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone)]
pub struct FeedConfig {
    pub(crate) name: FeedName,
    pub(crate) author: String,
    pub(crate) title: String,
    pub(crate) source: String,
    pub(crate) visibility: Visibility,
    pub(crate) capacity: PageCapacity,
    pub(crate) event_bytes_max: u32,
}

impl FeedConfig {
    /// A public feed `name` of the service `author`, with `source` `/author/name`.
    ///
    /// # Errors
    /// When the name is not valid, or the author is not 1 to 255 bytes of letters, digits, `.`, `_`, `-` and spaces.
    pub fn new(name: &str, author: &str) -> Result<Self, InvalidValue> {
        let name = FeedName::new(name)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._- ".contains(&b);
        if !(1..=255).contains(&author.len()) || !author.bytes().all(plain) {
            let allowed = "letters, digits, '.', '_', '-' and spaces, 255 bytes at most";
            return Err(InvalidValue::new("author", author, allowed));
        }
        // A URI reference, since `plain` let nothing else through than a space.
        let source = format!("/{}/{name}", author.replace(' ', "-"));
        Ok(FeedConfig {
            author: author.to_owned(),
            title: name.to_string(),
            source,
            name,
            visibility: Visibility::Public,
            capacity: PageCapacity::DEFAULT,
            event_bytes_max: EVENT_BYTES_DEFAULT,
        })
    }

    /// With a title for people instead of the feed's name.
    ///
    /// # Errors
    /// When the text is empty, longer than 1024 bytes, or has control characters.
    pub fn title(mut self, title: &str) -> Result<Self, InvalidValue> {
        if !crate::event::is_attribute_text(title) {
            return Err(InvalidValue::new(
                "title",
                title,
                "text without control characters, 1 to 1024 bytes",
            ));
        }
        self.title = title.to_owned();
        Ok(self)
    }

    /// Kept by the readers' own caches only.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.visibility = Visibility::Private;
        self
    }

    /// With pages of `capacity` events instead of [`PAGE_CAPACITY_DEFAULT`].
    ///
    /// # Errors
    /// When capacity times the largest event is above [`PAGE_BYTES_MAX`].
    pub fn page_capacity(self, capacity: u32) -> Result<Self, InvalidValue> {
        let capacity = PageCapacity::new(capacity)?;
        FeedConfig { capacity, ..self }.bounded()
    }

    /// With events of `bytes` at most instead of [`EVENT_BYTES_DEFAULT`].
    ///
    /// # Errors
    /// When capacity times the largest event is above [`PAGE_BYTES_MAX`].
    pub fn event_bytes_max(self, bytes: u32) -> Result<Self, InvalidValue> {
        FeedConfig {
            event_bytes_max: bytes,
            ..self
        }
        .bounded()
    }

    fn bounded(self) -> Result<Self, InvalidValue> {
        let bytes = u64::from(self.capacity.get()) * u64::from(self.event_bytes_max);
        if self.event_bytes_max == 0 || bytes > PAGE_BYTES_MAX {
            return Err(InvalidValue::new(
                "page size",
                &format!(
                    "{} events of {} bytes",
                    self.capacity.get(),
                    self.event_bytes_max
                ),
                "capacity times largest event of 8 MiB at most, and no event limit of 0",
            ));
        }
        Ok(self)
    }
}

const _: () = assert!(PAGE_CAPACITY_DEFAULT as u64 * EVENT_BYTES_DEFAULT as u64 <= PAGE_BYTES_MAX);

/// A feed as it was created: enters the bytes of its documents, so it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedIdentity {
    /// Its name in the URL.
    pub name: FeedName,
    /// Its Atom id, `urn:uuid:…`.
    pub id: Uuid,
    /// The service that publishes it.
    pub author: String,
    /// For people.
    pub title: String,
    /// CloudEvents `source` of its events.
    pub source: std::sync::Arc<str>,
    /// Who may cache it.
    pub visibility: Visibility,
    /// Events in a page.
    pub capacity: PageCapacity,
    /// Largest event, in bytes of data and attributes.
    pub event_bytes_max: u32,
    /// When it was created, to the microsecond.
    pub created: DateTime<Utc>,
}

/// Refuses a feed that was created as something else than is asked for now.
#[cfg(feature = "store")]
pub(crate) fn compare(
    stored: &FeedIdentity,
    config: &FeedConfig,
) -> Result<(), crate::error::StoreError> {
    use crate::error::StoreError;
    let properties = [
        (
            "page capacity",
            stored.capacity.get().to_string(),
            config.capacity.get().to_string(),
        ),
        (
            "largest event",
            stored.event_bytes_max.to_string(),
            config.event_bytes_max.to_string(),
        ),
        (
            "visibility",
            stored.visibility.as_str().to_owned(),
            config.visibility.as_str().to_owned(),
        ),
    ];
    match properties
        .into_iter()
        .find(|(_, stored, asked)| stored != asked)
    {
        None => Ok(()),
        Some((property, stored, asked)) => Err(StoreError::FeedDiffers {
            feed: config.name.to_string(),
            property,
            stored,
            asked,
        }),
    }
}

/// The epochs of a feed, each with the position of its first event; the first one begins at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History(Vec<(Position, Epoch)>);

impl History {
    /// From `(first position, epoch)` in rising order.
    ///
    /// # Errors
    /// When there is no epoch, the first does not begin at 1, or the positions do not rise.
    pub fn new(epochs: Vec<(Position, Epoch)>) -> Result<Self, InvalidValue> {
        let begins = epochs.first().is_some_and(|(first, _)| first.get() == 1);
        let rises = epochs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if begins && rises {
            Ok(History(epochs))
        } else {
            Err(InvalidValue::new(
                "history",
                &format!("{epochs:?}"),
                "epochs that begin at 1 and rise",
            ))
        }
    }

    /// The epoch in which the event at `position` got (or will get) its position.
    pub fn epoch_at(&self, position: Position) -> Epoch {
        let behind = self.0.partition_point(|(first, _)| *first <= position);
        // Position 0 belongs to the first epoch; `new` made sure that there is one.
        self.0[behind.saturating_sub(1)].1
    }

    /// The cursor before the first event.
    pub fn start(&self) -> Cursor {
        Cursor::start(self.0[0].1)
    }

    /// Whether `epoch` is part of this history.
    pub fn contains(&self, epoch: Epoch) -> bool {
        self.0.iter().any(|(_, known)| *known == epoch)
    }

    /// `(first position, epoch)` in rising order.
    pub fn epochs(&self) -> &[(Position, Epoch)] {
        &self.0
    }
}

/// A feed at one moment: all that a document about it needs beside its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedState {
    /// What the feed was created as.
    pub identity: std::sync::Arc<FeedIdentity>,
    /// Its epochs.
    pub history: History,
    /// Cursor of the newest event; `epoch.0.0` when there is none.
    pub head: Cursor,
    /// The cursor before the oldest event that is still there; `epoch.0.0` unless pages were pruned.
    pub earliest: Cursor,
    /// When the newest event was recorded; when the feed was created, if there is none.
    pub updated: DateTime<Utc>,
    /// It is a standby's: there may be more that it does not know of yet.
    pub is_standbys: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_too_large_for_a_reader() {
        let sized = |capacity, bytes| {
            let config = FeedConfig::new("orders", "order-svc")?.page_capacity(1)?;
            config.event_bytes_max(bytes)?.page_capacity(capacity)
        };
        for (capacity, bytes) in [(1, 8 << 20), (128, 65_536), (8_388, 1_000)] {
            assert!(sized(capacity, bytes).is_ok(), "{capacity} x {bytes}");
        }
        for (capacity, bytes) in [(1, (8 << 20) + 1), (129, 65_536), (8_389, 1_000), (1, 0)] {
            assert!(sized(capacity, bytes).is_err(), "{capacity} x {bytes}");
        }
    }
}
