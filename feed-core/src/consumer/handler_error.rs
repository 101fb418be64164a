//! Why an event could not be applied, and whether trying again can help.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::aggregate::DecideError;
use crate::error::{AppendError, InvalidValue, StoreError};
use crate::event::DecodeError;
use crate::limits::{ERROR_BYTES_MAX, RETRY_AFTER_MS_MAX};

/// An event that could not be applied; nothing of what its handler did is kept.
///
/// ```
/// use feed_core::HandlerError;
/// assert!(HandlerError::transient("the printer is warming up").is_transient());
/// assert!(!HandlerError::permanent("there is no such lamp").is_transient());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerError {
    kind: HandlerErrorKind,
    text: String,
    retry_after: Option<Duration>,
}

/// What trying again is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerErrorKind {
    /// It helps, sooner or later: the event is tried again, as often as it takes. It is never parked.
    Transient,
    /// It may help: the event is tried again, [`LASTING_TRIES_MAX`](crate::limits::LASTING_TRIES_MAX) times in all, and
    /// is then parked.
    Lasting,
    /// It does not help: the event is parked.
    Permanent,
}

impl HandlerError {
    /// The same succeeds sooner or later, without anybody's help: a lost connection, a timeout.
    pub fn transient(reason: impl fmt::Display) -> Self {
        HandlerError::new(HandlerErrorKind::Transient, &reason)
    }

    /// The same may succeed later, but it is not waited for endlessly.
    pub fn lasting(reason: impl fmt::Display) -> Self {
        HandlerError::new(HandlerErrorKind::Lasting, &reason)
    }

    /// The same does not succeed until somebody has changed something.
    pub fn permanent(reason: impl fmt::Display) -> Self {
        HandlerError::new(HandlerErrorKind::Permanent, &reason)
    }

    /// An error with the chain of its causes.
    pub fn of(kind: HandlerErrorKind, error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            let added = source.to_string();
            // Errors that show their cause in their own text would say it twice.
            if !text.contains(&added) {
                text = format!("{text}: {added}");
            }
            cause = source.source();
        }
        HandlerError::new(kind, &text)
    }

    fn new(kind: HandlerErrorKind, reason: &dyn fmt::Display) -> Self {
        HandlerError {
            kind,
            text: shortened(reason.to_string()),
            retry_after: None,
        }
    }

    /// Not to be tried again before that time, which is cut at [`RETRY_AFTER_MS_MAX`].
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.min(Duration::from_millis(RETRY_AFTER_MS_MAX)));
        self
    }

    /// What trying again is good for.
    pub fn kind(&self) -> HandlerErrorKind {
        self.kind
    }

    /// Whether the same succeeds sooner or later.
    pub fn is_transient(&self) -> bool {
        self.kind == HandlerErrorKind::Transient
    }

    /// How long to wait at least.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    fn either(transient: bool, error: &(dyn Error + 'static)) -> Self {
        let kind = if transient {
            HandlerErrorKind::Transient
        } else {
            HandlerErrorKind::Permanent
        };
        HandlerError::of(kind, error)
    }
}

/// The text, cut at [`ERROR_BYTES_MAX`].
pub(super) fn shortened(mut text: String) -> String {
    if text.len() > ERROR_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
        text.push('…');
    }
    text
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for HandlerError {}

impl From<StoreError> for HandlerError {
    /// Work that was interrupted because it took too long may have met a slow disk, or be too slow by itself: lasting.
    fn from(error: StoreError) -> Self {
        if let StoreError::TimeLimit { .. } = error {
            return HandlerError::of(HandlerErrorKind::Lasting, &error);
        }
        HandlerError::either(error.is_transient(), &error)
    }
}

impl From<AppendError> for HandlerError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => error.into(),
            error => HandlerError::either(error.is_transient(), &error),
        }
    }
}

impl From<DecodeError> for HandlerError {
    fn from(error: DecodeError) -> Self {
        HandlerError::either(false, &error)
    }
}

impl From<InvalidValue> for HandlerError {
    fn from(error: InvalidValue) -> Self {
        HandlerError::either(false, &error)
    }
}

impl<E: Error + 'static> From<DecideError<E>> for HandlerError {
    fn from(error: DecideError<E>) -> Self {
        match error {
            DecideError::Append(error) => error.into(),
            error => HandlerError::either(false, &error),
        }
    }
}

impl From<reqwest::Error> for HandlerError {
    /// Another system that is not reached, is too slow, is busy (408, 425, 429) or fails (5xx) is tried again; what it
    /// refuses is not.
    fn from(error: reqwest::Error) -> Self {
        let refused = error.status().is_some_and(|status| {
            status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429)
        });
        HandlerError::either(!refused && !error.is_builder(), &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the order is not known")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("row 7 is missing")]
    struct Inner;

    #[test]
    fn the_chain_of_causes_is_kept() {
        let error = HandlerError::of(HandlerErrorKind::Permanent, &Outer(Inner));
        assert_eq!(
            error.to_string(),
            "the order is not known: row 7 is missing"
        );
    }

    #[test]
    fn texts_and_waits_are_bounded() {
        let error =
            HandlerError::transient("ü".repeat(5_000)).retry_after(Duration::from_secs(86_400));
        assert!(error.to_string().len() <= ERROR_BYTES_MAX + 3);
        assert_eq!(
            error.wait(),
            Some(Duration::from_millis(RETRY_AFTER_MS_MAX))
        );
    }

    #[test]
    fn what_took_too_long_is_tried_again_but_not_for_ever() {
        let error = HandlerError::from(StoreError::TimeLimit { ms_max: 1 });
        assert_eq!(error.kind(), HandlerErrorKind::Lasting);
        let error = HandlerError::from(AppendError::from(StoreError::Unavailable("busy".into())));
        assert_eq!(error.kind(), HandlerErrorKind::Transient);
    }
}
