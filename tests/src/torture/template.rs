//! What all runs of a campaign share.

use std::path::{Path, PathBuf};

use super::server::Server;
use crate::binaries::Binaries;
use crate::failure::{Context, Failure};
use crate::sample::Sample;

/// What all runs share: binaries, and customer-svc's database with the sample's geos and customers.
#[derive(Debug)]
pub struct Template {
    /// The services.
    pub binaries: Binaries,
    /// The geos and customers that the database holds.
    pub sample: Sample,
    /// The server for those on PostgreSQL; none where that is missing.
    pub server: Option<Server>,
    pub(super) customer_database: PathBuf,
}

impl Template {
    /// Imports a part of the sample into a database in `folder`, and into one of `server`.
    ///
    /// # Errors
    /// When that fails.
    pub fn make(
        folder: &Path,
        binaries: Binaries,
        server: Option<Server>,
    ) -> Result<Self, Failure> {
        let mut sample = Sample::read(&Sample::default_folder())?;
        sample.customers.truncate(120);
        let geos: Vec<&str> = sample
            .customers
            .iter()
            .map(|customer| customer.geo.as_str())
            .collect();
        sample.geos.retain(|geo| geos.contains(&geo.geo.as_str()));
        let known: Vec<&str> = sample
            .customers
            .iter()
            .map(|customer| customer.customer_id.as_str())
            .collect();
        sample
            .orders
            .retain(|order| !order.repeat && known.contains(&order.customer_id.as_str()));
        let (geos_file, customers_file) = (folder.join("geos.csv"), folder.join("customers.csv"));
        let geo = |slug: &str| sample.geos.iter().any(|geo| geo.geo == slug);
        copy_lines(
            &Sample::geos_file(&Sample::default_folder()),
            &geos_file,
            |fields| geo(fields[0]),
        )?;
        copy_lines(
            &Sample::customers_file(&Sample::default_folder()),
            &customers_file,
            |fields| known.contains(&fields[0]),
        )?;
        let customer_database = folder.join("template.db");
        let mut databases = vec![customer_database.to_string_lossy().into_owned()];
        databases.extend(
            server
                .iter()
                .map(|server| server.customers_template().to_owned()),
        );
        for database in databases {
            let status = std::process::Command::new(&binaries.customer_svc)
                .args(["import", "--database", &database])
                .arg("--geos")
                .arg(&geos_file)
                .arg("--customers")
                .arg(&customers_file)
                .stderr(std::process::Stdio::null())
                .status()
                .context("customer-svc import")?;
            if !status.success() {
                return Err(Failure::new(format!(
                    "customer-svc import ended with {status}"
                )));
            }
        }
        Ok(Template {
            binaries,
            sample,
            server,
            customer_database,
        })
    }
}

/// Copies the head line and those whose fields are wanted. The sample has no quoted fields.
fn copy_lines(from: &Path, to: &Path, wanted: impl Fn(&[&str]) -> bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(from).context(from.display())?;
    let kept = text.lines().enumerate().filter(|(number, line)| {
        let fields: Vec<&str> = line.split(',').collect();
        *number == 0 || wanted(&fields)
    });
    let lines: Vec<&str> = kept.map(|(_, line)| line).collect();
    std::fs::write(to, lines.join("\n") + "\n").context(to.display())
}
