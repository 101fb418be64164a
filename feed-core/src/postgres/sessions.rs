//! Connections: how each is set up, and the pools of them.

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::{AsyncMessage, Client, Connection};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Address, explain};
use super::failure::store_error;
use crate::error::StoreError;
use crate::limits::{
    POSTGRES_CONNECT_MS_MAX, POSTGRES_IDLE_IN_TRANSACTION_MS_MAX, POSTGRES_LOCK_MS_MAX,
    POSTGRES_STATEMENT_MS_MAX,
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
    let manager = Manager::from_config(
        address.config.clone(),
        address.tls.clone(),
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let wait = std::time::Duration::from_millis(POSTGRES_CONNECT_MS_MAX);
    let prepared = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { prepare(client).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(wait))
        .create_timeout(Some(wait))
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
    let connected = address.config.connect(address.tls.clone()).await;
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
    prepare(&client).await.map_err(store_error)?;
    Ok(Connected { client, driver })
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
