//! From `?after=` to a cursor of this feed, or the answer that the cursor deserves (invariant I11).

use http::StatusCode;

use super::problem::Problem;
use super::problem_types;
use crate::feed::FeedState;
use crate::position::{After, Cursor, Position};

/// The position at which to read, before it is known whether the cursor is of this history. None: at the head.
pub(super) fn position(after: &After) -> Option<Position> {
    match after {
        After::Start => Some(Position::START),
        After::Now => None,
        After::Cursor(cursor) => Some(cursor.position),
        After::Position(position) => Some(*position),
        // Found by its id first; see `look`.
        After::Event(_) => None,
    }
}

/// The cursor that `after` means. `there` is that of the event which the feed has at the position `at`.
pub(super) fn cursor(
    state: &FeedState,
    after: &After,
    at: Position,
    there: Option<Cursor>,
) -> Result<Cursor, Problem> {
    if let After::Cursor(cursor) = after
        && !state.history.contains(cursor.epoch)
    {
        let epoch = cursor.epoch.to_string();
        return Err(
            unknown_epoch(state, &epoch, StatusCode::CONFLICT).with("asked", cursor.to_string())
        );
    }
    if at < state.earliest.position {
        return Err(pruned(
            state,
            format!("what comes next behind position {at}"),
        ));
    }
    let ours = if at == state.earliest.position {
        state.earliest
    } else {
        there.ok_or_else(|| match after {
            After::Cursor(cursor) => beyond_head(state, at).with("asked", cursor.to_string()),
            _ => beyond_head(state, at),
        })?
    };
    match after {
        After::Cursor(cursor) if ours != *cursor => Err(diverged(state, *cursor, ours)),
        _ => Ok(ours),
    }
}

pub(super) fn malformed(error: &crate::error::InvalidValue) -> Problem {
    Problem::new(&problem_types::CURSOR_MALFORMED, error.to_string())
}

pub(super) fn unknown_epoch(state: &FeedState, epoch: &str, status: StatusCode) -> Problem {
    if state.is_standbys {
        return behind(state);
    }
    let epochs: Vec<String> = state
        .history
        .epochs()
        .iter()
        .map(|(_, epoch)| epoch.to_string())
        .collect();
    Problem::new(&problem_types::EPOCH_UNKNOWN,
        format!(
            "feed {:?} has no epoch {epoch}: it was restored, or this is another feed. Find out what the reader has \
             seen that the feed has lost, then set its cursor by hand",
            state.identity.name.as_str()
        ),
    )
    .with_status(status)
    .with("epochs", epochs)
    .with("head", state.head.to_string())
}

fn diverged(state: &FeedState, asked: Cursor, ours: Cursor) -> Problem {
    Problem::new(&problem_types::CURSOR_DIVERGED,
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

/// A standby does not know yet what was asked for; whether there is such a thing is known by the primary.
pub(crate) fn behind(state: &FeedState) -> Problem {
    Problem::new(
        &problem_types::FEED_BEHIND,
        format!(
            "this instance reads a standby, which is at position {} and may get there",
            state.head.position
        ),
    )
    .with("head", state.head.to_string())
    .retry_after(1)
}

fn beyond_head(state: &FeedState, asked: Position) -> Problem {
    if state.is_standbys {
        return behind(state);
    }
    Problem::new(&problem_types::CURSOR_BEYOND_HEAD,
        format!(
            "the feed ends at position {}, the reader has seen {asked}: the feed has lost events, or this is another \
             feed. Find out what was lost, then set the cursor by hand",
            state.head.position
        ),
    )
    .with("asked_position", asked.get())
    .with("head", state.head.to_string())
}

/// What was asked for is not there any more: `what`.
pub(super) fn pruned(state: &FeedState, what: String) -> Problem {
    Problem::new(&problem_types::CURSOR_PRUNED,
        format!(
            "{what} was pruned. The feed can be read from {} on: find out what the reader has missed, then set its \
             cursor to that by hand",
            state.earliest
        ),
    )
    .with("earliest", state.earliest.to_string())
    .with("head", state.head.to_string())
}

pub(super) fn unknown_event(id: &str) -> Problem {
    Problem::new(
        &problem_types::EVENT_UNKNOWN,
        format!("this feed has no event {id}"),
    )
}
