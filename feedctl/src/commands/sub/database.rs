//! The database of a service: opened as it is, beside the service.

use feed_core::{OperateError, Store, StoreError, SubscriptionHandle};

use crate::cli::CliError;

/// Where the subscriptions are.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Database {
    /// The service's database: a file path or sqlite:PATH; it has to be there
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "DATABASE",
        hide_env_values = true
    )]
    database: String,
}

impl Database {
    /// Does `work` with the open database, and closes it.
    ///
    /// # Errors
    /// When it cannot be opened; else those of `work`.
    pub(in crate::commands) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Store) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let store = Store::open_existing(&self.database)
            .await
            .map_err(|error| {
                let help = match error {
                    StoreError::Open { .. } => "; --database names the file that the service keeps",
                    _ => "",
                };
                CliError::Usage(format!("{error}{help}"))
            })?;
        let done = work(&store).await;
        store.close().await;
        done
    }
}

/// The subscription with this name, whether or not it is there.
///
/// # Errors
/// When the name is none.
pub(super) fn subscription(store: &Store, name: &str) -> Result<SubscriptionHandle, CliError> {
    let named = store.subscription(name);
    named.map_err(|error| CliError::Usage(error.to_string()))
}

/// The database failed.
pub(in crate::commands) fn failed(error: StoreError) -> CliError {
    CliError::Usage(error.to_string())
}

/// There is no subscription with this name: says which there are.
pub(super) async fn unknown(store: &Store, name: &str) -> CliError {
    let known = match store.subscriptions().await {
        Ok(known) => known,
        Err(error) => return failed(error),
    };
    let names: Vec<String> = known.iter().map(|one| one.name.to_string()).collect();
    let help = match names.as_slice() {
        [] => {
            "there is none at all: a service makes one when it begins to follow a feed".to_owned()
        }
        names => format!("it has {}", names.join(", ")),
    };
    CliError::Usage(format!(
        "there is no subscription {name:?} in this database; {help}"
    ))
}

/// Why a change was not made.
pub(super) async fn refused(store: &Store, error: OperateError) -> CliError {
    match error {
        OperateError::UnknownSubscription(name) => unknown(store, &name).await,
        OperateError::Store(error) => failed(error),
        error => CliError::Refused(error.to_string()),
    }
}
