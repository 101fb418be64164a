//! What a seed does. Pure: the same seed gives the same scenario.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// Orders of one run.
const ORDERS: std::ops::Range<usize> = 20..45;
/// How long damage is done, in milliseconds.
const DAMAGE_MS: std::ops::Range<u64> = 350..600;
/// The lease of the subscriptions, in milliseconds.
const LEASE_MS: std::ops::Range<u64> = 150..350;
/// Longest time that a process is stopped or away, in milliseconds; longer than a lease.
const AWAY_MS: std::ops::Range<u64> = 20..500;
/// Points at which a process may crash or stop, by their words.
const POINTS: [&str; 11] = [
    "taken",
    "fetched",
    "batch-begins",
    "handled",
    "cursor-moved",
    "before-commit",
    "after-commit",
    "parked",
    "replayed",
    "renewed",
    "timer-fired",
];

/// A process of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// order-svc: serves, polls, lets orders expire.
    Order,
    /// customer-svc: serves only.
    Customer,
    /// An instance of customer-svc's poller.
    Poller(usize),
}

/// On which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the orders feed to customer-svc.
    Orders,
    /// From the customers feed to order-svc.
    Customers,
}

/// What is done at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "to whom, on which way, for how long")]
pub enum Act {
    /// Killed (`kill -9`), and started again after a while.
    Kill { who: Who, away: Duration },
    /// Asked to stop (SIGTERM), and started again.
    Terminate { who: Who },
    /// Stopped (SIGSTOP), and let go on after a while.
    Stop { who: Who, away: Duration },
    /// No file may grow any more, for a while.
    FullDisk { who: Who, away: Duration },
    /// Nothing passes, for a while.
    Partition { way: Way, away: Duration },
    /// The wall clocks of all processes are wrong by so many milliseconds from here on.
    Clock { offset_ms: i64 },
    /// An operator pauses the subscription of this way, and resumes it after a while.
    Pause { way: Way, away: Duration },
    /// An operator lets all parked events be tried again.
    Retry { way: Way },
}

/// A moment and what is done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// From the beginning of the damage.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// All of a run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it was drawn from.
    pub seed: u64,
    /// Orders to place.
    pub orders: usize,
    /// Instances of customer-svc's poller.
    pub pollers: usize,
    /// The lease of all subscriptions.
    pub lease: Duration,
    /// How long damage is done.
    pub damage_for: Duration,
    /// What is done when, in order.
    pub moves: Vec<Move>,
    /// What each start of a process is told to do to itself, one after another, by the word of a point, its count, and
    /// `crash` or `stop`.
    pub self_harm: Vec<String>,
    /// Of a thousand events, how many cannot be applied until that is mended.
    pub poison_permille: u32,
    /// Of a thousand events, how many fail at first.
    pub flaky_permille: u32,
    /// Whether the proxies do damage.
    pub proxies: bool,
}

impl Scenario {
    /// What `seed` does.
    pub fn draw(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let pollers = random.random_range(1..=3);
        let damage_ms = random.random_range(DAMAGE_MS);
        let count = random.random_range(2..7);
        let mut moves: Vec<Move> = (0..count)
            .map(|_| Move {
                at: Duration::from_millis(random.random_range(0..damage_ms)),
                act: act(&mut random, pollers),
            })
            .collect();
        moves.sort_by_key(|one| one.at);
        let self_harm = (0..random.random_range(0..6))
            .map(|_| harm(&mut random))
            .collect();
        Scenario {
            seed,
            orders: random.random_range(ORDERS),
            pollers,
            lease: Duration::from_millis(random.random_range(LEASE_MS)),
            damage_for: Duration::from_millis(damage_ms),
            moves,
            self_harm,
            poison_permille: if random.random_bool(0.5) {
                random.random_range(20..120)
            } else {
                0
            },
            flaky_permille: if random.random_bool(0.5) {
                random.random_range(20..120)
            } else {
                0
            },
            proxies: random.random_bool(0.7),
        }
    }

    /// Whether events may be parked, so that they are applied in another order than the feed's.
    pub fn parks(&self) -> bool {
        self.poison_permille > 0
    }
}

fn who(random: &mut SmallRng, pollers: usize) -> Who {
    match random.random_range(0..4) {
        0 => Who::Order,
        1 => Who::Customer,
        _ => Who::Poller(random.random_range(0..pollers)),
    }
}

fn way(random: &mut SmallRng) -> Way {
    if random.random() {
        Way::Orders
    } else {
        Way::Customers
    }
}

fn act(random: &mut SmallRng, pollers: usize) -> Act {
    let away = Duration::from_millis(random.random_range(AWAY_MS));
    match random.next_u32() % 14 {
        0..=3 => Act::Kill {
            who: who(random, pollers),
            away: away / 4,
        },
        4 => Act::Terminate {
            who: who(random, pollers),
        },
        5..=7 => Act::Stop {
            who: who(random, pollers),
            away,
        },
        8 => Act::FullDisk {
            who: who(random, pollers),
            away: away / 2,
        },
        9 => Act::Partition {
            way: way(random),
            away: away / 2,
        },
        10 => Act::Clock {
            offset_ms: random.random_range(-7_200_000..7_200_000),
        },
        11 => Act::Pause {
            way: way(random),
            away: away / 2,
        },
        _ => Act::Retry { way: way(random) },
    }
}

fn harm(random: &mut SmallRng) -> String {
    let point = POINTS[random.random_range(0..POINTS.len())];
    let count = random.random_range(1..12);
    let what = if random.random_bool(0.6) {
        "crash"
    } else {
        "stop"
    };
    format!("{point}:{count}:{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_does_the_same_and_another_something_else() {
        let text = |seed| format!("{:?}", Scenario::draw(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn the_seeds_do_everything() {
        let all: Vec<Scenario> = (0..500).map(Scenario::draw).collect();
        let acts: Vec<&Act> = all
            .iter()
            .flat_map(|one| one.moves.iter().map(|one| &one.act))
            .collect();
        assert!(acts.iter().any(|act| matches!(act, Act::FullDisk { .. })));
        assert!(acts.iter().any(|act| matches!(act, Act::Clock { .. })));
        assert!(acts.iter().any(|act| matches!(act, Act::Terminate { .. })));
        assert!(acts.iter().any(|act| matches!(act, Act::Partition { .. })));
        for point in POINTS {
            for what in ["crash", "stop"] {
                let drawn = |harm: &String| harm.starts_with(point) && harm.ends_with(what);
                assert!(
                    all.iter().any(|one| one.self_harm.iter().any(drawn)),
                    "{point} {what}"
                );
            }
        }
        for pollers in 1..=3 {
            assert!(all.iter().any(|one| one.pollers == pollers));
        }
    }
}
