//! Does to a cluster what the scenario says, and afterwards heals all of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use feed_core::{Chosen, Mode, Operator, Store, SubscriptionHandle, SubscriptionState};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::anomaly::Anomaly;
use super::checker;
use super::cluster::{Cluster, Places};
use super::ledger::Books;
use super::meddling::{Meddler, end_sessions};
use super::place::Place;
use super::scenario::{Act, Move, Scenario, Side, Way, Who};
use super::template::Template;
use crate::failure::{Context, Failure};
use crate::faults::{FaultPlan, Weights};
use crate::settling::Feeds;

/// order-svc's subscription.
pub(super) const ORDERS_CUSTOMERS: &str = "orders/customers";
/// customer-svc's subscription.
pub(super) const CUSTOMERS_ORDERS: &str = "customers/orders";
/// Time between two looks at the processes, in milliseconds.
const LOOK_MS: u64 = 5;
/// How long a process that ended by itself stays away, in milliseconds.
const AWAY_MS: std::ops::Range<u64> = 5..60;
/// How much room a full disk still has, in bytes.
const ROOM_BYTES: std::ops::Range<u64> = 0..40_000;

/// An end of something, at a moment.
enum End {
    Partition(Way),
    Pause(Way),
}

pub(super) struct Mischief<'c> {
    cluster: &'c mut Cluster,
    places: &'c Places,
    template: &'c Template,
    random: SmallRng,
    stop_for: Duration,
    moves: Vec<Move>,
    ends: Vec<(Instant, End)>,
    /// Where operators work: the subscriptions of the two ways.
    orders_way: SubscriptionHandle,
    customers_way: SubscriptionHandle,
    /// What operators are at. They wait for a database that a stopped process holds; nobody waits for them.
    operators: JoinSet<()>,
    /// What is done to PostgreSQL from outside.
    pub(super) meddler: Meddler,
    /// What was seen to be wrong on the way.
    pub(super) anomalies: Vec<Anomaly>,
}

/// A plan of damage whose failures leave no long waits behind.
fn plan() -> FaultPlan {
    FaultPlan {
        weights: Weights {
            pass: 60,
            gap: 6,
            doubled: 6,
            swapped: 4,
            again: 6,
            ..Weights::MIXED
        },
        delay_ms_max: 60,
        drip_ms_max: 60,
        retry_after_s_max: 0,
        honest_past_caches: true,
    }
}

impl<'c> Mischief<'c> {
    pub(super) async fn new(
        cluster: &'c mut Cluster,
        places: &'c Places,
        template: &'c Template,
        scenario: &Scenario,
    ) -> Result<Self, Failure> {
        let orders_way = open(&places.customer, CUSTOMERS_ORDERS).await?;
        let customers_way = open(&places.order, ORDERS_CUSTOMERS).await?;
        if scenario.proxies {
            cluster.orders_way.set(plan());
            cluster.customers_way.set(plan());
        }
        let mut moves = scenario.moves.clone();
        moves.reverse();
        Ok(Mischief {
            cluster,
            places,
            template,
            random: SmallRng::seed_from_u64(!scenario.seed),
            // Longer than a lease, so that somebody takes over.
            stop_for: scenario.lease * 3 / 2,
            moves,
            ends: Vec::new(),
            orders_way,
            customers_way,
            operators: JoinSet::new(),
            meddler: Meddler::new(),
            anomalies: Vec::new(),
        })
    }

