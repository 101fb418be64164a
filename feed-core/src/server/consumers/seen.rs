//! What is remembered of those who follow a feed: in memory only, and no more than so much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::event::SubscriptionName;
use crate::headers::FEED_SUBSCRIPTION;
use crate::limits::{CONSUMER_SHOWN_MS_MAX, CONSUMERS_SEEN_MAX};
use crate::position::Position;

/// Those who follow one feed. No cursor is kept for them: it is forgotten with the process, and nothing is answered
/// by it.
#[derive(Default)]
pub(in crate::server) struct Consumers(Mutex<HashMap<SubscriptionName, Seen>>);

/// What was seen of a subscription last.
struct Seen {
    /// The event that it asked after.
    position: Position,
    when: Instant,
    /// Held by its requests that wait and its event streams, too.
    waiting: Arc<()>,
}

/// A subscription as it was seen last.
pub(super) struct Following {
    pub(super) subscription: SubscriptionName,
    pub(super) position: Position,
    /// How long ago it was seen.
    pub(super) ago: Duration,
    pub(super) is_waiting: bool,
}

/// Who asks, if the request says so.
#[derive(Clone)]
pub(in crate::server) struct Reader(Option<(Arc<Consumers>, SubscriptionName)>);

/// Somebody waits as long as this is there.
pub(in crate::server) struct Waiting {
    _held: Option<Arc<()>>,
}

impl Reader {
    /// Who asks for this feed. A name that is none is passed over: whoever sends it gets its events all the same.
    pub(in crate::server) fn of(headers: &HeaderMap, consumers: &Arc<Consumers>) -> Self {
        let name = headers
            .get(FEED_SUBSCRIPTION)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| SubscriptionName::new(text).ok());
        Reader(name.map(|name| (consumers.clone(), name)))
    }

    /// It wants what comes behind `position`, so it has seen what stands up to there.
    pub(in crate::server) fn asks_after(&self, position: Position) {
        if let Some((consumers, name)) = &self.0 {
            consumers.note(name, position, Instant::now());
        }
    }

    /// It waits from now on.
    pub(in crate::server) fn waits(&self) -> Waiting {
        let held = self.0.as_ref().and_then(|(consumers, name)| {
            let seen = consumers.lock();
            Some(seen.get(name)?.waiting.clone())
        });
        Waiting { _held: held }
    }
}

impl Consumers {
    fn note(&self, name: &SubscriptionName, position: Position, now: Instant) {
        let mut all = self.lock();
        if let Some(seen) = all.get_mut(name) {
            seen.position = position;
            seen.when = now;
            return;
        }
        if all.len() >= CONSUMERS_SEEN_MAX {
            forget_one(&mut all);
        }
        let seen = Seen {
            position,
            when: now,
            waiting: Arc::default(),
        };
        all.insert(name.clone(), seen);
    }

    /// Those who are to be shown, by their names.
    pub(super) fn following(&self, now: Instant) -> Vec<Following> {
        let shown = Duration::from_millis(CONSUMER_SHOWN_MS_MAX);
        let mut following: Vec<Following> = self
            .lock()
            .iter()
            .map(|(name, seen)| Following {
                subscription: name.clone(),
                position: seen.position,
                ago: now.saturating_duration_since(seen.when),
                is_waiting: Arc::strong_count(&seen.waiting) > 1,
            })
            .filter(|one| one.ago <= shown)
            .collect();
        following.sort_unstable_by(|a, b| a.subscription.cmp(&b.subscription));
        following
    }

    /// A lock whose holder panicked guards nothing that could be half changed here.
    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionName, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets who was seen least recently. All are looked at, which takes some microseconds, and only where a name comes
/// that was not there; else nothing would have to be kept in order with every request.
fn forget_one(all: &mut HashMap<SubscriptionName, Seen>) {
    let oldest = all.iter().min_by_key(|(_, seen)| seen.when);
    if let Some(name) = oldest.map(|(name, _)| name.clone()) {
        all.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SubscriptionName {
        SubscriptionName::new(text).unwrap()
    }

    fn at(position: u64) -> Position {
        Position::new(position).unwrap()
    }

    fn names(consumers: &Consumers, now: Instant) -> Vec<String> {
        let following = consumers.following(now).into_iter();
        following.map(|one| one.subscription.to_string()).collect()
    }

    #[test]
    fn i12_no_more_are_remembered_and_the_least_recently_seen_goes_first() {
        let (consumers, begin) = (Consumers::default(), Instant::now());
        let later = |ms: usize| begin + Duration::from_millis(ms as u64);
        for number in 0..CONSUMERS_SEEN_MAX {
            consumers.note(&name(&format!("n/{number}")), at(1), later(number));
        }
        // The first one is seen again, so the second one is the oldest.
        consumers.note(&name("n/0"), at(2), later(CONSUMERS_SEEN_MAX));
        for number in 0..3 {
            let now = later(CONSUMERS_SEEN_MAX + 1 + number);
            consumers.note(&name(&format!("new/{number}")), at(3), now);
        }
        let there = names(&consumers, later(2 * CONSUMERS_SEEN_MAX));
        assert_eq!(there.len(), CONSUMERS_SEEN_MAX);
        for gone in ["n/1", "n/2", "n/3"] {
            assert!(!there.iter().any(|name| name == gone), "{gone}");
        }
        for kept in ["n/0", "n/4", "new/0", "new/2"] {
            assert!(there.iter().any(|name| name == kept), "{kept}");
        }
    }

    #[test]
    fn who_was_not_seen_for_long_is_not_shown() {
        let (consumers, begin) = (Consumers::default(), Instant::now());
        let shown = Duration::from_millis(CONSUMER_SHOWN_MS_MAX);
        consumers.note(&name("b"), at(7), begin);
        consumers.note(&name("a"), at(7), begin + Duration::from_secs(1));
        assert_eq!(names(&consumers, begin + shown), ["a", "b"]);
        assert_eq!(
            names(&consumers, begin + shown + Duration::from_secs(1)),
            ["a"]
        );
        assert_eq!(names(&consumers, begin + 2 * shown), [""; 0]);
    }

    #[test]
    fn it_waits_as_long_as_one_of_its_requests_does() {
        let consumers = Arc::new(Consumers::default());
        let reader = Reader(Some((consumers.clone(), name("a"))));
        let is_waiting = || {
            let following = consumers.following(Instant::now());
            following.iter().any(|one| one.is_waiting)
        };
        reader.asks_after(at(1));
        assert!(!is_waiting());
        let (first, second) = (reader.waits(), reader.waits());
        reader.asks_after(at(2));
        drop(first);
        assert!(is_waiting());
        drop(second);
        assert!(!is_waiting());
    }
}
