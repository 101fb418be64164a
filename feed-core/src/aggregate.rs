//! Event-sourced aggregates in the manner of the decider pattern (Chassaing, "Functional Event Sourcing Decider", 2021).
//!
//! `decide` says which events a command leads to, `evolve` how an event changes the state; both are pure. Loading,
//! saving against the expected version and trying again after a conflict is done here.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AppendError, InvalidValue, StoreError};
use crate::event::{EventId, Subject, Version, domain_event, domain_parts};
use crate::limits::CONFLICT_TRIES_MAX;
use crate::store::{Expected, Store, Tx};

/// Something whose state is what its events say. `Default` is its state before the first.
///
/// ```
/// use feed_core::Aggregate;
/// #[derive(Default)]
/// struct Lamp { lit: bool }
/// #[derive(serde::Serialize, serde::Deserialize)]
/// enum LampEvent { Lit { lamp_id: u32 } }
/// #[derive(Debug, thiserror::Error)]
/// #[error("the lamp is lit already")]
/// struct AlreadyLit;
///
/// impl Aggregate for Lamp {
///     type Event = LampEvent;
///     type Command = u32;
///     type Error = AlreadyLit;
///     fn decide(&self, lamp_id: &u32) -> Result<Vec<LampEvent>, AlreadyLit> {
///         if self.lit { Err(AlreadyLit) } else { Ok(vec![LampEvent::Lit { lamp_id: *lamp_id }]) }
///     }
///     fn evolve(&mut self, _: &LampEvent) {
///         self.lit = true;
///     }
/// }
/// ```
pub trait Aggregate: Default {
    /// An enum with serde's external tagging whose variants have fields; see [`domain_event`].
    type Event: Serialize + DeserializeOwned;
    /// What is asked of it.
    type Command;
    /// Why it refuses.
    type Error: std::error::Error;

    /// The events that `command` leads to; none when nothing is to be done.
    ///
    /// # Errors
    /// When the command is refused in this state.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after `event`.
    fn evolve(&mut self, event: &Self::Event);
}

/// An aggregate with its version.
#[derive(Debug, Clone, Default)]
pub struct Loaded<A> {
    /// Its state.
    pub state: A,
    /// The version of its last event; [`Version::NONE`] when it has none.
    pub version: Version,
    /// The id of its last event.
    pub last_event: Option<EventId>,
}

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Decided<A: Aggregate> {
    /// The aggregate after it.
    pub after: Loaded<A>,
    /// The events that were appended; none when nothing was to be done.
    pub events: Vec<A::Event>,
}

/// A command that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DecideError<E: std::error::Error> {
    /// The aggregate refuses.
    #[error(transparent)]
    Refused(E),
    /// The events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An event of the aggregate is no valid event.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
}

impl<E: std::error::Error> From<StoreError> for DecideError<E> {
    fn from(error: StoreError) -> Self {
        DecideError::Append(error.into())
    }
}

/// Errors among which a version conflict may be, after which the work is worth doing again.
pub trait MayConflict {
    /// Whether it is one.
    fn is_conflict(&self) -> bool;
}

impl MayConflict for AppendError {
    fn is_conflict(&self) -> bool {
        AppendError::is_conflict(self)
    }
}

impl<E: std::error::Error> MayConflict for DecideError<E> {
    fn is_conflict(&self) -> bool {
        matches!(self, DecideError::Append(error) if error.is_conflict())
    }
}

impl Tx<'_> {
    /// The aggregate that `subject`'s events make.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one of its events is none of `A`'s; or when the database fails.
    pub async fn load<A: Aggregate>(&mut self, subject: &Subject) -> Result<Loaded<A>, StoreError> {
        let mut loaded = Loaded {
            state: A::default(),
            version: Version::NONE,
            last_event: None,
        };
        for event in self.events_of(subject).await? {
            let domain: A::Event =
                domain_parts(&event.event_type, event.data.as_ref()).map_err(|error| {
                    StoreError::Corrupt(format!("event {} of {subject}: {error}", event.id))
                })?;
            loaded.state.evolve(&domain);
            loaded.version = event.version;
            loaded.last_event = Some(event.id);
        }
        Ok(loaded)
    }

    /// Loads the aggregate, lets it decide and appends what it decided to `feed`, against the version that it was
    /// loaded at (invariant I5).
    ///
    /// # Errors
    /// What the aggregate refuses with, or why the events could not be appended.
    pub async fn decide<A: Aggregate>(
        &mut self,
        feed: &str,
        subject: &Subject,
        command: &A::Command,
    ) -> Result<Decided<A>, DecideError<A::Error>> {
        self.lock_subject(subject).await?;
        let mut after = self.load::<A>(subject).await?;
        let events = after.state.decide(command).map_err(DecideError::Refused)?;
        if events.is_empty() {
            return Ok(Decided { after, events });
        }
        let new = events
            .iter()
            .map(domain_event)
            .collect::<Result<Vec<_>, _>>()?;
        let appended = self
            .append(feed, subject, Expected::Version(after.version), &new)
            .await?;
        events.iter().for_each(|event| after.state.evolve(event));
        after.version = appended.version;
        after.last_event = appended.ids.last().copied();
        Ok(Decided { after, events })
    }
}

impl Store {
    /// As [`write`](Self::write), and again from the start when a version conflict stopped it, up to
    /// [`CONFLICT_TRIES_MAX`] times.
    ///
    /// # Errors
    /// As `write`; the conflict itself when the last try met one too.
    pub async fn write_retrying<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + MayConflict + Send + 'static,
    {
        let work = Arc::new(work);
        let mut tries = 1;
        loop {
            let this_time = work.clone();
            let result = self
                .write(async move |tx: &mut Tx<'_>| this_time(tx).await)
                .await;
            match result {
                Err(error) if error.is_conflict() && tries < CONFLICT_TRIES_MAX => tries += 1,
                result => return result,
            }
        }
    }
}
