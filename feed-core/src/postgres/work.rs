//! Running a service's work in a transaction: from BEGIN to COMMIT, and again where another one was in its way.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Object;
use rand::RngExt;

use super::clock::DatabaseClock;
use super::failure::{on_a_standby, store_error};
use super::feeds::Feeds;
use super::sessions::answered;
use super::tx::{Access, PostgresTx};
use crate::error::StoreError;
use crate::faults::{Point, at, wall_clock};
use crate::limits::{POSTGRES_RERUN_MS_MAX, POSTGRES_RERUNS_MAX, POSTGRES_TRANSACTION_MS_MAX};
use crate::store::{Tx, TxInner};

/// What became of a transaction.
pub(super) struct Ran<T> {
    pub(super) result: T,
    /// It was committed with events or something else that others wait for.
    pub(super) announced: bool,
    /// Nobody knows in which state the connection is.
    pub(super) spoilt: bool,
}

/// Runs `work` until it was not in another transaction's way, a bounded number of times.
pub(super) async fn run<T, E, W>(
    work: &W,
    object: &Object,
    access: Access,
    feeds: &Feeds,
    clock: &DatabaseClock,
) -> Ran<Result<T, E>>
where
    W: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let mut reruns = 0;
    loop {
        let (ran, again) = run_once(work, object, access, feeds, clock).await;
        if !again || ran.spoilt || reruns == POSTGRES_RERUNS_MAX {
            return ran;
        }
        reruns += 1;
        let wait_ms = rand::rng().random_range(0..=POSTGRES_RERUN_MS_MAX * u64::from(reruns));
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}

async fn run_once<T, E, W>(
    work: &W,
    object: &Object,
    access: Access,
    feeds: &Feeds,
    clock: &DatabaseClock,
) -> (Ran<Result<T, E>>, bool)
where
    W: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let inner = PostgresTx::new(object, access, feeds, clock);
    let mut tx = Tx::new(TxInner::Postgres(inner), wall_clock());
    let limit = Duration::from_millis(POSTGRES_TRANSACTION_MS_MAX);
    let worked = tokio::time::timeout(limit, guarded(work, &mut tx)).await;
    let timed_out = worked.is_err();
    let worked = worked.unwrap_or_else(|_| {
        Err(StoreError::TimeLimit {
            ms_max: POSTGRES_TRANSACTION_MS_MAX,
        }
        .into())
    });
    let (has_failed, announced) = (tx.has_failed(), tx.has_appended());
    // Only a second store makes it refutable.
    #[allow(irrefutable_let_patterns)]
    let TxInner::Postgres(inner) = tx.inner else {
        return (
            Ran {
                result: worked,
                announced: false,
                spoilt: true,
            },
            false,
        );
    };
    let (again, leaves) = (inner.again, inner.leaves);
    let ran = |result, announced, spoilt| Ran {
        result,
        announced,
        spoilt,
    };
    if !inner.has_begun() {
        return (ran(worked, announced, timed_out || leaves), false);
    }
    let value = match worked {
        Ok(_) if has_failed => Err(StoreError::FailedStatement.into()),
        worked => worked,
    };
    let value = match value {
        Ok(value) => value,
        Err(error) => {
            // A statement that is still under way is waited for by nobody: the connection goes, and with it the transaction.
            let spoilt = timed_out || leaves || !ends(object, "ROLLBACK").await;
            return (ran(Err(error), false, spoilt), again);
        }
    };
    if access == Access::Read {
        let spoilt = !ends(object, "COMMIT").await;
        return (ran(Ok(value), false, spoilt), false);
    }
    at(Point::BeforeCommit);
    let committed = tokio::time::timeout(limit, object.batch_execute("COMMIT")).await;
    at(Point::AfterCommit);
    match committed {
        Ok(Ok(())) => (ran(Ok(value), announced, false), false),
        Ok(Err(error)) => {
            let again = error
                .code()
                .is_some_and(super::failure::is_worth_another_try);
            let error = match store_error(error) {
                StoreError::ReadOnly => on_a_standby(),
                // Whether it was committed is not known.
                error => error,
            };
            let spoilt = !ends(object, "ROLLBACK").await;
            (ran(Err(error.into()), true, spoilt), again)
        }
        Err(_) => {
            let error = StoreError::Unavailable(
                "the commit was not answered: whether it was done is not known".to_owned(),
            );
            (ran(Err(error.into()), true, true), false)
        }
    }
}

/// Ends a transaction of which nothing is left to be lost. Not, when nothing is heard of the server.
async fn ends(object: &Object, statement: &str) -> bool {
    matches!(answered(object.batch_execute(statement)).await, Ok(Ok(())))
}

/// Polls the work. It may be pending for statements of its transaction only: whatever else it waits for would keep locks,
/// and on another store it would wait for ever.
async fn guarded<T, E, W>(work: &W, tx: &mut Tx<'_>) -> Result<T, E>
where
    W: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let waiting = tx.waiting();
    let mut working = pin!(async move { work(tx).await });
    let done = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| working.as_mut().poll(context)));
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) if waiting.is_for_a_statement() => Poll::Pending,
            Ok(Poll::Pending) => Poll::Ready(Err(StoreError::ForeignAwait.into())),
            Err(panic) => Poll::Ready(Err(StoreError::panicked(&*panic).into())),
        }
    });
    done.await
}
