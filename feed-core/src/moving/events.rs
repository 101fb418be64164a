//! The events of a feed, page by page as its readers see them.

use super::progress::{Counter, Told};
use super::report::Report;
use crate::document::{Document, Format};
use crate::error::StoreError;
use crate::event::Event;
use crate::feed::FeedState;
use crate::page::PageNumber;
use crate::position::{Check, Position};
use crate::store::{Log, Window};
use crate::{atom, json};

/// An error, and on which side.
type Failed = (usize, StoreError);

/// Follows a feed from event to event.
struct Walk<'a> {
    state: &'a FeedState,
    position: Position,
    check: Check,
    recorded_us: i64,
}

impl<'a> Walk<'a> {
    fn new(state: &'a FeedState) -> Self {
        Walk {
            state,
            position: state.earliest.position,
            check: state.earliest.check,
            recorded_us: i64::MIN,
        }
    }

    /// Goes on to the next event, and says what is wrong with it.
    fn follow(&mut self, event: &Event) -> Option<String> {
        let wanted = self.position.next().unwrap_or(self.position);
        let recorded_us = event.recorded.timestamp_micros();
        let wrong = if event.position != wanted {
            Some(format!(
                "position {} comes behind {}",
                event.position, self.position
            ))
        } else if event.check != self.check.next(event.id) {
            Some(format!(
                "the check of position {} is {}, and that before it and its id make {}",
                event.position,
                event.check,
                self.check.next(event.id)
            ))
        } else if recorded_us < self.recorded_us {
            Some(format!(
                "position {} was recorded before the one before it",
                event.position
            ))
        } else {
            None
        };
        (self.position, self.check, self.recorded_us) = (event.position, event.check, recorded_us);
        wrong.map(|what| format!("feed {}: {what}", self.state.identity.name))
    }
}

/// The pages that have something behind the oldest event, up to a position.
fn pages(state: &FeedState, last: Position) -> impl Iterator<Item = PageNumber> + use<> {
    let capacity = state.identity.capacity;
    let first = capacity.page_after(state.earliest.position);
    std::iter::successors(Some(first), |page| Some(page.next()))
        .take_while(move |page| capacity.first(*page) <= last.get())
}

fn count(state: &FeedState) -> u64 {
    state
        .head
        .position
        .get()
        .saturating_sub(state.earliest.position.get())
}

/// Checks the positions, the checks and the times of one feed.
pub(super) async fn walk(
    log: &Log,
    state: &FeedState,
    report: &mut Report,
    told: &mut Told<'_>,
) -> Result<(), StoreError> {
    report.turn();
    let name = state.identity.name.to_string();
    let mut counter = Counter::begin(&name, count(state), told);
    let mut walk = Walk::new(state);
    for page in pages(state, state.head.position) {
        let (_, events) = log.read(Window::Page(page)).await?;
        for event in events
            .iter()
            .filter(|event| event.position <= state.head.position)
        {
            if let Some(wrong) = walk.follow(event) {
                report.add(wrong);
            }
        }
        counter.add(events.len());
    }
    ends(&walk, report);
    let beyond = state.head.position.next();
    let epochs = state.history.epochs();
    if epochs.iter().any(|(first, _)| Some(*first) > beyond) {
        report.add(format!(
            "feed {name} has an epoch that begins behind its head"
        ));
    }
    let events = counter.done();
    report.feeds.push((name, events));
    Ok(())
}

fn ends(walk: &Walk<'_>, report: &mut Report) {
    let state = walk.state;
    if walk.position != state.head.position {
        report.add(format!(
            "feed {} ends at position {}, and its head is {}",
            state.identity.name, walk.position, state.head.position
        ));
    }
}

/// Compares two feeds of one name, and checks both.
pub(super) async fn compare(
    sides: [(&Log, &FeedState); 2],
    report: &mut Report,
    told: &mut Told<'_>,
) -> Result<(), Failed> {
    report.turn();
    let [(a, first), (b, second)] = sides;
    let name = first.identity.name.to_string();
    compare_states(first, second, report);
    if first.identity.capacity != second.identity.capacity {
        return Ok(());
    }
    let last = first.head.position.max(second.head.position);
    let mut counter = Counter::begin(&name, count(first).max(count(second)), told);
    let mut walks = [Walk::new(first), Walk::new(second)];
    let sealed_upto = first.head.position.min(second.head.position);
    for page in pages(first, last) {
        let (_, events) = a
            .read(Window::Page(page))
            .await
            .map_err(|error| (0, error))?;
        let (_, others) = b
            .read(Window::Page(page))
            .await
            .map_err(|error| (1, error))?;
        for (walk, (events, which)) in walks
            .iter_mut()
            .zip([(&events, "first"), (&others, "second")])
        {
            for wrong in events.iter().filter_map(|event| walk.follow(event)) {
                report.add(format!("the {which} database, {wrong}"));
            }
        }
        compare_events(&name, &events, &others, report);
        counter.add(events.len().max(others.len()));
        if first.identity.capacity.is_sealed(page, sealed_upto) {
            compare_pages([(first, events), (second, others)], page, report);
        }
    }
    for walk in &walks {
        ends(walk, report);
    }
    let events = counter.done();
    report.feeds.push((name, events));
    Ok(())
}

