//! What is appended in a transaction follows from something: an event that is handled, a timer that fires, or nothing.

use std::collections::HashMap;

use crate::event::{Event, EventId, NewEvent};
use crate::faults::{Bug, planted};

/// What is appended follows from this.
#[derive(Debug)]
pub(crate) enum Following {
    /// Nothing: a request, or work of the service itself.
    Nothing,
    /// Something that a handler is called for.
    Handled {
        /// Whose handler it is: a subscription, or a kind of timers.
        scope: String,
        /// Which event or timer; none as long as a handler of several events did not say.
        cause: Option<Cause>,
        /// How many follow-ups each has by now: a handler of several may come back to one.
        follow_ups: HashMap<EventId, u32>,
    },
}

/// The event or timer that is being handled.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    /// With the scope, what the ids of events derive from that are appended.
    id: EventId,
    origin: Origin,
}

/// Where an event or a timer comes from, as events carry it on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) causationid: Option<EventId>,
    pub(crate) correlationid: Option<String>,
    pub(crate) traceparent: Option<String>,
}

impl Origin {
    /// What follows from `event`: an event that begins a conversation names it.
    pub(crate) fn of(event: &Event) -> Self {
        let own = || event.id.to_string();
        Origin {
            causationid: Some(event.id),
            correlationid: Some(event.correlationid.clone().unwrap_or_else(own)),
            traceparent: event.traceparent.clone(),
        }
    }

    /// With what it lacks from `other`.
    #[cfg(feature = "client")]
    pub(crate) fn or(self, other: &Origin) -> Self {
        Origin {
            causationid: self.causationid.or(other.causationid),
            correlationid: self.correlationid.or_else(|| other.correlationid.clone()),
            traceparent: self.traceparent.or_else(|| other.traceparent.clone()),
        }
    }
}

#[cfg(feature = "client")]
impl Following {
    /// An event of this subscription; which one is said by [`Tx::follow`](crate::Tx::follow).
    pub(crate) fn subscription(subscription: &str) -> Self {
        Following::handled(subscription.to_owned(), None)
    }

    /// A timer that fires. No subscription has a name like this scope.
    pub(crate) fn timer(kind: &str, firing: EventId, origin: Origin) -> Self {
        Following::handled(format!("timer:{kind}"), Some(Cause { id: firing, origin }))
    }

    fn handled(scope: String, cause: Option<Cause>) -> Self {
        Following::Handled {
            scope,
            cause,
            follow_ups: HashMap::new(),
        }
    }

    /// What is handled comes from there; none when nothing is, or it is not known what.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        match self {
            Following::Handled {
                cause: Some(cause), ..
            } => Some(&cause.origin),
            Following::Handled { cause: None, .. } | Following::Nothing => None,
        }
    }

    /// The id of a timer that is set by this handler; none outside of one.
    pub(crate) fn setting(&self, kind: &str, key: &str) -> Option<EventId> {
        match self {
            Following::Handled {
                scope,
                cause: Some(cause),
                ..
            } => Some(EventId::setting(scope, cause.id, kind, key)),
            Following::Handled { cause: None, .. } | Following::Nothing => None,
        }
    }
}

impl Following {
    /// A handler of several events at once has not said which of them it follows.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self, Following::Handled { cause: None, .. })
    }

    /// From here on it is this event; nothing changes where no event is handled.
    pub(crate) fn follow(&mut self, event: Option<&Event>) {
        if let Following::Handled { cause, .. } = self {
            *cause = event.map(|event| Cause {
                id: event.id,
                origin: Origin::of(event),
            });
        }
    }

    /// Gives an event its id and its cause, where it lacks them.
    pub(crate) fn complete(&mut self, event: &mut NewEvent) {
        let Following::Handled {
            scope,
            cause: Some(cause),
            follow_ups,
        } = self
        else {
            event.id.get_or_insert_with(EventId::now);
            return;
        };
        // Counted for every event, with an id or without, so that an index depends on the handler alone.
        let index = follow_ups.entry(cause.id).or_default();
        let derived = EventId::follow_up(scope, cause.id, *index);
        *index += 1;
        if planted(Bug::FollowUpIdsRandom) {
            event.id = Some(EventId::now());
        }
        event.id.get_or_insert(derived);
        let Origin {
            causationid,
            correlationid,
            traceparent,
        } = &cause.origin;
        event.causationid = event.causationid.or(*causationid);
        event.correlationid = event.correlationid.take().or_else(|| correlationid.clone());
        event.traceparent = event.traceparent.take().or_else(|| traceparent.clone());
    }
}
