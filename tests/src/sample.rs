//! The sample data: geos, customers, and the orders to be placed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Context, Failure};

/// A served geo.
#[derive(Debug, Clone, Deserialize)]
pub struct SampleGeo {
    /// Its slug.
    pub geo: String,
    /// The fastest line on offer.
    pub max_mbps: i64,
    /// What all lines together may have.
    pub capacity_mbps: i64,
}

/// A customer.
#[derive(Debug, Clone, Deserialize)]
pub struct SampleCustomer {
    /// Its id.
    pub customer_id: String,
    /// Where it lives.
    pub geo: String,
    /// Speed of its line at the start.
    pub current_mbps: i64,
}

/// One POST of an order.
#[derive(Debug, Clone, Deserialize)]
pub struct SampleOrder {
    /// Who orders.
    pub customer_id: String,
    /// The wanted speed.
    pub requested_mbps: i64,
    /// The `Idempotency-Key` to send.
    pub idempotency_key: Option<String>,
    /// Whether the order is cancelled as soon as it was accepted.
    #[serde(default)]
    pub cancel: bool,
    /// Whether this is a second POST of an earlier order.
    #[serde(default)]
    pub repeat: bool,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The served geos.
    pub geos: Vec<SampleGeo>,
    /// The customers.
    pub customers: Vec<SampleCustomer>,
    /// The orders, in the order in which they are to be posted.
    pub orders: Vec<SampleOrder>,
}

impl Sample {
    /// The folder of the sample that belongs to this source.
    pub fn default_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/sample")
    }

    /// The file of geos in `folder`.
    pub fn geos_file(folder: &Path) -> PathBuf {
        folder.join("geos.csv")
    }

    /// The file of customers in `folder`.
    pub fn customers_file(folder: &Path) -> PathBuf {
        folder.join("customers.csv")
    }

    /// Reads the sample in `folder`.
    ///
    /// # Errors
    /// When a file is missing or a line in it is wrong; the error names both.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        Ok(Sample {
            geos: csv_file(&Self::geos_file(folder))?,
            customers: csv_file(&Self::customers_file(folder))?,
            orders: json_lines(&folder.join("orders.jsonl"))?,
        })
    }

    /// Keeps the first `orders` orders, with the repeats that stand among them.
    #[must_use]
    pub fn first(mut self, orders: usize) -> Self {
        let mut taken = 0;
        self.orders.retain(|order| {
            taken += usize::from(!order.repeat);
            taken <= orders
        });
        self
    }

    /// How many orders there are without the repeats.
    pub fn orders_to_place(&self) -> usize {
        self.orders.iter().filter(|order| !order.repeat).count()
    }

    /// The speed of each line at the start, by customer.
    pub fn customers_by_id(&self) -> HashMap<&str, &SampleCustomer> {
        self.customers
            .iter()
            .map(|customer| (customer.customer_id.as_str(), customer))
            .collect()
    }
}

fn csv_file<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Failure> {
    csv::Reader::from_path(path)
        .and_then(|mut reader| reader.deserialize().collect())
        .context(path.display())
}

fn json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Failure> {
    let text = fs::read_to_string(path).context(path.display())?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).context(format!("{}, line {}", path.display(), index + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_what_its_readme_says() {
        let sample = Sample::read(&Sample::default_folder()).unwrap();
        assert_eq!(sample.geos.len(), 240);
        assert_eq!(sample.customers.len(), 2_000);
        assert_eq!(sample.orders.len(), 10_150);
        assert_eq!(sample.orders_to_place(), 10_000);
        let few = sample.first(100);
        assert_eq!(few.orders_to_place(), 100);
        assert!(
            few.orders
                .iter()
                .filter(|order| order.repeat)
                .all(|repeat| {
                    few.orders.iter().any(|order| {
                        !order.repeat && order.idempotency_key == repeat.idempotency_key
                    })
                })
        );
    }
}