fn compare_states(first: &FeedState, second: &FeedState, report: &mut Report) {
    let name = &first.identity.name;
    let (a, b) = (&first.identity, &second.identity);
    let epochs = |state: &FeedState| {
        let epochs = state.history.epochs().iter();
        let epochs: Vec<String> = epochs
            .map(|(first, epoch)| format!("{epoch} from {first}"))
            .collect();
        epochs.join(", ")
    };
    for (what, a, b) in [
        ("id", a.id.to_string(), b.id.to_string()),
        ("author", a.author.clone(), b.author.clone()),
        ("title", a.title.clone(), b.title.clone()),
        ("source", a.source.to_string(), b.source.to_string()),
        (
            "visibility",
            a.visibility.as_str().into(),
            b.visibility.as_str().into(),
        ),
        (
            "page capacity",
            a.capacity.get().to_string(),
            b.capacity.get().to_string(),
        ),
        (
            "largest event",
            a.event_bytes_max.to_string(),
            b.event_bytes_max.to_string(),
        ),
        (
            "time of creation",
            a.created.to_rfc3339(),
            b.created.to_rfc3339(),
        ),
        ("list of epochs", epochs(first), epochs(second)),
        ("head", first.head.to_string(), second.head.to_string()),
        (
            "beginning",
            first.earliest.to_string(),
            second.earliest.to_string(),
        ),
        (
            "time of change",
            first.updated.to_rfc3339(),
            second.updated.to_rfc3339(),
        ),
    ] {
        if a != b {
            report.add(format!(
                "feed {name}: its {what} is {a} in the first and {b} in the second database"
            ));
        }
    }
}

fn compare_events(feed: &str, events: &[Event], others: &[Event], report: &mut Report) {
    for (a, b) in events.iter().zip(others) {
        if a != b {
            report.add(format!(
                "feed {feed}, position {}: {}",
                a.position,
                what_differs(a, b)
            ));
        }
    }
    let (fewer, more) = (
        events.len().min(others.len()),
        events.len().max(others.len()),
    );
    if fewer < more {
        let (longer, which) = if events.len() > fewer {
            (events, "first")
        } else {
            (others, "second")
        };
        report.add(format!(
            "feed {feed}: {} events from position {} on are in the {which} database only",
            more - fewer,
            longer[fewer].position
        ));
    }
}

fn what_differs(a: &Event, b: &Event) -> String {
    let texts = |event: &Event| {
        let data = event.data.as_ref();
        let bytes = data.map(|data| String::from_utf8_lossy(data.bytes()).into_owned());
        [
            ("id", event.id.to_string()),
            ("source", event.source.to_string()),
            ("type", event.event_type.to_string()),
            ("subject", event.subject.to_string()),
            ("version", event.version.to_string()),
            ("time", event.time.to_rfc3339()),
            ("recorded", event.recorded.to_rfc3339()),
            ("position", event.position.to_string()),
            ("epoch", event.epoch.to_string()),
            ("check", event.check.to_string()),
            ("dataschema", format!("{:?}", event.dataschema)),
            ("traceparent", format!("{:?}", event.traceparent)),
            ("causationid", format!("{:?}", event.causationid)),
            ("correlationid", format!("{:?}", event.correlationid)),
            ("extensions", format!("{:?}", event.extensions)),
            (
                "datacontenttype",
                format!("{:?}", data.map(crate::event::Data::content_type)),
            ),
            ("data", format!("{bytes:?}")),
        ]
    };
    let differing = texts(a)
        .into_iter()
        .zip(texts(b))
        .find(|((_, a), (_, b))| a != b);
    match differing {
        Some(((what, a), (_, b))) => format!(
            "its {what} is {} in the first and {} in the second database",
            super::report::cut(a),
            super::report::cut(b)
        ),
        None => "its data differs".to_owned(),
    }
}

/// The sealed page as bytes, in each representation: what caches and readers keep for ever (invariant I4).
fn compare_pages(sides: [(&FeedState, Vec<Event>); 2], page: PageNumber, report: &mut Report) {
    let [(first, events), (second, others)] = sides;
    let name = &first.identity.name;
    for format in [Format::Atom, Format::Json] {
        let bytes = |state: &FeedState, events: &[Event]| {
            let document = Document::sealed(state, page, events.to_vec(), format);
            match format {
                Format::Atom => atom::write_feed(&document),
                Format::Json => json::write_batch(&document.events),
            }
        };
        if bytes(first, &events) != bytes(second, &others) {
            report.add(format!(
                "feed {name}: sealed page {page} is not the same as {}",
                format.extension()
            ));
        }
    }
}
