//! Connections: how each is set up, and the pools of them.

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Address, explain};
use super::failure::store_error;
use super::feeds::column;
use crate::error::StoreError;
use crate::limits::{
    POSTGRES_ANSWER_MS_MAX, POSTGRES_CONNECT_MS_MAX, POSTGRES_IDLE_IN_TRANSACTION_MS_MAX,
    POSTGRES_LOCK_MS_MAX, POSTGRES_STATEMENT_MS_MAX,
};

/// What every session is set to. The isolation is what the statements count on; commits are durable before they are
/// acknowledged, also where the server's default is weaker (invariant I2); a session that is stuck in a transaction is
/// ended by the server (invariant I6). Plans are not compiled: their cost is overestimated where a page's events are
/// joined, and compiling takes longer than reading a page does.
fn settings() -> String {
    format!(
        "SET default_transaction_isolation = 'read committed';
         SET default_transaction_read_only = off;
         SET statement_timeout = {POSTGRES_STATEMENT_MS_MAX};
         SET lock_timeout = {POSTGRES_LOCK_MS_MAX};
         SET idle_in_transaction_session_timeout = {POSTGRES_IDLE_IN_TRANSACTION_MS_MAX};
         SET jit = off;
         SET client_min_messages = warning;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
    )
}

async fn prepare(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&settings()).await
}

/// A pool of `size` connections, none of them opened yet.
pub(super) fn pool(address: &Address, size: usize) -> Result<Pool, StoreError> {
    let manager = Manager::from_connect(
        address.hosts.config().clone(),
        address.hosts.clone(),
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let wait = std::time::Duration::from_millis(POSTGRES_CONNECT_MS_MAX);
    let prepared = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move {
            match answered(prepare(client)).await {
                Ok(prepared) => prepared.map_err(HookError::Backend),
                Err(error) => Err(HookError::message(error.to_string())),
            }
        })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(wait))
        .create_timeout(Some(address.hosts.connect_max()))
        .post_create(prepared)
        .build()
        .map_err(|error| StoreError::Open {
            path: address.shown.clone(),
            reason: error.to_string(),
        })
}

pub(super) async fn take(pool: &Pool) -> Result<Object, StoreError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => match store_error(error) {
            // Whatever it is, it is not this caller's statement.
            StoreError::Statement(text) | StoreError::Database(text) => {
                StoreError::Unavailable(text)
            }
            other => other,
        },
        PoolError::Closed => StoreError::Closed,
        other => StoreError::Unavailable(explain(&other)),
    })
}

/// A connection beside the pools.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Drives the connection, which ends with this.
    pub(super) driver: AbortOnDropHandle<()>,
}

/// Opens one with its settings; what the server says by itself is handed to `told`.
pub(super) async fn connect(
    address: &Address,
    told: impl FnMut(AsyncMessage) + Send + 'static,
) -> Result<Connected, StoreError> {
    let limit = address.hosts.connect_max();
    let connected = tokio::time::timeout(limit, address.hosts.connect()).await;
    let connected = connected.map_err(|_| silent(&address.shown))?;
    let (client, connection) = connected.map_err(|error| match error.as_db_error() {
        // A wrong password or a missing database does not come right by itself.
        Some(said) if matches!(said.code().code().get(..2), Some("28" | "3D")) => {
            StoreError::Open {
                path: address.shown.clone(),
                reason: said.message().to_owned(),
            }
        }
        _ => StoreError::Unavailable(format!("{}: {}", address.shown, explain(&error))),
    })?;
    let driver = AbortOnDropHandle::new(tokio::spawn(drive(connection, told)));
    let prepared = answered(prepare(&client)).await?;
    prepared.map_err(store_error)?;
    Ok(Connected { client, driver })
}

/// What comes of a question that the server answers at once, or has to give up before long.
///
/// # Errors
/// When nothing is heard of it: nobody knows in which state the connection is then.
pub(super) async fn answered<T>(asked: impl Future<Output = T>) -> Result<T, StoreError> {
    let limit = std::time::Duration::from_millis(POSTGRES_ANSWER_MS_MAX);
    let answered = tokio::time::timeout(limit, asked).await;
    answered.map_err(|_| silent("the database"))
}

fn silent(server: &str) -> StoreError {
    StoreError::Unavailable(format!("{server} says nothing"))
}

/// A session as its server knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pid: i32,
    begun_us: i64,
}

impl Session {
    /// That of this connection.
    pub(super) async fn of(client: &Client) -> Result<Self, StoreError> {
        let asked = client.query_one(
            "SELECT pid, CAST(extract(epoch FROM backend_start) * 1000000 AS BIGINT)
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        );
        let row = answered(asked).await?.map_err(store_error)?;
        Ok(Session {
            pid: column(&row, 0)?,
            begun_us: column(&row, 1)?,
        })
    }

    /// What comes of a step of this session, however long the server works on it. It is asked by another connection
    /// whether it does.
    ///
    /// # Errors
    /// That of the step; or that the server does not work on it: what it said was lost, or it is another server by now.
    pub(super) async fn works<T>(
        self,
        address: &Address,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut step = pin!(step);
        loop {
            if let Ok(done) = answered(&mut step).await {
                return done;
            }
            let beside = connect(address, |_| {}).await?;
            let ours: [&(dyn ToSql + Sync); 2] = [&self.pid, &self.begun_us];
            let asked = beside.client.query_one(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'
                     AND CAST(extract(epoch FROM backend_start) * 1000000 AS BIGINT) = $2)",
                &ours,
            );
            let row = answered(asked).await?.map_err(store_error)?;
            if !column::<bool>(&row, 0)? {
                return Err(silent("the database"));
            }
        }
    }
}

/// A connection that goes back to its pool, unless its server has gone silent.
pub(super) struct Lent {
    /// Taken away when this is dropped.
    object: Option<Object>,
    silent: AtomicBool,
}

impl Lent {
    pub(super) async fn from(pool: &Pool) -> Result<Self, StoreError> {
        Ok(Lent {
            object: Some(take(pool).await?),
            silent: AtomicBool::new(false),
        })
    }

    /// What comes of reading by it.
    ///
    /// # Errors
    /// That of reading, or when nothing is heard of the server.
    pub(super) async fn reads<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let read = answered(reading).await;
        self.silent.fetch_or(read.is_err(), Ordering::Relaxed);
        read?
    }
}

impl Deref for Lent {
    type Target = Object;

    #[allow(clippy::expect_used, reason = "it is there until the end")]
    fn deref(&self) -> &Object {
        self.object.as_ref().expect("a connection")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(object), true) = (self.object.take(), self.silent.load(Ordering::Relaxed)) {
            drop(Object::take(object));
        }
    }
}

/// Drives a connection until it ends.
async fn drive<S, T>(mut connection: Connection<S, T>, mut told: impl FnMut(AsyncMessage))
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(message)) => told(message),
            Some(Err(error)) => {
                tracing::debug!(error = %explain(&error), "a connection to the database ended");
                return;
            }
            None => return,
        }
    }
}
