//! Which of several servers is connected to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rand::seq::SliceRandom;
use tokio::task::JoinHandle;
use tokio_postgres::config::LoadBalanceHosts;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::explain;
use crate::limits::{POSTGRES_CONNECT_MS_MAX, POSTGRES_SILENT_MS};

type Opened = (
    Client,
    Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>,
);

/// The servers of an address, in its order. Cheap to clone.
///
/// Each is given up after a while, and not only while its machine is looked for: one that takes a connection and says
/// nothing, or a proxy before one that is gone, must not keep a service from the server that was promoted. Such a one is
/// tried behind the others for a while.
#[derive(Clone)]
pub(super) struct Hosts(Arc<Inner>);

struct Inner {
    each: Vec<Config>,
    tls: MakeRustlsConnect,
    /// When each was found to say nothing.
    silent: Mutex<Vec<Option<Instant>>>,
}

impl Hosts {
    /// `each` has one server, or several that cannot be told apart.
    pub(super) fn new(each: Vec<Config>, tls: MakeRustlsConnect) -> Self {
        let silent = Mutex::new(vec![None; each.len()]);
        Hosts(Arc::new(Inner { each, tls, silent }))
    }

    /// What they have in common.
    pub(super) fn config(&self) -> &Config {
        &self.0.each[0]
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.each.len()
    }

    /// Longest time for which all of them together are tried.
    pub(super) fn connect_max(&self) -> Duration {
        let servers = self
            .0
            .each
            .iter()
            .map(|config| config.get_hosts().len().max(1));
        limit() * u32::try_from(servers.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// A connection to the first one that is as wanted. The caller gives up after [`connect_max`](Self::connect_max).
    ///
    /// # Errors
    /// What the last one said.
    pub(super) async fn connect(&self) -> Result<Opened, Error> {
        let order = self.order();
        let (last, others) = order.split_last().unwrap_or((&0, &[]));
        for index in others {
            let connecting = self.0.each[*index].connect(self.0.tls.clone());
            match tokio::time::timeout(limit(), connecting).await {
                Ok(Ok(opened)) => {
                    self.note(*index, None);
                    return Ok(opened);
                }
                Ok(Err(error)) => {
                    tracing::debug!(server = index, error = %explain(&error), "another server is tried");
                }
                Err(_) => self.note(*index, Some(Instant::now())),
            }
        }
        let opened = self.0.each[*last].connect(self.0.tls.clone()).await?;
        self.note(*last, None);
        Ok(opened)
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0.each.len()).collect();
        if self.config().get_load_balance_hosts() == LoadBalanceHosts::Random {
            order.shuffle(&mut rand::rng());
        }
        let silent = self.0.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = Duration::from_millis(POSTGRES_SILENT_MS);
        // Stable: the others keep their order.
        order.sort_by_key(|index| silent[*index].is_some_and(|at| at.elapsed() < recent));
        order
    }

    fn note(&self, index: usize, silent: Option<Instant>) {
        let mut all = self.0.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.is_some() && all[index].is_none() {
            tracing::warn!(
                server = index,
                "a database server says nothing: others are tried first"
            );
        }
        all[index] = silent;
    }
}

impl deadpool_postgres::Connect for Hosts {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(async move {
            let (client, connection) = Hosts::connect(self).await?;
            let driving = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %explain(&error), "a connection to the database ended");
                }
            });
            Ok((client, driving))
        })
    }
}

fn limit() -> Duration {
    Duration::from_millis(POSTGRES_CONNECT_MS_MAX)
}

/// The same address for each of its servers by itself. One by which they cannot be told apart is left as it is.
pub(super) fn apart(base: &str, query: &[(String, String)]) -> Vec<String> {
    let whole = || vec![base.to_owned()];
    let named =
        |(name, _): &(String, String)| ["host", "hostaddr", "port"].contains(&name.as_str());
    if query.iter().any(named) {
        return whole();
    }
    let Some((scheme, rest)) = base.split_once("://") else {
        return whole();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, servers) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let each = servers.split(',');
    each.map(|server| format!("{scheme}://{user}{server}{path}"))
        .collect()
}
