//! A store that is gone after the test.

use std::ops::Deref;

use tempfile::TempDir;

use crate::store::{Migrations, Store};

/// A store in a folder of its own, removed when this is dropped.
pub struct TempStore {
    store: Store,
    folder: TempDir,
}

impl TempStore {
    /// A new, empty store.
    ///
    /// # Panics
    /// When it cannot be made.
    #[allow(clippy::expect_used, reason = "a test cannot go on without its store")]
    pub async fn new(migrations: Migrations) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("store.db");
        let store = Store::open(&path.to_string_lossy(), migrations)
            .await
            .expect("an empty store");
        TempStore { store, folder }
    }

    /// The database file.
    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store.db")
    }
}

impl Deref for TempStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
