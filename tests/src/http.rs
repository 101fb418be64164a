//! The HTTP client that drives and questions the services.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::failure::{Context, Failure};

/// Longest time that one request may take.
const REQUEST_MS_MAX: u64 = 30_000;

/// A client that keeps so many connections open.
///
/// # Errors
/// When the system cannot give one.
pub fn client(connections: usize) -> Result<reqwest::Client, Failure> {
    // The first one to install a provider wins; any is good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(connections)
        .timeout(Duration::from_millis(REQUEST_MS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("making an HTTP client")
}

/// The JSON document at `url`.
///
/// # Errors
/// When it cannot be had, or is not a `T`.
pub async fn get<T: DeserializeOwned>(http: &reqwest::Client, url: &str) -> Result<T, Failure> {
    let response = http.get(url).send().await.context(url)?;
    let status = response.status();
    let body = response.bytes().await.context(url)?;
    if !status.is_success() {
        let body = String::from_utf8_lossy(&body);
        return Err(Failure::new(format!("{url}: {status}: {body}")));
    }
    serde_json::from_slice(&body).context(url)
}
