//! Looking at the events behind a cursor: in the store, or at the feed's end that is known already.

use super::problem::Problem;
use super::resolve;
use super::tips::{Tip, Tips};
use crate::event::{Event, EventId};
use crate::feed::FeedState;
use crate::filter::Filter;
use crate::position::{After, Cursor, Position};
use crate::store::{Log, Window};

/// Which events behind a cursor are wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) limit: Option<u32>,
}

/// What there is behind a cursor.
pub(super) struct Found {
    pub(super) state: FeedState,
    /// The cursor.
    pub(super) from: Cursor,
    /// The wanted events, oldest first.
    pub(super) events: Vec<Event>,
    /// The cursor of the last event that was looked at.
    pub(super) upto: Cursor,
}

impl Wanted {
    /// Whether a document of these is the same as a page of the feed from the cursor on.
    pub(super) fn is_all(&self) -> bool {
        self.filter.is_empty() && self.limit.is_none()
    }

    /// What is behind `after`, without a filter up to the end of the page: at the feed's end, where that is known, and else
    /// in the store.
    pub(super) async fn look(
        &self,
        log: &Log,
        tips: &Tips,
        after: &After,
    ) -> Result<Found, Problem> {
        if tips.may_answer(after) {
            let tip = tips.current().await?;
            let at_tip = tip.place(after).and_then(|from| self.at_tip(&tip, from));
            if let Some(found) = at_tip {
                return Ok(found);
            }
        }
        let found = Box::pin(self.look_in_store(log, after)).await?;
        tips.saw(&found.state);
        Ok(found)
    }

    async fn look_in_store(&self, log: &Log, after: &After) -> Result<Found, Problem> {
        let at = match (resolve::position(after), after) {
            (Some(position), _) => position,
            (None, After::Event(id)) => find_event(log, *id).await?.position,
            (None, _) => log.state().await?.head.position,
        };
        if self.filter.is_empty() {
            self.look_at_page(log, after, at).await
        } else {
            self.look_for(log, after, at).await
        }
    }

    async fn look_at_page(&self, log: &Log, after: &After, at: Position) -> Result<Found, Problem> {
        let window = match self.limit {
            None => Window::PageFrom { at },
            // No more than is wanted, beside the event at the cursor.
            Some(limit) => Window::After {
                after: Position::new(at.get().saturating_sub(1)).unwrap_or_default(),
                limit: limit.saturating_add(1),
            },
        };
        let (state, mut events) = log.read(window).await?;
        let there = events
            .first()
            .filter(|event| event.position == at)
            .map(Event::cursor);
        let from = resolve::cursor(&state, after, at, there)?;
        let capacity = state.identity.capacity;
        let end = capacity.last(capacity.page_after(at));
        events.retain(|event| event.position > at && event.position <= end);
        Ok(self.found(state, from, events))
    }

    async fn look_for(&self, log: &Log, after: &After, at: Position) -> Result<Found, Problem> {
        let capacity = log.state().await?.identity.capacity.get();
        let limit = self.limit.unwrap_or(capacity).min(capacity);
        let scan = log.scan(at, &self.filter, limit).await?;
        let from = resolve::cursor(&scan.state, after, at, scan.from)?;
        Ok(Found {
            upto: scan.upto.unwrap_or(from),
            state: scan.state,
            from,
            events: scan.events,
        })
    }

    /// What the feed's known end has behind `from`; none when it does not reach back so far.
    pub(super) fn at_tip(&self, tip: &Tip, from: Cursor) -> Option<Found> {
        let state = &tip.state;
        let capacity = state.identity.capacity;
        if self.filter.is_empty() {
            let page_end = capacity.last(capacity.page_after(from.position));
            let end = match self.limit {
                None => page_end,
                Some(limit) => {
                    let end = from.position.get().saturating_add(u64::from(limit));
                    Position::new(end).unwrap_or(page_end).min(page_end)
                }
            };
            let events = tip.behind(from, end)?.iter().map(|event| (**event).clone());
            return Some(self.found(state.clone(), from, events.collect()));
        }
        let limit = self.limit.unwrap_or(capacity.get()).min(capacity.get()) as usize;
        let head = state.head;
        let events: Vec<Event> = tip
            .behind(from, head.position)?
            .iter()
            .filter(|event| self.filter.matches(event))
            .take(limit)
            .map(|event| (**event).clone())
            .collect();
        let upto = match events.last() {
            Some(event) if events.len() == limit => event.cursor(),
            _ => head,
        };
        Some(Found {
            state: state.clone(),
            from,
            events,
            upto,
        })
    }

    fn found(&self, state: FeedState, from: Cursor, mut events: Vec<Event>) -> Found {
        if let Some(limit) = self.limit {
            events.truncate(limit as usize);
        }
        Found {
            upto: events.last().map_or(from, Event::cursor),
            state,
            from,
            events,
        }
    }
}

impl Found {
    /// Whether there is nothing to answer with but that there is nothing.
    pub(super) fn is_in_vain(&self) -> bool {
        self.events.is_empty() && self.is_caught_up()
    }

    /// Whether nothing comes behind what was looked at.
    pub(super) fn is_caught_up(&self) -> bool {
        self.upto.position >= self.state.head.position
    }
}

pub(super) async fn find_event(log: &Log, id: EventId) -> Result<Event, Problem> {
    if let Some(event) = log.event(id).await? {
        return Ok(event);
    }
    let state = log.state().await?;
    Err(if state.is_standbys {
        resolve::behind(&state)
    } else {
        resolve::unknown_event(&id.to_string())
    })
}
