//! Who looks on: reads the feeds all the time beside the proxies, and hears what the databases notify.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use feed_core::EventId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::anomaly::{Anomaly, Kind};
use super::ledger::Books;
use super::meddling::{Notified, count_notifications};
use super::place::Place;
use super::scenario::Side;
use crate::failure::Failure;
use crate::history::{HEAD_BEHIND, History};

/// Time between two looks, in milliseconds.
const LOOK_MS: u64 = 30;
/// Longest time of one document, in milliseconds.
const DOCUMENT_MS_MAX: u64 = 2_000;

/// Reads the feeds, at every instance: what they have shown must stay true, and be the same everywhere.
pub(super) struct Witness {
    stop: CancellationToken,
    task: JoinHandle<Vec<Anomaly>>,
}

impl Witness {
    /// Begins, at these services.
    pub(super) fn start(services: Vec<(String, Side)>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut anomalies = Vec::new();
            let mut histories: Vec<(Side, History)> = services
                .iter()
                .filter_map(|(url, side)| Some((*side, History::new(url, feed(*side)).ok()?)))
                .collect();
            while !stopped.is_cancelled() {
                for (_, history) in &mut histories {
                    while let Ok(more) = look(history, &mut anomalies).await {
                        if !more {
                            break;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            }
            anomalies.extend(differing(&histories));
            anomalies
        });
        Witness { stop, task }
    }

    pub(super) async fn ended(self) -> Vec<Anomaly> {
        self.stop.cancel();
        self.task.await.unwrap_or_default()
    }
}

fn feed(side: Side) -> &'static str {
    match side {
        Side::Order => "orders",
        Side::Customer => "customers",
    }
}

/// One document. What is not reached is no breach; what does not follow on is.
async fn look(history: &mut History, anomalies: &mut Vec<Anomaly>) -> Result<bool, ()> {
    let limit = Duration::from_millis(DOCUMENT_MS_MAX);
    match tokio::time::timeout(limit, history.read_on()).await {
        Ok(Ok(more)) => Ok(more),
        Ok(Err(failure)) => {
            let text = failure.to_string();
            let breaches = ["cursor-", "not the history", "was expected", HEAD_BEHIND];
            if breaches.iter().any(|breach| text.contains(breach)) {
                anomalies.push(Anomaly::new(
                    Kind::DivergedPosition,
                    format!("{}: {text}", history.url()),
                ));
            }
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// Positions at which two instances showed different events.
fn differing(histories: &[(Side, History)]) -> Vec<Anomaly> {
    let mut seen: HashMap<(&str, u64), EventId> = HashMap::new();
    let mut anomalies = Vec::new();
    for (side, history) in histories {
        for event in history.events() {
            let place = (feed(*side), event.position.get());
            let first = *seen.entry(place).or_insert(event.id);
            if first != event.id {
                anomalies.push(Anomaly::new(
                    Kind::DivergedPosition,
                    format!(
                        "{}: {} was {first} elsewhere",
                        history.url(),
                        event.cursor()
                    ),
                ));
            }
        }
    }
    anomalies
}

/// Hears what is notified in a database: once for each batch of the sequencer at most, since a writer who notifies waits
/// for all others who do.
pub(super) struct Listener {
    place: Place,
    batches_before: u64,
    /// Held, so that the connection stays.
    _client: tokio_postgres::Client,
    heard: Notified,
}

impl Listener {
    pub(super) async fn start(url: &str) -> Result<Self, Failure> {
        let place = Place::Postgres(url.to_owned());
        // A database without tables has had none.
        let before = Books::read(&place)
            .await
            .ok()
            .and_then(|books| books.batches);
        let (client, heard) = count_notifications(url).await?;
        Ok(Listener {
            place,
            batches_before: before.unwrap_or(0),
            _client: client,
            heard,
        })
    }

    pub(super) async fn ended(self) -> Option<Anomaly> {
        let heard = u64::from(self.heard.load(Ordering::Relaxed));
        let batches = Books::read(&self.place).await.ok()?.batches?;
        let batches = batches.saturating_sub(self.batches_before);
        (heard > batches).then(|| {
            Anomaly::new(
                Kind::WriterNotified,
                format!("{heard} notifications of {batches} batches"),
            )
        })
    }
}
