//! Those who append all the time, over whatever happens, and note what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use feed_core::{AppendError, EventId, Store};
use tokio::task::JoinSet;

use crate::{append, wait_for};

/// Longest time that one append may take, whatever the network does.
const APPEND_MAX: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

pub(crate) struct Appenders {
    tasks: JoinSet<Vec<EventId>>,
    shared: Arc<Shared>,
}

impl Appenders {
    /// Two on each of these stores.
    pub(crate) fn start(stores: &[&Store]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for (index, store) in stores.iter().enumerate().flat_map(|each| [each, each]) {
            let subject = format!("lamp-{index}-{}", tasks.len());
            tasks.spawn(go_on((*store).clone(), subject, shared.clone()));
        }
        Appenders { tasks, shared }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more were acknowledged.
    pub(crate) async fn wait(&self, more: u64) {
        let wanted = self.acknowledged() + more;
        wait_for("events are acknowledged", async || {
            (self.acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Ends them. The ids that were acknowledged, and how many attempts were not.
    pub(crate) async fn stop(self) -> (Vec<EventId>, u64) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ids = self.tasks.join_all().await.into_iter().flatten().collect();
        (ids, self.shared.failed.load(Ordering::Relaxed))
    }
}

/// Appends one event after the other; each again and again with its id until it is acknowledged.
async fn go_on(store: Store, subject: String, shared: Arc<Shared>) -> Vec<EventId> {
    let mut acknowledged = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let id = EventId::now();
        let number = acknowledged.len() as u32;
        while let Err(error) = timed(append(&store, &subject, id, number)).await {
            assert!(error.is_transient(), "{error}");
            shared.failed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged.push(id);
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

async fn timed(append: impl Future<Output = Result<(), AppendError>>) -> Result<(), AppendError> {
    let begun = Instant::now();
    let appended = append.await;
    let took = begun.elapsed();
    assert!(took < APPEND_MAX, "{took:?}: {appended:?}");
    appended
}
