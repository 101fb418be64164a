//! Which events of a feed a reader wants: by type, by subject, or both.

use crate::error::InvalidValue;
use crate::event::{Event, EventType, Subject};
use crate::limits::FILTER_VALUES_MAX;

/// The events that are wanted: of one of the types, about one of the subjects. An empty list wants all.
///
/// ```
/// use feed_core::{EventType, Filter};
/// let mut filter = Filter::default();
/// assert!(filter.is_empty());
/// filter.add_type(EventType::new("OrderCreated")?)?;
/// assert!(!filter.is_empty());
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    types: Vec<EventType>,
    subjects: Vec<Subject>,
}

impl Filter {
    /// Whether every event is wanted.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.subjects.is_empty()
    }

    /// Wants events of this type too.
    ///
    /// # Errors
    /// When there are [`FILTER_VALUES_MAX`] types already.
    pub fn add_type(&mut self, event_type: EventType) -> Result<(), InvalidValue> {
        add(&mut self.types, event_type, "type", EventType::as_str)
    }

    /// Wants events about this subject too.
    ///
    /// # Errors
    /// When there are [`FILTER_VALUES_MAX`] subjects already.
    pub fn add_subject(&mut self, subject: Subject) -> Result<(), InvalidValue> {
        add(&mut self.subjects, subject, "subject", Subject::as_str)
    }

    /// The types, in the order in which they were added.
    pub fn types(&self) -> &[EventType] {
        &self.types
    }

    /// The subjects, in the order in which they were added.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// Whether `event` is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        (self.types.is_empty() || self.types.contains(&event.event_type))
            && (self.subjects.is_empty() || self.subjects.contains(&event.subject))
    }
}

fn add<T: PartialEq>(
    list: &mut Vec<T>,
    value: T,
    name: &'static str,
    text: impl Fn(&T) -> &str,
) -> Result<(), InvalidValue> {
    if list.len() >= FILTER_VALUES_MAX {
        let allowed = "16 values at most";
        return Err(InvalidValue::new(name, text(&value), allowed));
    }
    if !list.contains(&value) {
        list.push(value);
    }
    Ok(())
}
