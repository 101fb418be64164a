//! What must hold after a run: of a consumer's books beside those of the producer that it follows. Pure.

use std::collections::{HashMap, HashSet};

use feed_core::EventId;

use super::anomaly::{Anomaly, Kind};
pub use super::ledger::{Applied, Books, Kept, Published};

/// Follow-ups that one handler appends for an event, at most.
const FOLLOW_UPS_MAX: u32 = 8;
/// Part of the error by which an event fails that succeeds when it is tried again.
pub const TRANSIENT: &str = "failing once on purpose";

/// Two sides of a way.
pub struct Sides<'b> {
    /// Name of the consumer's subscription.
    pub subscription: &'b str,
    /// The consumer's database.
    pub consumer: &'b Books,
    /// The producer's database.
    pub producer: &'b Books,
}

impl Sides<'_> {
    /// What is wrong at the end, when all is settled and nothing is parked any more.
    pub fn at_the_end(&self) -> Vec<Anomaly> {
        let mut anomalies = self.lost();
        anomalies.extend(self.twice());
        anomalies.extend(self.out_of_order());
        anomalies.extend(self.not_of_the_feed());
        anomalies.extend(self.fences());
        anomalies.extend(self.ids());
        anomalies.extend(self.unfinished());
        anomalies.extend(self.without_place());
        anomalies
    }

    /// What the producer has committed is in its feed.
    fn without_place(&self) -> Vec<Anomaly> {
        let unplaced = self.producer.unplaced.iter();
        unplaced
            .map(|subject| {
                let what = format!("an event of {subject} was committed and is not in the feed");
                self.anomaly(Kind::LostAcknowledged, what)
            })
            .collect()
    }

    fn anomaly(&self, kind: Kind, what: impl std::fmt::Display) -> Anomaly {
        Anomaly::new(kind, format!("{}: {what}", self.subscription))
    }

    fn twice(&self) -> Vec<Anomaly> {
        let mut seen = HashSet::new();
        self.consumer
            .applied
            .iter()
            .filter(|one| !seen.insert(one.id))
            .map(|one| {
                self.anomaly(
                    Kind::Duplicated,
                    format!("event {} at position {}", one.id, one.position),
                )
            })
            .collect()
    }

    /// Within a subject, events are applied in the order of the feed. Of one that comes twice only the first counts.
    fn out_of_order(&self) -> Vec<Anomaly> {
        let mut last: HashMap<&str, u64> = HashMap::new();
        let mut seen = HashSet::new();
        let mut anomalies = Vec::new();
        for one in self
            .consumer
            .applied
            .iter()
            .filter(|one| seen.insert(one.id))
        {
            let last = last.entry(&one.subject).or_default();
            if one.position < *last {
                anomalies.push(self.anomaly(
                    Kind::Reordered,
                    format!("of {}, position {} after {last}", one.subject, one.position),
                ));
            }
            *last = one.position.max(*last);
        }
        anomalies
    }

    fn not_of_the_feed(&self) -> Vec<Anomaly> {
        let published: HashMap<u64, EventId> = self
            .producer
            .published
            .iter()
            .map(|one| (one.position, one.id))
            .collect();
        let ids: HashSet<EventId> = self.producer.published.iter().map(|one| one.id).collect();
        let mut anomalies = Vec::new();
        for one in &self.consumer.applied {
            if !ids.contains(&one.id) {
                anomalies.push(self.anomaly(
                    Kind::AbortedRead,
                    format!(
                        "event {} at position {} is not in the feed",
                        one.id, one.position
                    ),
                ));
            } else if published.get(&one.position) != Some(&one.id) {
                anomalies.push(self.anomaly(
                    Kind::DivergedPosition,
                    format!(
                        "position {} was event {}, and is {:?}",
                        one.position,
                        one.id,
                        published.get(&one.position)
                    ),
                ));
            }
        }
        for (index, one) in self.producer.published.iter().enumerate() {
            if one.position != index as u64 + 1 {
                anomalies.push(self.anomaly(
                    Kind::DivergedPosition,
                    format!("the feed has a hole before {}", one.position),
                ));
                break;
            }
        }
        anomalies
    }

    /// Who has taken a lease over is never followed by who held it before.
    fn fences(&self) -> Vec<Anomaly> {
        let mut holders: HashMap<i64, &[u8]> = HashMap::new();
        let mut newest = 0;
        let mut anomalies = Vec::new();
        for one in &self.consumer.applied {
            if one.fence < newest {
                anomalies.push(self.anomaly(
                    Kind::FenceBroken,
                    format!(
                        "position {} was applied under fence {} after fence {newest}",
                        one.position, one.fence
                    ),
                ));
            }
            newest = newest.max(one.fence);
            if holders.entry(one.fence).or_insert(&one.holder) != &one.holder.as_slice() {
                anomalies.push(self.anomaly(
                    Kind::FenceBroken,
                    format!("fence {} has two holders", one.fence),
                ));
            }
        }
        anomalies
    }

    /// The consumer's own events follow up those of the feed, with derived ids. Timers and requests have none of the
    /// feed's events as their cause.
    fn ids(&self) -> Vec<Anomaly> {
        let feed: HashSet<EventId> = self.producer.published.iter().map(|one| one.id).collect();
        let follow_ups = self
            .consumer
            .published
            .iter()
            .filter_map(|one| Some((one, one.cause?)));
        follow_ups
            .filter(|(_, cause)| feed.contains(cause))
            .filter(|(one, cause)| {
                !(0..FOLLOW_UPS_MAX)
                    .any(|index| EventId::follow_up(self.subscription, *cause, index) == one.id)
            })
            .map(|(one, cause)| {
                self.anomaly(Kind::UnderivedId, format!("{} follows up {cause}", one.id))
            })
            .collect()
    }

    /// Every event up to the cursor was applied, or is kept. Those behind it are only late.
    fn lost(&self) -> Vec<Anomaly> {
        let passed = self.consumer.passed_over();
        let lost = self
            .producer
            .published
            .iter()
            .filter(|one| passed.contains(&one.position));
        lost.map(|one| {
            self.anomaly(
                Kind::Lost,
                format!(
                    "event {} of {} at position {} was not applied",
                    one.id, one.subject, one.position
                ),
            )
        })
        .collect()
    }

    fn unfinished(&self) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let head = self.producer.published.len() as u64;
        if self.consumer.cursor != head {
            anomalies.push(self.anomaly(
                Kind::Stalled,
                format!("it stands at {} of {head}", self.consumer.cursor),
            ));
        }
        if self.consumer.state == "halted" {
            anomalies.push(self.anomaly(Kind::Halted, &self.consumer.reason));
        }
        for kept in self
            .consumer
            .kept
            .iter()
            .filter(|kept| kept.state != "dropped")
        {
            anomalies.push(self.anomaly(
                Kind::Stalled,
                format!(
                    "position {} is {}: {}",
                    kept.position, kept.state, kept.error
                ),
            ));
        }
        anomalies
    }
}

/// What a consumer's books alone show to be wrong at some moment on the way.
pub fn ahead(subscription: &str, books: &Books) -> Vec<Anomaly> {
    let passed = books.passed_over();
    let mut anomalies: Vec<Anomaly> = passed
        .iter()
        .map(|position| {
            Anomaly::new(
                Kind::CursorAheadOfEffects,
                format!("{subscription}: the cursor is {}, position {position} was neither applied nor kept", books.cursor),
            )
        })
        .collect();
    let parked = |kept: &&Kept| kept.state == "parked" && kept.error.contains(TRANSIENT);
    anomalies.extend(books.kept.iter().filter(parked).map(|kept| {
        Anomaly::new(
            Kind::TransientParked,
            format!("{subscription}: position {}: {}", kept.position, kept.error),
        )
    }));
    anomalies
}
