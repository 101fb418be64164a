//! What operators keep, and come back to: dumps of a database, base backups of a cluster.

use std::path::Path;

use super::cluster::Cluster;
use super::programs::run;
use super::settings::ClusterOptions;
use crate::failure::{Context, Failure};

impl Cluster {
    /// Writes a database to a file, as of now.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn dump(&self, database: &str, file: &Path) -> Result<(), Failure> {
        let mut dump = self.programs.client("pg_dump")?;
        dump.args(["--format", "custom", "--dbname"])
            .arg(self.admin_url(database))
            .arg("--file")
            .arg(file);
        run(dump, "pg_dump").await
    }

    /// Makes a database of what [`dump`](Self::dump) wrote.
    ///
    /// # Errors
    /// When there is one of this name, or the file is none of that kind.
    pub async fn restore(&self, file: &Path, database: &str) -> Result<(), Failure> {
        self.create_database(database).await?;
        let mut restore = self.programs.client("pg_restore")?;
        restore
            .args(["--exit-on-error", "--dbname"])
            .arg(self.admin_url(database))
            .arg(file);
        run(restore, "pg_restore").await
    }

    /// Copies the whole cluster to a folder, which is made: as of the end of this call.
    ///
    /// # Errors
    /// When it cannot, as when there is something in the folder.
    pub async fn base_backup(&self, folder: &Path) -> Result<(), Failure> {
        let mut copy = self.programs.client("pg_basebackup")?;
        copy.args([
            "--checkpoint",
            "fast",
            "--wal-method",
            "stream",
            "--no-sync",
        ])
        .arg("--dbname")
        .arg(self.admin_url(""))
        .arg("--pgdata")
        .arg(folder);
        run(copy, "pg_basebackup").await
    }

    /// A cluster of what [`base_backup`](Self::base_backup) copied, which stays as it is.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn from_base_backup(folder: &Path, options: ClusterOptions) -> Result<Self, Failure> {
        let mut cluster = Self::prepare(&options)?;
        cluster.take(folder)?;
        cluster.launch_somewhere().await?;
        Ok(cluster)
    }

    /// Puts this cluster back to what [`base_backup`](Self::base_backup) copied, at the address that it has: what came later
    /// never was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn go_back_to(&mut self, folder: &Path) -> Result<(), Failure> {
        self.stop_immediate()?;
        let cluster = self.sibling(self.address)?;
        cluster.take(folder)?;
        *self = cluster;
        self.launch().await
    }

    fn take(&self, folder: &Path) -> Result<(), Failure> {
        self.home.copy_from(folder)?;
        // The backup of a standby would go on as one.
        for name in ["standby.signal", "postgresql.auto.conf"] {
            let file = self.home.data().join(name);
            if file.exists() {
                std::fs::remove_file(&file).context(file.display())?;
            }
        }
        Ok(())
    }
}
