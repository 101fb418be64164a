//! What the proxy can do to a request.

use std::fmt;

/// One kind of damage. Each request suffers one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Damage {
    /// The request is handed on late.
    DelayHead,
    /// The answer stops in the middle of its body for a while.
    DelayBody,
    /// The body comes in small pieces, with pauses between them.
    Drip,
    /// The connection ends before anything is answered.
    CutHead,
    /// The connection ends in the middle of the body.
    CutBody,
    /// 500.
    InternalError,
    /// 503 with `Retry-After`.
    Unavailable,
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// Bytes that are no HTTP.
    NotHttp,
    /// 200 with the first part of the document, as if it were all of it.
    Truncated,
    /// 200 with a byte in the document that makes it unreadable.
    Corrupted,
    /// 200 with the document, under a media type that no feed has.
    WrongType,
    /// 200 with a page for people.
    HtmlPage,
    /// The last document with events that was got from this feed, whatever is asked for: events are repeated.
    Again,
    /// An older answer to the same URL.
    Stale,
    /// A document with events that answered another URL of this feed.
    OtherPage,
    /// An event stands twice in the document.
    Doubled,
    /// An event is missing in the document, not the last one.
    Gap,
    /// The last event is missing in the document, whose link leads on behind it. If nothing comes behind it, the checks
    /// do not show it: only the head that the feed tells of does.
    Short,
    /// Two events of the document have changed places.
    Swapped,
    /// The events of the document stand in the reverse order.
    Reversed,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Damage; 21] = [
        Damage::DelayHead,
        Damage::DelayBody,
        Damage::Drip,
        Damage::CutHead,
        Damage::CutBody,
        Damage::InternalError,
        Damage::Unavailable,
        Damage::TooManyRequests,
        Damage::NotHttp,
        Damage::Truncated,
        Damage::Corrupted,
        Damage::WrongType,
        Damage::HtmlPage,
        Damage::Again,
        Damage::Stale,
        Damage::OtherPage,
        Damage::Doubled,
        Damage::Gap,
        Damage::Short,
        Damage::Swapped,
        Damage::Reversed,
    ];

    /// Whether what comes is a valid document that says something false; a reader knows by the checks alone.
    pub fn is_lie(self) -> bool {
        match self {
            Damage::Again
            | Damage::Stale
            | Damage::OtherPage
            | Damage::Doubled
            | Damage::Gap
            | Damage::Short
            | Damage::Swapped
            | Damage::Reversed => true,
            Damage::DelayHead
            | Damage::DelayBody
            | Damage::Drip
            | Damage::CutHead
            | Damage::CutBody
            | Damage::InternalError
            | Damage::Unavailable
            | Damage::TooManyRequests
            | Damage::NotHttp
            | Damage::Truncated
            | Damage::Corrupted
            | Damage::WrongType
            | Damage::HtmlPage => false,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Damage::DelayHead => "late",
            Damage::DelayBody => "late in mid-body",
            Damage::Drip => "slow drip",
            Damage::CutHead => "cut before the head",
            Damage::CutBody => "cut in mid-body",
            Damage::InternalError => "500",
            Damage::Unavailable => "503",
            Damage::TooManyRequests => "429",
            Damage::NotHttp => "no HTTP",
            Damage::Truncated => "truncated",
            Damage::Corrupted => "corrupted",
            Damage::WrongType => "wrong type",
            Damage::HtmlPage => "HTML page",
            Damage::Again => "repeated",
            Damage::Stale => "stale",
            Damage::OtherPage => "another page",
            Damage::Doubled => "event doubled",
            Damage::Gap => "event left out",
            Damage::Short => "last event left out",
            Damage::Swapped => "events swapped",
            Damage::Reversed => "events reversed",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
