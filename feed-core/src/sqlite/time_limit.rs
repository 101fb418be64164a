//! How long SQL may run: SQLite asks now and then, on the thread that runs it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Virtual-machine steps of SQLite between two looks at the clock.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

#[derive(Clone, Copy)]
struct Limit {
    ends: Instant,
    ms: u64,
}

thread_local! {
    /// What runs on this thread has to end then.
    static LIMIT: Cell<Option<Limit>> = const { Cell::new(None) };
}

/// From here on, statements of this connection are interrupted that run beyond the [`within`] around them.
pub(super) fn watch(conn: &Connection) -> rusqlite::Result<()> {
    let has_passed = || LIMIT.get().is_some_and(|limit| Instant::now() > limit.ends);
    conn.progress_handler(STEPS_BETWEEN_CHECKS, Some(has_passed))
}

/// Runs the work; its SQL is interrupted after so many milliseconds.
pub(super) fn within<T>(ms: u64, work: impl FnOnce() -> T) -> T {
    /// Also when the work panics: the thread goes on to do other things.
    struct Reset(Option<Limit>);
    impl Drop for Reset {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let ends = Instant::now() + Duration::from_millis(ms);
    let _reset = Reset(LIMIT.replace(Some(Limit { ends, ms })));
    work()
}

/// The limit that holds on this thread, in milliseconds.
pub(super) fn ms_max() -> u64 {
    LIMIT
        .get()
        .map_or(crate::limits::WRITE_COMMAND_MS_MAX, |limit| limit.ms)
}

#[cfg(test)]
mod tests {
    use super::super::connection::store_error;
    use super::*;
    use crate::error::StoreError;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

    #[test]
    fn what_runs_too_long_is_interrupted_and_the_next_is_not() {
        let conn = Connection::open_in_memory().unwrap();
        watch(&conn).unwrap();
        let run = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let error = within(5, || run(ENDLESS).map_err(store_error));
        assert!(
            matches!(error, Err(StoreError::TimeLimit { .. })),
            "{error:?}"
        );
        assert_eq!(run("SELECT 1").unwrap(), 1);
    }

    #[test]
    fn the_error_tells_the_limit_that_held() {
        assert_eq!(within(7, ms_max), 7);
        let after_inner = within(7, || {
            within(5, || ());
            ms_max()
        });
        assert_eq!(after_inner, 7);
        let outside = ms_max();
        assert!(std::panic::catch_unwind(|| within(7, || panic!("a handler's"))).is_err());
        assert_eq!(ms_max(), outside);
    }
}
