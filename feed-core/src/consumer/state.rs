//! The states of a subscription and of its events. Pure.

use std::fmt;

/// Declares an enum with a word for each variant, as it stands in the database and is shown.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Its word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The state with this word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

states! {
    /// How a subscription is doing.
    SubscriptionState {
        /// It follows its feed, or will as soon as an instance runs.
        Running = "running",
        /// A step failed and is tried again after a while.
        Waiting = "waiting",
        /// Trying again does not help: an operator has to look at it. Tried once more when an instance starts.
        Halted = "halted",
        /// An operator has stopped it.
        Paused = "paused",
    }
}

states! {
    /// How an event is doing that was not simply applied.
    EventState {
        /// It failed and is tried again; the cursor stands before it.
        Retrying = "retrying",
        /// It could not be applied; an operator has to look at it.
        Parked = "parked",
        /// An earlier event of its ordering key is parked.
        Waiting = "waiting",
        /// It is to be applied, next of its key.
        Replaying = "replaying",
        /// An operator decided that it is not applied.
        Dropped = "dropped",
    }
}

/// A transition of an event: from, by what, to. None is an event that nothing is kept of: not read yet at the beginning
/// of a transition, applied at its end.
pub type EventTransition = (Option<EventState>, &'static str, Option<EventState>);

/// All transitions of events, beside a reset: that makes forget what is kept of events that will come again, in whatever
/// state. `docs/consumers.md` has the same table.
pub const EVENT_TRANSITIONS: &[EventTransition] = {
    use EventState::{Dropped, Parked, Replaying, Retrying, Waiting};
    &[
        (None, "applied", None),
        (None, "transient or lasting error", Some(Retrying)),
        (None, "permanent error", Some(Parked)),
        (None, "its key has a parked event", Some(Waiting)),
        (Some(Retrying), "applied", None),
        (Some(Retrying), "transient or lasting error", Some(Retrying)),
        (
            Some(Retrying),
            "permanent error, or too many lasting ones",
            Some(Parked),
        ),
        (Some(Retrying), "operator: skip", Some(Dropped)),
        (Some(Parked), "operator: retry", Some(Replaying)),
        (Some(Parked), "operator: drop", Some(Dropped)),
        (Some(Waiting), "all before it are done", Some(Replaying)),
        (Some(Waiting), "operator: drop", Some(Dropped)),
        (Some(Replaying), "applied", None),
        (
            Some(Replaying),
            "transient or lasting error",
            Some(Replaying),
        ),
        (
            Some(Replaying),
            "permanent error, or too many lasting ones",
            Some(Parked),
        ),
        (Some(Replaying), "operator: drop", Some(Dropped)),
    ]
};

/// A transition of a subscription: from, by what, to.
pub type SubscriptionTransition = (SubscriptionState, &'static str, SubscriptionState);

/// All transitions of subscriptions. `docs/consumers.md` has the same table.
pub const SUBSCRIPTION_TRANSITIONS: &[SubscriptionTransition] = {
    use SubscriptionState::{Halted, Paused, Running, Waiting};
    &[
        (Running, "a step failed", Waiting),
        (Running, "nothing helps but an operator", Halted),
        (Running, "operator: pause", Paused),
        (Waiting, "a step succeeded", Running),
        (Waiting, "a step failed", Waiting),
        (Waiting, "nothing helps but an operator", Halted),
        (Waiting, "operator: pause", Paused),
        (Waiting, "operator: resume, reset, skip", Running),
        (Halted, "operator: resume, reset, skip", Running),
        (Halted, "an instance starts, and a step succeeds", Running),
        (Halted, "an instance starts, and a step failed", Waiting),
        (Halted, "operator: pause", Paused),
        (Paused, "operator: resume", Running),
        (Paused, "operator: reset, skip", Paused),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_states_are_one_to_one() {
        for state in SubscriptionState::ALL {
            assert_eq!(SubscriptionState::parse(state.as_str()), Some(*state));
        }
        for state in EventState::ALL {
            assert_eq!(EventState::parse(state.as_str()), Some(*state));
        }
        assert_eq!(EventState::parse("applied"), None);
    }

    #[test]
    fn every_state_can_be_reached_and_left_but_a_dropped_one() {
        for state in EventState::ALL {
            let reached = EVENT_TRANSITIONS
                .iter()
                .any(|(_, _, to)| *to == Some(*state));
            let left = EVENT_TRANSITIONS
                .iter()
                .any(|(from, _, to)| *from == Some(*state) && to != from);
            assert!(reached, "{state}");
            assert_eq!(left, *state != EventState::Dropped, "{state}");
        }
        for state in SubscriptionState::ALL {
            assert!(
                SUBSCRIPTION_TRANSITIONS
                    .iter()
                    .any(|(from, _, to)| from == state && to != state),
                "{state}"
            );
        }
    }
}
