//! The demo's command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::binaries::Profile;

/// Shows orders being settled through two feeds, with no broker and no call from one service to the other.
///
/// Builds order-svc and customer-svc, starts both on databases of their own, places the sample's orders, and compares
/// all that comes of it with a calculation of its own.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "demo",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 all is as calculated; 1 something failed or differs; 2 it could not begin: a busy port, a wrong flag, no PostgreSQL."
)]
pub struct Args {
    /// How many orders of the sample to place [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub orders: Option<usize>,
    /// Leave the services running at the end
    #[arg(long)]
    pub keep: bool,
    /// Let the services read each other's feeds through proxies that do damage: answers come late, broken off, failing,
    /// as garbage, old, with events missing, doubled or swapped. All orders have to be settled as calculated all the same
    #[arg(long, conflicts_with = "keep")]
    pub chaos: bool,
    /// Both services on PostgreSQL: on a server of the demo's own, in a temporary folder, that is gone at the end
    #[arg(long, conflicts_with = "keep")]
    pub postgres: bool,
    /// One service on PostgreSQL, and the other one on SQLite
    #[arg(
        long,
        value_enum,
        value_name = "WHO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "customer",
        conflicts_with_all = ["keep", "postgres"]
    )]
    pub mixed: Option<Side>,
    /// What the damage is drawn from: the same seed does the same to the same requests [default: a random one]
    #[arg(long, value_name = "N", requires = "chaos")]
    pub seed: Option<u64>,
    /// Port of order-svc on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub order_port: u16,
    /// Port of customer-svc on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8082)]
    pub customer_port: u16,
    /// How many orders are under way at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = positive)]
    pub connections: usize,
    /// Folder for the databases and logs; what an earlier run left there is deleted [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Folder of the sample data [default: scripts/sample]
    #[arg(long, value_name = "DIR")]
    pub sample: Option<PathBuf>,
    /// Build the services fast to run [default: as the demo itself was built]
    #[arg(long, conflicts_with = "debug")]
    pub release: bool,
    /// Build the services fast to build
    #[arg(long)]
    pub debug: bool,
}

impl Args {
    /// Whether a service is on PostgreSQL.
    pub fn on_postgres(&self, side: Side) -> bool {
        self.postgres || self.mixed == Some(side)
    }

    /// How the services are to be built.
    pub fn profile(&self) -> Profile {
        match (self.release, self.debug) {
            (true, _) => Profile::Release,
            (false, true) => Profile::Debug,
            (false, false) => Profile::own(),
        }
    }
}

/// One of the two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// order-svc is on PostgreSQL
    Order,
    /// customer-svc is on PostgreSQL
    Customer,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 on is wanted".to_owned()),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn each_service_may_be_on_either_store() {
        let both = |flags: &[&str]| {
            let args = Args::try_parse_from(["demo"].iter().chain(flags)).unwrap();
            [Side::Order, Side::Customer].map(|side| args.on_postgres(side))
        };
        assert_eq!(both(&[]), [false, false]);
        assert_eq!(both(&["--postgres"]), [true, true]);
        assert_eq!(both(&["--mixed"]), [false, true]);
        assert_eq!(both(&["--mixed=order", "--chaos"]), [true, false]);
    }
}
