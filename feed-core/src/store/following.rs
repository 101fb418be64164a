//! What is appended in a transaction follows from something: an event that is handled, a timer that fires, or nothing.

use std::collections::HashMap;

use smol_str::SmolStr;

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
        scope: SmolStr,
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
    from: ComesFrom,
}

/// Where it comes from. What follows from an event is made out only when something does: most handlers append nothing.
#[derive(Debug, Clone)]
enum ComesFrom {
    Event {
        correlationid: Option<String>,
        traceparent: Option<String>,
    },
    #[cfg(feature = "client")]
    Timer(Origin),
}

impl Cause {
    fn event(event: &Event) -> Self {
        Cause {
            id: event.id,
            from: ComesFrom::Event {
                correlationid: event.correlationid.clone(),
                traceparent: event.traceparent.clone(),
            },
        }
    }

    fn origin(&self) -> Origin {
        match &self.from {
            ComesFrom::Event {
                correlationid,
                traceparent,
            } => Origin::of_event(self.id, correlationid.as_deref(), traceparent.clone()),
            #[cfg(feature = "client")]
            ComesFrom::Timer(origin) => origin.clone(),
        }
    }
}

/// Where an event or a timer comes from, as events carry it on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) causationid: Option<EventId>,
    pub(crate) correlationid: Option<String>,
    pub(crate) traceparent: Option<String>,
}

impl Origin {
    /// What follows from `event`.
    #[cfg(feature = "client")]
    pub(crate) fn of(event: &Event) -> Self {
        Cause::event(event).origin()
    }

    /// An event that begins a conversation names it.
    fn of_event(id: EventId, correlationid: Option<&str>, traceparent: Option<String>) -> Self {
        Origin {
            causationid: Some(id),
            correlationid: Some(correlationid.map_or_else(|| id.to_string(), str::to_owned)),
            traceparent,
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
        Following::handled(subscription.into(), None)
    }

    /// A timer that fires. No subscription has a name like this scope.
    pub(crate) fn timer(kind: &str, firing: EventId, origin: Origin) -> Self {
        let cause = Cause {
            id: firing,
            from: ComesFrom::Timer(origin),
        };
        Following::handled(smol_str::format_smolstr!("timer:{kind}"), Some(cause))
    }

    fn handled(scope: SmolStr, cause: Option<Cause>) -> Self {
        Following::Handled {
            scope,
            cause,
            follow_ups: HashMap::new(),
        }
    }

    /// What is handled comes from there; none when nothing is, or it is not known what.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Following::Handled {
                cause: Some(cause), ..
            } => Some(cause.origin()),
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
            *cause = event.map(Cause::event);
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
        } = cause.origin();
        event.causationid = event.causationid.or(causationid);
        event.correlationid = event.correlationid.take().or(correlationid);
        event.traceparent = event.traceparent.take().or(traceparent);
    }
}
