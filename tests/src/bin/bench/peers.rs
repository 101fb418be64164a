//! The same work on Feedway, on brokers and databases of others, and on what is the limit of each, in one run and in turn.
//!
//! Each round everybody is started on an empty folder, filled, measured and stopped, so that nobody is disturbed by the
//! others and nothing grows from round to round. `scripts/bench` installs what this needs.

mod drive;
mod durable;
mod feedway;
mod http_waiters;
mod kafka;
mod limits;
mod nats;
mod payload;
mod peer;
mod postgres;
mod process;
mod redis;
mod report;
mod wire;
mod wrk;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use self::feedway::{ServeOptions, serve};
pub(crate) use self::limits::{BareOptions, bare};

use self::drive::{Pace, Paced};
use self::peer::{Bench, FEEDWAY, LIVE, Peer, Work};
use self::report::{Figures, Paths};
use crate::Failure;

/// How long waiting readers are left alone before memory is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the processor time of those who wait is counted.
const CPU_TIME: Duration = Duration::from_secs(3);
/// Events of the feed whose costs are compared with those of a small one.
const GROWTH_EVENTS: u64 = 10_000_000;
/// Files that 5,000 connections and all else need.
const OPEN_FILES: u64 = 8_192;

/// Measure Feedway beside its peers and write what comes of it into docs/performance.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds; medians are taken over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these peers beside Feedway and the limits: redis, postgres, nats, durable-rust, durable-node, kafka.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A run of a few minutes whose figures mean little: one round, short. It prints, and leaves docs/ as it is.
    #[arg(long)]
    quick: bool,
    /// Begin no round that would end later than this many minutes after the start.
    #[arg(long, default_value_t = 22)]
    minutes: u64,
    /// Where the data goes meanwhile; on a disk.
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// Where scripts/bench has installed the peers that are in no Debian package.
    #[arg(long, default_value = "target/peers")]
    tools: PathBuf,
    /// Leave out what a feed of 10,000,000 events costs.
    #[arg(long)]
    no_growth: bool,
    /// Print, and leave docs/ as it is.
    #[arg(long)]
    no_write: bool,
}

/// All of them, in the order in which they are measured: nginx and axum serve what Feedway did.
fn everybody() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(feedway::Feedway::default()),
        Box::new(limits::Nginx::default()),
        Box::new(limits::Axum::default()),
        Box::new(limits::Rusqlite),
        Box::new(limits::Disk),
        Box::new(redis::Redis::default()),
        Box::new(postgres::Postgres::default()),
        Box::new(nats::Nats::default()),
        Box::new(durable::Durable::new(durable::Kind::Rust)),
        Box::new(durable::Durable::new(durable::Kind::Node)),
        Box::new(kafka::Kafka::default()),
    ]
}

