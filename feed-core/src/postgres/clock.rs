//! The database's clock, by which leases are told on every instance alike.

use std::sync::Mutex;
use std::time::Instant;

use crate::store::LeaseClock;

/// What the database's clock said when it was asked last. Between two answers this process's own clock, which only runs
/// forward, counts on: it decides when a lease may be taken over, and never what may commit.
pub(crate) struct DatabaseClock(Mutex<(Instant, i64)>);

impl DatabaseClock {
    pub(super) fn new(ms: i64) -> Self {
        DatabaseClock(Mutex::new((Instant::now(), ms)))
    }

    /// It said this right now.
    pub(super) fn set(&self, ms: i64) {
        *self.lock() = (Instant::now(), ms);
    }

    pub(crate) fn now(&self) -> LeaseClock {
        let (asked, ms) = *self.lock();
        let since = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
        LeaseClock {
            boot: "database".to_owned(),
            ms: ms.saturating_add(since),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Instant, i64)> {
        // Two numbers that are written together: a panic leaves nothing half done.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
