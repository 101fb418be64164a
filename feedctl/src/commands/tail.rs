//! `feedctl tail`: a feed in the terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use feed_core::client::{ClientOptions, FeedClient};
use feed_core::limits::{BACKOFF_MS_MAX, BACKOFF_MS_MIN};
use feed_core::{Cursor, EventType, Subject};
use tokio_util::sync::CancellationToken;

use crate::cli::CliError;
use crate::connect::Token;
use crate::follow::{Follower, Format, Place, Printer, ResumeFile, StepError, Stepped};
use crate::output::{self, ColorWhen, Gone};

const AFTER_HELP: &str = "\
Every event is verified by its running check, unless --type or --subject leaves some out.
The resume file is written after the events were handed on: after a crash some may come again, none is skipped.

Exit codes: 0 done, also when the reader of a pipe has gone; 1 the feed said no, or is not the one that was read before;
2 wrong usage, or the server cannot be reached.

Examples:
  feedctl tail http://127.0.0.1:8081/feeds/orders --from now
      what happens from now on
  feedctl tail http://127.0.0.1:8081/feeds/orders --no-follow -o jsonl > orders.jsonl
      all there is, one JSON object a line
  feedctl tail http://127.0.0.1:8081/feeds/orders --from 2026-01-31 --type OrderCreated -n 10
      the first ten orders of that day
  feedctl tail http://127.0.0.1:8081/feeds/orders -o jsonl --resume orders.place | ./handle-orders
      goes on where it was after a restart";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The feed's own URL, such as http://127.0.0.1:8081/feeds/orders
    #[arg(value_name = "FEED-URL")]
    url: String,
    #[command(flatten)]
    token: Token,
    /// Where to begin: start, now, a cursor, the id of an event, a position, or a time such as 2026-01-31T12:00:00Z;
    /// what the resume file says goes before it
    #[arg(long, value_name = "PLACE", default_value = "start")]
    from: Place,
    /// Only events of this type; can be given up to 16 times
    #[arg(long = "type", value_name = "TYPE", value_parser = |text: &str| EventType::new(text))]
    types: Vec<EventType>,
    /// Only events about this subject; can be given up to 16 times
    #[arg(long = "subject", value_name = "SUBJECT", value_parser = |text: &str| Subject::new(text))]
    subjects: Vec<Subject>,
    /// End after so many events
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// End when there is nothing new, instead of waiting for it
    #[arg(long)]
    no_follow: bool,
    /// How events are written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
    /// File that keeps the cursor, so that the next run goes on from there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Time between two polls when there is nothing new and the server does not wait, in milliseconds
    #[arg(long, env = "FEEDCTL_POLL_INTERVAL_MS", value_name = "MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    poll_interval_ms: u64,
}

/// Tries of a command that does not follow.
const TRIES_MAX: u32 = 5;

/// Longest time for the end of the output, in milliseconds.
const END_MS_MAX: u64 = 1_000;

pub(crate) async fn run(args: Args, color: ColorWhen) -> Result<(), CliError> {
    let options = ClientOptions {
        bearer_token: args.token.load()?,
        ..ClientOptions::default()
    };
    let client =
        FeedClient::new(&args.url, options).map_err(|error| CliError::Usage(error.to_string()))?;
    let resume = args
        .resume
        .as_ref()
        .map(|path| ResumeFile::new(path, client.feed().as_str()));
    let saved = match &resume {
        Some(file) => file
            .load()
            .map_err(|error| CliError::Usage(format!("--resume: {error}")))?,
        None => None,
    };
    let place = saved.map_or(args.from, |cursor| {
        Place::After(feed_core::After::Cursor(cursor))
    });
    let types = args.types.iter().map(|one| ("type", one.to_string()));
    let subjects = args.subjects.iter().map(|one| ("subject", one.to_string()));
    let filter = types.chain(subjects).collect();
    let mut tail = Tail {
        follower: Follower::new(client, place, filter, !args.no_follow),
        printer: Printer::new(args.output, color.is_on()),
        resume,
        saved,
        left: args.limit,
        follow: !args.no_follow,
        poll_interval: Duration::from_millis(args.poll_interval_ms),
        stop: feed_core::shutdown_signal(),
        gone: output::reader_gone(),
    };
    if tail.run().await? == Ended::Done {
        // Somebody may have asked to stop because this very pipe is stuck.
        let ending = output::write(tail.printer.end().to_vec());
        let _ = tokio::time::timeout(Duration::from_millis(END_MS_MAX), ending).await;
    }
    Ok(())
}

