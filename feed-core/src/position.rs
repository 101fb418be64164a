//! Positions, epochs, checks and the cursor that they form: where a reader stands in a feed.

mod check;

pub use check::Check;

use std::fmt;
use std::str::FromStr;

use crate::error::InvalidValue;
use crate::event::EventId;
use crate::limits::POSITION_MAX;

/// The place of an event in its feed: 1, 2, 3 … without holes; 0 is before the first.
///
/// ```
/// use feed_core::Position;
/// let third = Position::new(3)?;
/// assert_eq!(third.next(), Some(Position::new(4)?));
/// assert!(Position::new(u64::MAX).is_err());
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const START: Position = Position(0);

    /// # Errors
    /// When `position` is above [`POSITION_MAX`].
    pub fn new(position: u64) -> Result<Self, InvalidValue> {
        if position > POSITION_MAX {
            return Err(InvalidValue::new(
                "position",
                &position.to_string(),
                "a number from 0 to 2^40 - 1",
            ));
        }
        Ok(Position(position))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The position after this one; none after the last possible one.
    pub fn next(self) -> Option<Position> {
        (self.0 < POSITION_MAX).then(|| Position(self.0 + 1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Position {
    type Err = InvalidValue;

    /// Decimal digits, without sign, space or leading zeros.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = "a number from 0 to 2^40 - 1, without leading zeros";
        let canonical = text == "0" || !text.starts_with('0');
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !canonical || !digits {
            return Err(InvalidValue::new("position", text, allowed));
        }
        let number = text
            .parse()
            .map_err(|_| InvalidValue::new("position", text, allowed))?;
        Position::new(number)
    }
}

/// The random id of a stretch of a feed's history: 64 bits, written as 16 lowercase hex digits.
///
/// A restore from a backup or a lossy fail-over opens a new one, so that a cursor from the lost
/// history is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch([u8; 8]);

impl Epoch {
    /// A new random epoch.
    pub fn random() -> Self {
        Epoch(rand::random())
    }

    /// From the bytes that [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Epoch(bytes)
    }

    /// From its text.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        read_hex(digits).map(Epoch)
    }

    /// The 8 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl FromStr for Epoch {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Epoch::from_hex(text.as_bytes())
            .ok_or_else(|| InvalidValue::new("epoch", text, "16 lowercase hex digits"))
    }
}

/// Where a reader stands: the last event that it has seen, written `epoch.position.check`;
/// `epoch.0.0` before the first.
///
/// To its users it is one token: they keep it and give it back.
///
/// ```
/// use feed_core::Cursor;
/// let cursor: Cursor = "0123456789abcdef.42.00aa11bb22cc".parse()?;
/// assert_eq!(cursor.position.get(), 42);
/// assert_eq!(cursor.to_string(), "0123456789abcdef.42.00aa11bb22cc");
/// assert!("0123456789abcdef.42".parse::<Cursor>().is_err());
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The epoch in which the event got its position.
    pub epoch: Epoch,
    /// The event's position.
    pub position: Position,
    /// The event's check.
    pub check: Check,
}

impl Cursor {
    /// The cursor before the first event of a feed whose first epoch is `epoch`.
    pub fn start(epoch: Epoch) -> Self {
        Cursor {
            epoch,
            position: Position::START,
            check: Check::START,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position == Position::START {
            write!(f, "{}.0.0", self.epoch)
        } else {
            write!(f, "{}.{}.{}", self.epoch, self.position, self.check)
        }
    }
}

impl FromStr for Cursor {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid =
            || InvalidValue::new("cursor", text, "epoch.position.check, as a feed gave it");
        let mut parts = text.split('.');
        let (Some(epoch), Some(position), Some(check), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let epoch = epoch.parse().map_err(|_| invalid())?;
        let position: Position = position.parse().map_err(|_| invalid())?;
        if position == Position::START {
            return (check == "0")
                .then(|| Cursor::start(epoch))
                .ok_or_else(invalid);
        }
        let check = check.parse().map_err(|_| invalid())?;
        Ok(Cursor {
            epoch,
            position,
            check,
        })
    }
}

/// From where a reader wants to go on: what `?after=` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Before the first event.
    Start,
    /// Behind the newest event.
    Now,
    /// A cursor that the feed gave.
    Cursor(Cursor),
    /// The event with this id.
    Event(EventId),
    /// A bare position, for people with curl: nothing is checked.
    Position(Position),
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            After::Start => f.write_str("start"),
            After::Now => f.write_str("now"),
            After::Cursor(cursor) => cursor.fmt(f),
            After::Event(id) => id.fmt(f),
            After::Position(position) => position.fmt(f),
        }
    }
}

impl FromStr for After {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || {
            InvalidValue::new(
                "cursor",
                text,
                "start, now, a cursor (epoch.position.check), an event id or a position",
            )
        };
        match text {
            "start" => Ok(After::Start),
            "now" => Ok(After::Now),
            _ if text.contains('.') => text.parse().map(After::Cursor).map_err(|_| invalid()),
            _ if text.contains('-') => text.parse().map(After::Event).map_err(|_| invalid()),
            _ => text.parse().map(After::Position).map_err(|_| invalid()),
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Exactly `N` bytes as lowercase hex: one text a value, so that texts can be compared.
fn read_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut wrong) = ([0; N], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| HEX_DIGITS[usize::from(digit)]);
        *byte = high << 4 | low & 0x0f;
        wrong |= high | low;
    }
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

/// A bit that no digit has.
const NO_DIGIT: u8 = 0x80;

/// The value of each byte as a lowercase hex digit: a table, since a reader looks up dozens for each event.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        (any::<[u8; 8]>(), 0..=POSITION_MAX, any::<[u8; 6]>()).prop_map(
            |(epoch, position, check)| {
                let position = Position(position);
                let check = if position == Position::START {
                    [0; 6]
                } else {
                    check
                };
                Cursor {
                    epoch: Epoch(epoch),
                    position,
                    check: Check::from_bytes(check),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn i04_a_cursor_has_one_text(cursor in cursors()) {
            let text = cursor.to_string();
            prop_assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
            prop_assert_eq!(text.parse::<After>().unwrap(), After::Cursor(cursor));
        }

        #[test]
        fn any_text_that_is_taken_is_printed_the_same(text in "[0-9a-fstrnow.-]{0,40}") {
            if let Ok(after) = text.parse::<After>() {
                prop_assert_eq!(after.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<After>();
        }
    }

    #[test]
    fn wrong_cursors_are_refused() {
        for text in [
            "",
            "0123456789abcdef",
            "0123456789abcdef.0.000000000000",
            "0123456789ABCDEF.1.00aa11bb22cc",
            "0123456789abcdef.01.00aa11bb22cc",
            "0123456789abcdef.1.0",
            "0123456789abcdef.1.00aa11bb22cc.",
            "0123456789abcdef.+1.00aa11bb22cc",
            "0123456789abcdef.99999999999999999999.00aa11bb22cc",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
