//! From `?after=` to a cursor of this feed, or the answer that the cursor deserves (invariant I11).

use http::StatusCode;

use super::problem::Problem;
use crate::event::Event;
use crate::feed::FeedState;
use crate::position::{After, Cursor, Position};

/// The position at which to read, before it is known whether the cursor is of this history. None: at the head.
pub(super) fn position(after: &After) -> Option<Position> {
    match after {
        After::Start => Some(Position::START),
        After::Now => None,
        After::Cursor(cursor) => Some(cursor.position),
        After::Position(position) => Some(*position),
        // Found by its id first; see `router`.
        After::Event(_) => None,
    }
}

/// The cursor that `after` means. `at` is the event that the feed has at its position.
pub(super) fn cursor(
    state: &FeedState,
    after: &After,
    at: Option<&Event>,
) -> Result<Cursor, Problem> {
    let found = |position| {
        if position == Position::START {
            Ok(state.history.start())
        } else {
            at.map(Event::cursor)
                .ok_or_else(|| beyond_head(state, position))
        }
    };
    match after {
        After::Start => Ok(state.history.start()),
        After::Now | After::Event(_) => Ok(at.map_or(state.head, Event::cursor)),
        After::Position(position) => found(*position),
        After::Cursor(cursor) if !state.history.contains(cursor.epoch) => Err(unknown_epoch(
            state,
            &cursor.epoch.to_string(),
            StatusCode::CONFLICT,
        )),
        After::Cursor(cursor) => {
            let ours = found(cursor.position)?;
            if ours == *cursor {
                Ok(ours)
            } else {
                Err(diverged(state, *cursor, ours))
            }
        }
    }
}

pub(super) fn malformed(error: &crate::error::InvalidValue) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "cursor-malformed",
        "That is no cursor",
        error.to_string(),
    )
}

pub(super) fn unknown_epoch(state: &FeedState, epoch: &str, status: StatusCode) -> Problem {
    let epochs: Vec<String> = state
        .history
        .epochs()
        .iter()
        .map(|(_, epoch)| epoch.to_string())
        .collect();
    Problem::new(
        status,
        "epoch-unknown",
        "The cursor is from another history",
        format!(
            "feed {:?} has no epoch {epoch}: it was restored, or this is another feed. Find out what the reader has \
             seen that the feed has lost, then set its cursor by hand",
            state.identity.name.as_str()
        ),
    )
    .with("epochs", epochs)
    .with("head", state.head.to_string())
}

fn diverged(state: &FeedState, asked: Cursor, ours: Cursor) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "cursor-diverged",
        "The cursor names another event",
        format!(
            "position {} has another event here than the one that the reader saw: the history was changed under it. \
             Find out what the reader has seen that the feed has lost, then set its cursor by hand",
            asked.position
        ),
    )
    .with("asked", asked.to_string())
    .with("found", ours.to_string())
    .with("head", state.head.to_string())
}

fn beyond_head(state: &FeedState, asked: Position) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "cursor-beyond-head",
        "The cursor lies beyond the head",
        format!(
            "the feed ends at position {}, the reader has seen {asked}: the feed has lost events, or this is another \
             feed. Find out what was lost, then set the cursor by hand",
            state.head.position
        ),
    )
    .with("asked_position", asked.get())
    .with("head", state.head.to_string())
}

pub(super) fn unknown_event(id: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "event-unknown",
        "There is no such event",
        format!("this feed has no event {id}"),
    )
}