/// A tail under way.
struct Tail {
    follower: Follower,
    printer: Printer,
    resume: Option<ResumeFile>,
    /// The cursor in the resume file.
    saved: Option<Cursor>,
    /// Events that are still to be printed.
    left: Option<u64>,
    follow: bool,
    poll_interval: Duration,
    stop: CancellationToken,
    gone: CancellationToken,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All was printed that was asked for, or somebody asked to stop between two pieces.
    Done,
    /// Somebody asked to stop while a piece was being written.
    Stopped,
    /// Nobody reads any more.
    Gone,
}

impl Tail {
    async fn run(&mut self) -> Result<Ended, CliError> {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let (stop, gone) = (self.stop.clone(), self.gone.clone());
            let stepped = tokio::select! {
                biased;
                () = gone.cancelled() => return Ok(Ended::Gone),
                () = stop.cancelled() => return Ok(Ended::Done),
                stepped = self.follower.step() => stepped,
            };
            let wait = match stepped {
                Ok(stepped) => {
                    if failures > 0 {
                        output::tell("following again");
                        failures = 0;
                    }
                    let (count, caught_up) = (stepped.events.len(), stepped.caught_up);
                    if let Some(ended) = self.hand_on(stepped).await? {
                        return Ok(ended);
                    }
                    if caught_up && !self.follow {
                        return Ok(Ended::Done);
                    }
                    // A server that waited has waited long enough; one that did not is not asked too often.
                    match count {
                        0 => self.poll_interval.saturating_sub(begun.elapsed()),
                        _ => Duration::ZERO,
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.wait_after(error, failures)?
                }
            };
            tokio::select! {
                biased;
                () = gone.cancelled() => return Ok(Ended::Gone),
                () = stop.cancelled() => return Ok(Ended::Done),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Prints the events, then saves where that leads to. Nothing more is fetched before they were taken.
    async fn hand_on(&mut self, mut stepped: Stepped) -> Result<Option<Ended>, CliError> {
        if let Some(left) = &mut self.left {
            let most = usize::try_from(*left).unwrap_or(usize::MAX);
            if stepped.events.len() > most {
                stepped.events.truncate(most);
                stepped.cursor = stepped.events.last().map(feed_core::Event::cursor);
            }
            *left -= stepped.events.len() as u64;
        }
        let text = self.printer.print(&stepped.events);
        if !text.is_empty()
            && let Some(ended) = self.write(text).await?
        {
            return Ok(Some(ended));
        }
        if let (Some(file), Some(cursor)) = (&self.resume, stepped.cursor)
            && self.saved != Some(cursor)
        {
            file.save(cursor)
                .map_err(|error| CliError::Usage(format!("--resume: {error}")))?;
            self.saved = Some(cursor);
        }
        Ok((self.left == Some(0)).then_some(Ended::Done))
    }

    /// Writes a piece, as fast as it is read.
    async fn write(&self, piece: Vec<u8>) -> Result<Option<Ended>, CliError> {
        let written = tokio::select! {
            written = output::write(piece) => written,
            () = self.stop.cancelled() => return Ok(Some(Ended::Stopped)),
        };
        match written {
            Ok(Ok(())) => Ok(None),
            Ok(Err(Gone)) => Ok(Some(Ended::Gone)),
            Err(error) => Err(CliError::Usage(format!("stdout: {error}"))),
        }
    }

    /// How long to wait after a failure.
    fn wait_after(&self, error: StepError, failures: u32) -> Result<Duration, CliError> {
        match error {
            StepError::Halt(reason) => Err(CliError::Refused(reason)),
            StepError::Transient {
                reason,
                unreached: true,
                ..
            } => Err(CliError::Usage(format!("{reason}; is the server running?"))),
            StepError::Transient { reason, .. } if !self.follow && failures >= TRIES_MAX => Err(
                CliError::Refused(format!("{reason}; given up after {TRIES_MAX} tries")),
            ),
            StepError::Transient {
                reason,
                retry_after,
                ..
            } => {
                let ceiling = BACKOFF_MS_MIN
                    .saturating_mul(1 << (failures - 1).min(20))
                    .min(BACKOFF_MS_MAX);
                let wait = Duration::from_millis(ceiling).mul_f64(rand::random_range(0.5..=1.0));
                let wait = wait.max(retry_after.unwrap_or_default());
                output::tell(&format!(
                    "{reason}; trying again in {:.1} s",
                    wait.as_secs_f32()
                ));
                Ok(wait)
            }
        }
    }
}
