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

/// Those that a process comes to which is on PostgreSQL: its sequencer has some of its own.
const POSTGRES_POINTS: [&str; 8] = [
    "sequencer-locked",
    "sequencer-found",
    "sequencer-placed",
    "sequencer-noted",
    "before-commit",
    "after-commit",
    "cursor-moved",
    "handled",
];
/// Of a thousand runs with PostgreSQL, in how many the server crashes: under all runs that share it.
const CRASHES_PERMILLE: u32 = 40;
/// Longest time that somebody holds a transaction open, in milliseconds.
const HELD_MS: std::ops::Range<u64> = 20..400;

/// A process of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// order-svc: serves, polls, lets orders expire.
    Order,
    /// customer-svc: serves only.
    Customer,
    /// An instance of customer-svc's poller.
    Poller(usize),
    /// A second instance of order-svc, which serves and polls too: where several may write.
    SecondOrder,
    /// A second instance of customer-svc, as the first one.
    SecondCustomer,
}

/// One of the two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// order-svc.
    Order,
    /// customer-svc.
    Customer,
}

impl Who {
    /// Whose database it works on.
    pub fn side(self) -> Side {
        match self {
            Who::Order | Who::SecondOrder => Side::Order,
            Who::Customer | Who::SecondCustomer | Who::Poller(_) => Side::Customer,
        }
    }
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "by their names")]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// On which store each service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stores {
    /// order-svc.
    pub order: Kind,
    /// customer-svc.
    pub customer: Kind,
}

/// Which stores a run may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "by their names")]
pub enum Choice {
    Both,
    Only(Kind),
}

impl Stores {
    /// Where a service is.
    pub fn of(self, side: Side) -> Kind {
        match side {
            Side::Order => self.order,
            Side::Customer => self.customer,
        }
    }

    fn has_postgres(self) -> bool {
        self.order == Kind::Postgres || self.customer == Kind::Postgres
    }
}

/// What somebody does in a transaction that stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// An event is appended. At the end it is committed, if that does not disturb the reckoning, or else rolled back.
    Append,
    /// The rows of the subscriptions are locked.
    Subscriptions,
}

/// Whose sessions are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// All of a service.
    All,
    /// Any of them.
    One,
    /// Those of the sequencers.
    Sequencers,
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
    /// The server ends sessions of a service.
    EndSessions { side: Side, whose: Sessions },
    /// Somebody holds a transaction open, for a while.
    Hold {
        side: Side,
        what: Held,
        away: Duration,
    },
    /// The server of PostgreSQL crashes, and recovers.
    CrashServer,
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
    /// On which store each service is.
    pub stores: Stores,
    /// As `self_harm`, for processes on PostgreSQL.
    pub postgres_harm: Vec<String>,
    /// Whether a service on PostgreSQL has a second instance that serves.
    pub second: bool,
}

impl Scenario {
    /// What `seed` does, on stores of this choice.
    pub fn draw(seed: u64, choice: Choice) -> Self {
        let mut scenario = Self::draw_for_any_store(seed);
        // Drawn apart, so that what is on SQLite does the same whether there is PostgreSQL or not.
        let mut random = SmallRng::seed_from_u64(seed.rotate_left(32) ^ 0x9E37_79B9);
        let mut store = || {
            let drawn = [Kind::Sqlite, Kind::Postgres][random.random_range(0..2)];
            match choice {
                Choice::Both => drawn,
                Choice::Only(kind) => kind,
            }
        };
        scenario.stores = Stores {
            order: store(),
            customer: store(),
        };
        if scenario.stores.has_postgres() {
            scenario.add_postgres(&mut random);
        }
        scenario
    }

    /// What is done to PostgreSQL and to those on it.
    fn add_postgres(&mut self, random: &mut SmallRng) {
        let damage_ms = self.damage_for.as_millis() as u64;
        let sides: Vec<Side> = [Side::Order, Side::Customer]
            .into_iter()
            .filter(|side| self.stores.of(*side) == Kind::Postgres)
            .collect();
        for _ in 0..random.random_range(0..5) {
            let side = sides[random.random_range(0..sides.len())];
            self.moves.push(Move {
                at: Duration::from_millis(random.random_range(0..damage_ms)),
                act: postgres_act(random, side),
            });
        }
        if random.random_range(0..1_000) < CRASHES_PERMILLE {
            self.moves.push(Move {
                at: Duration::from_millis(random.random_range(0..damage_ms)),
                act: Act::CrashServer,
            });
        }
        self.moves.sort_by_key(|one| one.at);
        self.postgres_harm = (0..random.random_range(0..6))
            .map(|_| harm(random, &POSTGRES_POINTS))
            .collect();
        self.second = random.random();
    }

    fn draw_for_any_store(seed: u64) -> Self {
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
            .map(|_| harm(&mut random, &POINTS))
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
            stores: Stores {
                order: Kind::Sqlite,
                customer: Kind::Sqlite,
            },
            postgres_harm: Vec::new(),
            second: false,
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

fn postgres_act(random: &mut SmallRng, side: Side) -> Act {
    let whose = [Sessions::All, Sessions::One, Sessions::Sequencers];
    match random.next_u32() % 8 {
        0..=2 => Act::EndSessions {
            side,
            whose: whose[random.random_range(0..whose.len())],
        },
        3..=6 => Act::Hold {
            side,
            what: Held::Append,
            away: Duration::from_millis(random.random_range(HELD_MS)),
        },
        _ => Act::Hold {
            side,
            what: Held::Subscriptions,
            away: Duration::from_millis(random.random_range(HELD_MS)),
        },
    }
}

fn harm(random: &mut SmallRng, points: &[&str]) -> String {
    let point = points[random.random_range(0..points.len())];
    let count = random.random_range(1..12);
    let what = if random.random_bool(0.6) {
        "crash"
    } else {
        "stop"
    };
    format!("{point}:{count}:{what}")
}

#[cfg(test)]
mod tests;
