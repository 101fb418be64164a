//! What has to hold for any bytes from outside. Run over random bytes by the fuzz targets in `tests/fuzz`, and over their
//! corpus by the tests.

use crate::document::Links;
use crate::position::After;
#[cfg(feature = "server")]
use crate::server::FeedQuery;
use crate::{atom, json};

/// Links of an entry that stands alone; the reader does not look at them.
fn links() -> Links {
    Links {
        this: "event".to_owned(),
        current: "../../feed".to_owned(),
        next: None,
        prev_archive: None,
        tail: None,
        events: String::new(),
    }
}

/// No bytes make the Atom reader panic or go on without end; an entry that it takes comes back when it is written.
///
/// # Panics
/// When that does not hold.
pub fn atom_reader(bytes: &[u8]) {
    let _ = atom::read_feed(bytes);
    if let Ok(event) = atom::read_entry(bytes) {
        let written = atom::write_entry(&event, &links());
        assert_eq!(atom::read_entry(&written).ok(), Some(event));
    }
}

/// As [`atom_reader`], for JSON.
///
/// # Panics
/// When that does not hold.
pub fn json_reader(bytes: &[u8]) {
    if let Ok(events) = json::read_batch(bytes) {
        let written = json::write_batch(&events);
        assert_eq!(json::read_batch(&written).ok(), Some(events));
    }
    let _ = json::read_event(bytes);
}

/// No text makes the parser of cursors panic, and each place has one text, but for the case of letters in event ids.
///
/// # Panics
/// When that does not hold.
pub fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(after) = text.parse::<After>() {
        let printed = after.to_string();
        let is_event = matches!(after, After::Event(_));
        assert!(printed == text || is_event && printed.eq_ignore_ascii_case(text));
    }
}

/// No query string makes its parser panic, and what links carry on asks for the same.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "server")]
pub fn feed_query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(query) = FeedQuery::parse(text) {
        let carried = FeedQuery::parse(&query.carried());
        let same = carried
            .is_ok_and(|carried| (&carried.filter, carried.limit) == (&query.filter, query.limit));
        assert!(same, "{text:?} carries on {:?}", query.carried());
    }
}
