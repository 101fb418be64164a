//! Looking up names, and leaving out the addresses that may not be connected to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::addresses::special_purpose;

/// All addresses of a name are for special purposes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {purpose}, and no public address")]
pub(super) struct NotPublic {
    /// The first of them.
    pub(super) address: IpAddr,
    /// What it is for.
    pub(super) purpose: &'static str,
}

/// Gives the connector nothing but public addresses. It connects to what it is given here, without another look-up:
/// so a name that means something else each time gains nothing. Addresses that stand in the URL itself never come
/// by here.
pub(super) struct PublicOnly<R>(Arc<R>);

impl PublicOnly<System> {
    /// By the system's own look-up.
    pub(super) fn new() -> Self {
        PublicOnly(Arc::new(System))
    }
}

impl<R: Resolve + 'static> Resolve for PublicOnly<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let public = public(names.resolve(name).await?)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The public ones. None is left where there was none; that is for the connector to tell.
fn public(found: Addrs) -> Result<Vec<SocketAddr>, NotPublic> {
    let mut refused = None;
    let mut public = Vec::new();
    for one in found {
        let address = one.ip();
        match special_purpose(address) {
            None => public.push(one),
            Some(purpose) => drop(refused.get_or_insert(NotPublic { address, purpose })),
        }
    }
    match refused {
        Some(refused) if public.is_empty() => Err(refused),
        _ => Ok(public),
    }
}

/// The system's own look-up.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The connector puts the URL's port in the place of 0.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers the look-ups one after another so; the last answer for ever.
    struct Scripted(Vec<Vec<&'static str>>, AtomicUsize);

    impl Resolve for Scripted {
        fn resolve(&self, _: Name) -> Resolving {
            let number = self.1.fetch_add(1, Ordering::SeqCst);
            let addresses = self.0[number.min(self.0.len() - 1)].clone();
            let found: Vec<SocketAddr> = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
                .collect();
            Box::pin(std::future::ready(Ok(Box::new(found.into_iter()) as Addrs)))
        }
    }

    async fn ask(resolver: &PublicOnly<Scripted>) -> Result<Vec<String>, NotPublic> {
        match resolver.resolve("feed.example".parse().unwrap()).await {
            Ok(found) => Ok(found.map(|one| one.ip().to_string()).collect()),
            Err(error) => Err(*error.downcast().unwrap()),
        }
    }

    #[tokio::test]
    async fn i12_a_name_that_rebinds_is_judged_at_every_look_up() {
        let script = vec![
            vec!["198.41.0.4"],
            vec!["169.254.169.254", "::1"],
            vec!["127.0.0.1", "2001:503:ba3e::2:30", "10.0.0.1", "198.41.0.4"],
            vec![],
        ];
        let resolver = PublicOnly(Arc::new(Scripted(script, AtomicUsize::new(0))));
        assert_eq!(ask(&resolver).await.unwrap(), ["198.41.0.4"]);
        let refused = ask(&resolver).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "169.254.169.254 is link-local, and no public address"
        );
        // Of several, the public ones are left.
        assert_eq!(
            ask(&resolver).await.unwrap(),
            ["2001:503:ba3e::2:30", "198.41.0.4"]
        );
        assert_eq!(ask(&resolver).await.unwrap(), [""; 0]);
    }
}
