//! What may be wrong after a run.

use std::fmt;

/// A kind of anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An acknowledged order is not in its feed.
    LostAcknowledged,
    /// An event was passed and never applied.
    Lost,
    /// An event was applied twice.
    Duplicated,
    /// Events of one subject were applied in another order than the feed's.
    Reordered,
    /// An event was applied that the feed does not have.
    AbortedRead,
    /// A position names two events.
    DivergedPosition,
    /// A commit by an instance whose lease another one had taken over.
    FenceBroken,
    /// At some moment the cursor stood behind an event that was neither applied nor kept.
    CursorAheadOfEffects,
    /// An event was parked for an error that passes by itself.
    TransientParked,
    /// A follow-up has an id that does not derive from its cause.
    UnderivedId,
    /// State that does not follow from the events.
    WrongState,
    /// Somebody else than a sequencer notifies.
    WriterNotified,
    /// A subscription halted although nothing was wrong with its feed for good.
    Halted,
    /// Lag did not return to zero after all faults had healed.
    Stalled,
    /// The run itself could not be made.
    Broken,
}

impl Kind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::LostAcknowledged => "lost acknowledged write",
            Kind::Lost => "lost",
            Kind::Duplicated => "duplicated",
            Kind::Reordered => "reordered",
            Kind::AbortedRead => "aborted read",
            Kind::DivergedPosition => "diverged position",
            Kind::FenceBroken => "fence broken",
            Kind::CursorAheadOfEffects => "cursor ahead of effects",
            Kind::TransientParked => "transient error parked",
            Kind::UnderivedId => "follow-up id not derived",
            Kind::WrongState => "wrong state",
            Kind::WriterNotified => "writer notified",
            Kind::Halted => "halted",
            Kind::Stalled => "stalled",
            Kind::Broken => "run broken",
        }
    }
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Where, and what was seen.
    pub what: String,
}

impl Anomaly {
    /// An anomaly.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Anomaly {
            kind,
            what: what.into(),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.what)
    }
}
