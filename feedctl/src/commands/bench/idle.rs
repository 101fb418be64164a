//! `feedctl bench idle`: what readers cost who wait and get nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use feed_core::After;
use feed_core::client::ClientOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use super::figures::{Figures, Rounds};
use super::process::{cpu_time, resident_bytes};
use super::target::{Served, Target, fetch};
use crate::cli::CliError;
use crate::progress::Steps;

/// How long the server is asked to wait: longer than any round.
const WAIT_SECONDS: u32 = 60;
/// Readers that connect at the same time, which is less than a listener holds back.
const CONNECTING_MAX: usize = 64;
/// Longest time until all of them wait.
const CONNECTED_MAX: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
Each reader has a connection of its own and asks the feed to tell it what comes behind its newest event. Memory and CPU are
those of the process that serves: of a running service only when --pid names it, on this machine. On Linux only.

Exit codes: 0 measured; 1 the feed said no, such as by its own limit of who may wait; 2 wrong usage, or it cannot be reached.

Examples:
  feedctl bench idle --waiters 5000
  feedctl bench idle http://127.0.0.1:8081/feeds/orders --pid $(pidof order-svc)";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The process that serves FEED-URL
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// Readers that wait
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    waiters: u32,
    /// How long they wait in a round, in seconds
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=30))]
    seconds: u32,
    #[command(flatten)]
    rounds: Rounds,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let served = args.target.serve().await?;
    let pid = args.pid.or(served.server.as_ref().map(|server| server.pid));
    if pid.is_some_and(|pid| resident_bytes(pid).is_none()) {
        return Err(CliError::Usage(
            "nothing is known of that process; this needs Linux".into(),
        ));
    }
    let (url, request) = request(&served).await?;
    let steps = Steps::new("waiting", u64::from(args.rounds.rounds));
    let mut figures = Figures::of(served.name.clone());
    for _ in 0..args.rounds.rounds {
        round(&url, &request, &args, pid, &mut figures).await?;
        steps.one_more();
    }
    drop(steps);
    figures.print(args.rounds).await
}

/// Where to connect to, and what is sent.
async fn request(served: &Served) -> Result<(Url, Arc<str>), CliError> {
    let client = served.client(ClientOptions::default())?;
    let url = client.tail(&After::Now);
    if url.scheme() != "http" {
        return Err(CliError::Usage(
            "readers who wait are measured over http:// only".into(),
        ));
    }
    let head = fetch(&client, &url, None).await?.document.head;
    let head =
        head.ok_or_else(|| CliError::Refused("the feed does not say where its head is".into()))?;
    let url = client.tail(&After::Cursor(head));
    let token = served
        .token
        .iter()
        .map(|token| format!("authorization: Bearer {token}\r\n"));
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\naccept: application/cloudevents-batch+json\r\nprefer: wait={WAIT_SECONDS}\r\n{}\r\n",
        &url[url::Position::BeforePath..],
        token.collect::<String>()
    );
    Ok((url, request.into()))
}

async fn round(
    url: &Url,
    request: &Arc<str>,
    args: &Args,
    pid: Option<u32>,
    figures: &mut Figures,
) -> Result<(), CliError> {
    let before = pid.and_then(resident_bytes);
    let mut readers = connect(url, request, args.waiters).await?;
    // What is not answered now waits.
    if let Some(answered) = readers.try_join_next() {
        return Err(answered.map_err(|error| CliError::Usage(error.to_string()))?);
    }
    let (began, cpu) = (Instant::now(), pid.and_then(cpu_time));
    let waited = Duration::from_secs(u64::from(args.seconds));
    if let Ok(Some(answered)) = tokio::time::timeout(waited, readers.join_next()).await {
        return Err(answered.map_err(|error| CliError::Usage(error.to_string()))?);
    }
    figures.add("readers who wait", "readers", f64::from(args.waiters));
    if let (Some(pid), Some(before), Some(cpu)) = (pid, before, cpu) {
        let used = cpu_time(pid)
            .unwrap_or(cpu)
            .saturating_sub(cpu)
            .as_secs_f64();
        let resident = resident_bytes(pid).unwrap_or_default();
        let each = resident.saturating_sub(before) as f64 / f64::from(args.waiters);
        figures.add("memory before they came", "MB", before as f64 / 1e6);
        figures.add("memory while they wait", "MB", resident as f64 / 1e6);
        figures.add("memory of one", "kB", each / 1e3);
        figures.add(
            "CPU while they wait",
            "%",
            used / began.elapsed().as_secs_f64() * 100.0,
        );
    }
    Ok(())
}

/// All readers, connected, each with its request on the way. One that is answered ends, and says so.
async fn connect(
    url: &Url,
    request: &Arc<str>,
    waiters: u32,
) -> Result<JoinSet<CliError>, CliError> {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    raise_open_files(u64::from(waiters) + 100)?;
    let connected = Arc::new(AtomicU32::new(0));
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTING_MAX));
    let mut readers = JoinSet::new();
    for _ in 0..waiters {
        let (host, request) = (host.clone(), request.clone());
        let (connected, places) = (connected.clone(), places.clone());
        readers.spawn(async move {
            let place = places.acquire().await;
            let failed = |error| CliError::Usage(format!("{host}:{port}: {error}"));
            let mut stream = match TcpStream::connect((host.as_str(), port)).await {
                Ok(stream) => stream,
                Err(error) => return failed(error),
            };
            if let Err(error) = stream.write_all(request.as_bytes()).await {
                return failed(error);
            }
            drop(place);
            connected.fetch_add(1, Ordering::Relaxed);
            let mut answer = [0; 200];
            match stream.read(&mut answer).await {
                Ok(read) => {
                    let text = String::from_utf8_lossy(&answer[..read]);
                    let line = text.lines().next().unwrap_or("nothing");
                    CliError::Refused(format!(
                        "a reader who was to wait was answered at once: {line}"
                    ))
                }
                Err(error) => failed(error),
            }
        });
    }
    let began = Instant::now();
    while connected.load(Ordering::Relaxed) < waiters {
        if let Some(ended) = readers.try_join_next() {
            return Err(ended.map_err(|error| CliError::Usage(error.to_string()))?);
        }
        if began.elapsed() > CONNECTED_MAX {
            let connected = connected.load(Ordering::Relaxed);
            return Err(CliError::Usage(format!(
                "{connected} of {waiters} readers were connected within {CONNECTED_MAX:?}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(readers)
}

/// So that each reader can have a connection.
fn raise_open_files(needed: u64) -> Result<(), CliError> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        if soft < needed {
            setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard)
                .map_err(|error| CliError::Usage(error.to_string()))?;
        }
        if hard < needed {
            return Err(CliError::Usage(format!(
                "{needed} open files are needed, {hard} are allowed (ulimit -n)"
            )));
        }
    }
    Ok(())
}
