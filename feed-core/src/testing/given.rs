//! Given these events, when this command comes, then those events follow.

use std::fmt::Debug;

use crate::aggregate::Aggregate;

/// An aggregate with a past.
///
/// ```
/// # use feed_core::{Aggregate, testing::Given};
/// # #[derive(Default)] struct Lamp { lit: bool }
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)] enum LampEvent { Lit { lamp_id: u32 } }
/// # #[derive(Debug, PartialEq, thiserror::Error)] #[error("lit already")] struct AlreadyLit;
/// # impl Aggregate for Lamp {
/// #     type Event = LampEvent; type Command = u32; type Error = AlreadyLit;
/// #     fn decide(&self, lamp_id: &u32) -> Result<Vec<LampEvent>, AlreadyLit> {
/// #         if self.lit { Err(AlreadyLit) } else { Ok(vec![LampEvent::Lit { lamp_id: *lamp_id }]) }
/// #     }
/// #     fn evolve(&mut self, _: &LampEvent) { self.lit = true; }
/// # }
/// Given::<Lamp>::nothing().when(&7).then(&[LampEvent::Lit { lamp_id: 7 }]);
/// Given::<Lamp>::events(&[LampEvent::Lit { lamp_id: 7 }]).when(&7).then_refused(&AlreadyLit);
/// ```
pub struct Given<A: Aggregate>(A);

impl<A: Aggregate> Given<A> {
    /// An aggregate without events.
    pub fn nothing() -> Self {
        Given(A::default())
    }

    /// An aggregate to which `events` happened.
    pub fn events(events: &[A::Event]) -> Self {
        let mut state = A::default();
        events.iter().for_each(|event| state.evolve(event));
        Given(state)
    }

    /// The command comes.
    pub fn when(self, command: &A::Command) -> When<A> {
        When(self.0.decide(command))
    }
}

/// What the command led to.
#[must_use]
pub struct When<A: Aggregate>(Result<Vec<A::Event>, A::Error>);

impl<A: Aggregate> When<A>
where
    A::Event: Debug + PartialEq,
    A::Error: Debug + PartialEq,
{
    /// # Panics
    /// Unless exactly these events followed.
    #[track_caller]
    pub fn then(self, events: &[A::Event]) {
        assert_eq!(self.0.as_deref(), Ok(events));
    }

    /// # Panics
    /// Unless the command was taken and nothing followed.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then(&[]);
    }

    /// # Panics
    /// Unless the command was refused for this reason.
    #[track_caller]
    pub fn then_refused(self, reason: &A::Error) {
        assert_eq!(self.0.as_ref(), Err(reason));
    }
}
