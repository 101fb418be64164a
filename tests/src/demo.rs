//! The demo: builds and starts both services, places the sample's orders, watches them being settled through the two
//! feeds, and checks all of it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what the demo says is what it is there for"
)]

mod args;
mod chaos;
mod databases;
mod folder;
mod report;
mod services;
mod story;

pub use args::Args;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::binaries;
use crate::check::{Verdict, check};
use crate::driver::{self, DriverOptions, Placement};
use crate::failure::{Context, Failure};
use crate::sample::Sample;
use crate::settling::Feeds;
use chaos::Chaos;
use databases::{Databases, store_of};
use folder::Folder;
use services::{Addresses, FeedUrls, Services};

/// How long nothing may happen in the feeds while orders are not settled.
const STILL_MAX_S: u64 = 30;
/// Orders whose way is told.
const STORIES: usize = 8;
/// Differences that are shown.
const DIFFERENCES_SHOWN: usize = 20;

/// Exit code when something failed or differs.
const FAILED: u8 = 1;
/// Exit code when it cannot begin as it was asked for: a port is busy, a folder is somebody else's, there is no
/// PostgreSQL.
const USAGE: u8 = 2;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the demo and says how it went. Ctrl-C stops it, and the services with it.
pub async fn run(args: Args) -> ExitCode {
    let stop = feed_core::shutdown_signal();
    let addresses = match Addresses::choose(&args) {
        Ok(addresses) => addresses,
        Err(failure) => return failed(&failure, USAGE),
    };
    let folder = match Folder::prepare(args.dir.as_deref()) {
        Ok(folder) => folder,
        Err(failure) => return failed(&failure, USAGE),
    };
    let wants_postgres = args.postgres || args.mixed.is_some();
    let step = wants_postgres.then(|| Step::begin("Starting PostgreSQL"));
    let databases = tokio::select! {
        databases = Databases::prepare(&args, folder.path()) => databases,
        () = stop.cancelled() => return stopped(),
    };
    let databases = match databases {
        Ok(databases) => databases,
        Err(failure) => return failed(&failure, USAGE),
    };
    if let Some(step) = step {
        step.done("a server of its own, with an empty database for each service that is on it");
    }
    let mut services = None;
    let shown = tokio::select! {
        shown = show(&args, addresses, &folder, &databases, &mut services) => Some(shown),
        () = stop.cancelled() => None,
    };
    let good = matches!(&shown, Some(Ok(verdict)) if verdict.is_good());
    let ended = match services {
        Some(services) if args.keep && shown.is_some() => {
            println!("{}", services.leave());
            Ok(())
        }
        Some(services) => services.stop().await,
        None => Ok(()),
    };
    if args.keep || !good || ended.is_err() {
        // What can be told without the server's log is told all the same.
        let _ = databases.keep_log(folder.path());
        println!("Databases and logs are in {}", folder.keep().display());
    }
    match (shown, ended) {
        (None, _) => stopped(),
        (Some(Err(failure)), _) | (Some(Ok(_)), Err(failure)) => failed(&failure, FAILED),
        (Some(Ok(verdict)), Ok(())) => {
            println!("{verdict}");
            ExitCode::from(if good { 0 } else { FAILED })
        }
    }
}

fn stopped() -> ExitCode {
    eprintln!("stopped before the end");
    ExitCode::from(INTERRUPTED)
}

fn failed(failure: &Failure, code: u8) -> ExitCode {
    eprintln!("demo: {failure}");
    ExitCode::from(code)
}

/// All of it, up to the verdict. The services are put into `running` as soon as they run.
async fn show(
    args: &Args,
    addresses: Addresses,
    folder: &Folder,
    databases: &Databases,
    running: &mut Option<Services>,
) -> Result<Verdict, Failure> {
    let sample_folder = args.sample.clone().unwrap_or_else(Sample::default_folder);
    let sample = Sample::read(&sample_folder)?.first(args.orders.unwrap_or(usize::MAX));

    let step = Step::begin("Building order-svc and customer-svc");
    let profile = args.profile();
    let binaries = tokio::task::spawn_blocking(move || binaries::build(profile))
        .await
        .context("building")??;
    step.done("built");

    let step = Step::begin("Importing geos and customers");
    let chaos = if args.chaos {
        Some(Chaos::start(addresses, args.seed.unwrap_or_else(rand::random)).await?)
    } else {
        None
    };
    let feed_urls = chaos
        .as_ref()
        .map_or_else(|| FeedUrls::direct(addresses), Chaos::feeds);
    let plan = services::Plan::new(
        args,
        addresses,
        feed_urls,
        folder.path(),
        databases,
        &binaries,
    );
    plan.import(&sample_folder).await?;
    step.done(&format!(
        "{} geos and {} customers",
        sample.geos.len(),
        sample.customers.len()
    ));

    let step = Step::begin("Starting both services");
    let services = running.insert(plan.start().await?);
    step.done(&format!(
        "order-svc on {} with {}, customer-svc on {} with {}",
        addresses.order,
        store_of(&databases.order),
        addresses.customer,
        store_of(&databases.customer)
    ));
    let order_base_url = services.order.base_url();
    let customer_base_url = services.customer.base_url();

    let step = Step::begin("Placing orders, and watching both feeds until all are settled");
    let mut feeds = Feeds::new(&order_base_url, &customer_base_url)?;
    let placement = place_and_settle(args, &sample, &order_base_url, &mut feeds).await?;
    step.done(&format!(
        "{} orders placed, {} POSTs repeated without a second order",
        placement.orders.len(),
        placement.repeats
    ));

    println!("\n{}", story::first(&feeds, STORIES));
    println!("{}", report::totals(&feeds));
    println!("{}", report::times(&feeds, placement.elapsed));
    if let Some(chaos) = &chaos {
        println!("{chaos}");
    }
    println!(
        "{}",
        report::links(&feeds, &order_base_url, &customer_base_url, args.keep)
    );

    let step = Step::begin("Checking every order, every geo and every customer");
    let verdict = check(
        &sample,
        &placement.orders,
        &order_base_url,
        &customer_base_url,
    )
    .await?;
    step.done("compared with a calculation of its own\n");
    for difference in verdict.differences.iter().take(DIFFERENCES_SHOWN) {
        println!("DIFFERENT  {difference}");
    }
    Ok(verdict)
}

async fn place_and_settle(
    args: &Args,
    sample: &Sample,
    order_base_url: &str,
    feeds: &mut Feeds,
) -> Result<Placement, Failure> {
    let options = DriverOptions {
        base_url: order_base_url.to_owned(),
        connections: args.connections,
        retry_for: None,
    };
    let bars = indicatif::MultiProgress::new();
    let posted = bars.add(bar(sample.orders.len(), "posted"));
    let settled = bars.add(bar(sample.orders_to_place(), "settled"));
    let still_max = Duration::from_secs(STILL_MAX_S);
    let result = tokio::try_join!(
        driver::place(&sample.orders, &options, &posted),
        feeds.wait_until_settled(sample.orders_to_place(), still_max, &settled),
    );
    posted.finish_and_clear();
    settled.finish_and_clear();
    result.map(|(placement, ())| placement)
}

fn bar(length: usize, message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("      {msg:8} {bar:40} {pos:>6} of {len}  {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(message)
}

/// One step of the demo: said when it begins, and how it went.
struct Step {
    began: Instant,
}

impl Step {
    fn begin(what: &str) -> Self {
        println!("==> {what}");
        Step {
            began: Instant::now(),
        }
    }

    fn done(self, how: &str) {
        println!("    {:>6.2} s  {how}", self.began.elapsed().as_secs_f64());
    }
}