/// How many of [`everybody`] are no peers of others, and are always measured.
const ALWAYS: usize = 5;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let began = Instant::now();
    let folder = data_folder(&options.folder)?;
    // Thousands of connections are open at once, here and in the servers, which inherit it.
    rlimit::increase_nofile_limit(OPEN_FILES)?;
    let mut bench = bench(options, folder.path())?;
    let mut figures = Figures::new(bench.catch_up_events, bench.event_bytes);
    let mut peers = who_is_there(&mut bench, options, &mut figures)?;
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        if began.elapsed() + longest > Duration::from_secs(options.minutes * 60) {
            figures.notes.push(format!(
                "{} of {rounds} rounds, for want of time",
                figures.rounds
            ));
            break;
        }
        let began = Instant::now();
        for peer in &mut peers {
            one_round(&mut bench, peer.as_mut(), round, &mut figures)?;
        }
        figures.rounds += 1;
        longest = longest.max(began.elapsed());
        eprintln!(
            "round {} of {rounds}: {:.0} s",
            round + 1,
            began.elapsed().as_secs_f64()
        );
    }
    if !options.quick && !options.no_growth {
        match feedway::growth(&bench, GROWTH_EVENTS) {
            Ok(growth) => figures.growth = growth,
            Err(error) => note(
                &mut figures,
                format!("{FEEDWAY}, {GROWTH_EVENTS} events: {error}"),
            ),
        }
    }
    let is_partial = options.quick || options.no_write || !options.only.is_empty();
    let paths = paths(options, is_partial)?;
    println!("{}", report::write(&figures, &paths)?);
    eprintln!(
        "written to {}, {} and {} after {:.0} s",
        paths.document.display(),
        paths.plots.display(),
        paths.json.display(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A folder that is removed in the end and that servers of other users may look into.
fn data_folder(parent: &Path) -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("feedway-bench-")
        .tempdir_in(parent)?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn bench(options: &Options, folder: &Path) -> Result<Bench, Failure> {
    let (seconds, pace_seconds, catch_up_events) = if options.quick {
        (1, 2, 100_000)
    } else {
        (3, 8, 1_000_000)
    };
    Ok(Bench {
        runtime: tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?,
        folder: folder.to_owned(),
        tools: std::path::absolute(&options.tools)?,
        time: Duration::from_secs(seconds),
        pace: Pace {
            per_second: 1_000,
            seconds: pace_seconds,
        },
        catch_up_events,
        event_bytes: 512,
        page_file: folder.join("page.json"),
    })
}

/// Where to: a partial run leaves the documentation alone.
fn paths(options: &Options, is_partial: bool) -> Result<Paths, Failure> {
    let json = options.tools.join("figures.json");
    std::fs::create_dir_all(&options.tools)?;
    if is_partial {
        return Ok(Paths {
            document: options.tools.join("report.md"),
            plots: options.tools.join("plots"),
            json,
        });
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    Ok(Paths {
        document: docs.join("performance.md"),
        plots: docs.join("plots"),
        json,
    })
}

/// Those who were asked for and are on this machine.
fn who_is_there(
    bench: &mut Bench,
    options: &Options,
    figures: &mut Figures,
) -> Result<Vec<Box<dyn Peer>>, Failure> {
    let mut there = Vec::new();
    let everybody = everybody();
    for name in &options.only {
        if !everybody.iter().any(|peer| peer.key() == name) {
            return Err(format!("there is no peer {name:?}").into());
        }
    }
    for (number, mut peer) in everybody.into_iter().enumerate() {
        let key = peer.key();
        let wanted = number < ALWAYS
            || options.only.is_empty()
            || options.only.iter().any(|name| name == key);
        if !wanted {
            continue;
        }
        match peer.about(bench) {
            Ok(about) => {
                eprintln!("{}: {}", peer.name(), about.version);
                figures.peers.push((peer.name(), about));
                there.push(peer);
            }
            Err(error) => note(figures, format!("{}: {error}", peer.name())),
        }
    }
    Ok(there)
}

fn note(figures: &mut Figures, note: String) {
    eprintln!("left out: {note}");
    figures.notes.push(note.replace('\n', " "));
}

/// Everything that one of them does, on a folder of its own. What fails is noted, and the others go on.
fn one_round(
    bench: &mut Bench,
    peer: &mut dyn Peer,
    round: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let parent = bench.folder.clone();
    let folder = data_folder(&parent)?;
    bench.folder = folder.path().to_owned();
    // What others have written or removed before does not disturb whoever is next.
    std::process::Command::new("sync").status()?;
    let began = Instant::now();
    match peer.start(bench) {
        Ok(()) => measured(bench, peer, round, figures),
        Err(error) => note(figures, format!("{}: {error}", peer.name())),
    }
    peer.stop();
    bench.folder = parent;
    eprintln!("  {}: {:.0} s", peer.name(), began.elapsed().as_secs_f64());
    Ok(())
}

fn measured(bench: &Bench, peer: &mut dyn Peer, round: usize, figures: &mut Figures) {
    let name = peer.name();
    if let Err(error) = waiting(bench, peer, round, figures) {
        note(figures, format!("{name}, {LIVE} readers: {error}"));
    }
    let filling = Instant::now();
    if let Err(error) = peer.fill(bench) {
        note(
            figures,
            format!("{name}, {} events: {error}", bench.catch_up_events),
        );
    }
    eprintln!(
        "  {name}: filled in {:.1} s",
        filling.elapsed().as_secs_f64()
    );
    for work in Work::MEASURED {
        match peer.measure(bench, work) {
            Ok(Some(value)) => {
                eprintln!("  {name}: {}: {value:.0}", work.title().0);
                figures.add(round, work, name, value);
            }
            Ok(None) => {}
            Err(error) => note(figures, format!("{name}, {}: {error}", work.title().0)),
        }
    }
    match peer.latency(bench) {
        Ok(Some(Paced::KeptUp(latency))) => {
            eprintln!(
                "  {name}: latency {:.2} / {:.2} ms",
                latency.p50, latency.p99
            );
            figures.add(round, Work::LatencyP50, name, latency.p50);
            figures.add(round, Work::LatencyP99, name, latency.p99);
        }
        Ok(Some(Paced::FellBehind)) => figures.not_sustained.push(name),
        Ok(None) => {}
        Err(error) => note(figures, format!("{name}, latency: {error}")),
    }
}

/// What it costs when nothing happens.
fn waiting(
    bench: &Bench,
    peer: &mut dyn Peer,
    round: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let name = peer.name();
    let Some(process) = peer.process_id() else {
        return Ok(());
    };
    if let Some(mb) = process::memory_mb(process) {
        figures.add(round, Work::MemoryIdle, name, mb);
    }
    let Some(readers) = peer.live(bench, LIVE)? else {
        return Ok(());
    };
    std::thread::sleep(SETTLE);
    let (mb, cpu) = (
        process::memory_mb(process),
        process::cpu_share(process, CPU_TIME),
    );
    drop(readers);
    if let (Some(mb), Some(share)) = (mb, cpu) {
        eprintln!(
            "  {name}: {LIVE} readers: {mb:.0} MB, {:.1}% of a core",
            share * 100.0
        );
        figures.add(round, Work::MemoryLive, name, mb);
        figures.add(round, Work::CpuLive, name, share * 100.0);
    }
    Ok(())
}