    /// Does damage for so long.
    pub(super) async fn work(&mut self, damage_for: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        while began.elapsed() < damage_for {
            while let Some(next) = self.moves.pop_if(|next| next.at <= began.elapsed()) {
                self.act(next.act).await?;
            }
            self.look_after().await?;
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
        Ok(())
    }

    /// Takes all damage away, and lets what cannot be applied be applied.
    pub(super) async fn heal(&mut self) -> Result<(), Failure> {
        self.meddler.let_go().await;
        self.cluster.orders_way.resume();
        self.cluster.customers_way.resume();
        self.cluster.orders_way.heal();
        self.cluster.customers_way.heal();
        self.cluster.self_harm.clear();
        self.cluster.postgres_harm.clear();
        let _ = std::fs::remove_file(self.cluster.folder.join("clock"));
        std::fs::write(self.cluster.folder.join("mended"), "").context("mending")?;
        let everybody: Vec<Who> = self.cluster.processes.keys().copied().collect();
        for who in everybody {
            let process = self.cluster.process(who);
            process.relieve();
            if process.has_ended() || !process.is_up() {
                process.start(None)?;
            }
        }
        for way in [Way::Orders, Way::Customers] {
            self.resume(way);
        }
        Ok(())
    }

    /// Starts what has ended by itself, and lets go on what has stopped itself.
    pub(super) async fn look_after(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let everybody: Vec<Who> = self.cluster.processes.keys().copied().collect();
        for who in everybody {
            let away = Duration::from_millis(self.random.random_range(AWAY_MS));
            let stop_for = self.stop_for;
            let process = self.cluster.process(who);
            if process.has_ended() {
                process.back_at = Some(now + away);
                self.look_at_books(who).await;
                continue;
            }
            if process.has_stopped_itself() {
                process.noticed_stop(now + stop_for);
            }
            if process.back_at.is_some_and(|at| at <= now) {
                if process.is_up() {
                    process.relieve();
                } else {
                    self.cluster.start_again(who)?;
                }
            }
        }
        let mut ended = Vec::new();
        self.ends.retain(|(at, end)| {
            let over = *at <= now;
            if over {
                ended.push(match end {
                    End::Partition(way) => (true, *way),
                    End::Pause(way) => (false, *way),
                });
            }
            !over
        });
        for (partition, way) in ended {
            if partition {
                self.proxy(way).resume();
            } else {
                self.resume(way);
            }
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), Failure> {
        let now = Instant::now();
        match act {
            Act::Kill { who, away } => {
                let process = self.cluster.process(who);
                process.kill();
                process.back_at = Some(now + away);
                self.look_at_books(who).await;
            }
            Act::Terminate { who } => self
                .cluster
                .process(who)
                .signal(nix::sys::signal::Signal::SIGTERM),
            Act::Stop { who, away } => self.cluster.process(who).stop(now + away),
            Act::FullDisk { who, away } => {
                // Those on PostgreSQL write no files.
                if let Place::File(database) = self.places.of(who.side()) {
                    let used = [database.clone(), beside(database, "-wal")]
                        .iter()
                        .filter_map(|file| Some(file.metadata().ok()?.len()))
                        .max();
                    let room = self.random.random_range(ROOM_BYTES);
                    self.cluster
                        .process(who)
                        .starve(used.unwrap_or(0) / 2 + room, now + away);
                }
            }
            Act::Partition { way, away } => {
                self.proxy(way).pause();
                self.ends.push((now + away, End::Partition(way)));
            }
            Act::Clock { offset_ms } => {
                std::fs::write(self.cluster.folder.join("clock"), offset_ms.to_string())
                    .context("the clock")?;
            }
            Act::Pause { way, away } => {
                let handle = self.handle(way);
                let operator =
                    Operator::new("torture", "to see what happens").context("the operator")?;
                self.operators.spawn(async move {
                    // It may not be there yet.
                    let _ = handle.pause(&operator, Mode::Do).await;
                });
                self.ends.push((now + away, End::Pause(way)));
            }
            Act::Retry { way } => self.retry(way),
            Act::EndSessions { side, whose } => {
                if let Place::Postgres(url) = self.places.of(side).clone() {
                    self.operators.spawn(async move {
                        // The server may just be recovering.
                        let _ = end_sessions(&url, whose).await;
                    });
                }
            }
            Act::Hold { side, what, away } => {
                if let Place::Postgres(url) = self.places.of(side) {
                    self.meddler.hold(url, side, what, away);
                }
            }
            Act::CrashServer => {
                if let Some(server) = &self.template.server {
                    server.crash().await?;
                }
            }
        }
        Ok(())
    }

    fn proxy(&self, way: Way) -> &crate::faults::FaultProxy {
        match way {
            Way::Orders => &self.cluster.orders_way,
            Way::Customers => &self.cluster.customers_way,
        }
    }

    fn handle(&self, way: Way) -> SubscriptionHandle {
        match way {
            Way::Orders => self.orders_way.clone(),
            Way::Customers => self.customers_way.clone(),
        }
    }

    fn resume(&mut self, way: Way) {
        let handle = self.handle(way);
        self.operators.spawn(async move {
            // A pause may still be waiting for the database: then it comes first, as it was asked for first.
            if let Ok(Some(status)) = handle.status().await
                && status.state == SubscriptionState::Paused
            {
                let _ = handle.resume(Mode::Do).await;
            }
        });
    }

    /// Lets all parked events be tried again, and a paused subscription go on.
    pub(super) fn retry(&mut self, way: Way) {
        let handle = self.handle(way);
        self.operators.spawn(async move {
            let _ = handle.retry(Chosen::All, Mode::Do).await;
        });
    }

    /// As [`retry`](Self::retry) for both ways, and as resuming them, unless operators are still at it.
    pub(super) fn retry_all(&mut self) {
        while self.operators.try_join_next().is_some() {}
        if self.operators.is_empty() {
            for way in [Way::Orders, Way::Customers] {
                self.resume(way);
                self.retry(way);
            }
        }
    }

    /// Whether both consumers stand at the heads that were seen, and keep nothing.
    pub(super) async fn is_quiet(&self, feeds: &Feeds) -> bool {
        for (side, head) in [
            (Side::Order, feeds.customers_head()),
            (Side::Customer, feeds.orders_head()),
        ] {
            let Ok(books) = Books::read(self.places.of(side)).await else {
                return false;
            };
            if books.cursor < head || books.kept.iter().any(|kept| kept.state != "dropped") {
                return false;
            }
        }
        true
    }

    /// At a moment at which a process has just gone, its cursor may not stand behind what it did.
    async fn look_at_books(&mut self, who: Who) {
        let name = match who.side() {
            Side::Order => ORDERS_CUSTOMERS,
            Side::Customer => CUSTOMERS_ORDERS,
        };
        if let Ok(books) = Books::read(self.places.of(who.side())).await {
            self.anomalies.extend(checker::ahead(name, &books));
        }
    }
}

/// The subscription `name` in a database, for operators. On PostgreSQL, nothing is given its position by this.
async fn open(place: &Place, name: &str) -> Result<SubscriptionHandle, Failure> {
    let store = Store::open_existing(&place.address()).await;
    let store = store.context(name)?;
    store.subscription(name).context(name)
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    name.into()
}
