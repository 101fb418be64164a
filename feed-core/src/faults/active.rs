//! The faults, as environment variables ask for them. See [`variables`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{Bug, Point};
use crate::error::StoreError;
use crate::event::{Event, SubscriptionName};
use crate::store::{Tx, TxInner};

/// The environment variables by which a process is made to fail.
pub mod variables {
    /// The word of a planted bug, see [`BUGS`](super::BUGS).
    pub const BUG: &str = "FEEDWAY_FAULT_BUG";
    /// `POINT:N:crash` or `POINT:N:stop`: at the Nth time (from 1) that the process comes to a point (see
    /// [`POINTS`](super::POINTS)) it kills or stops itself. Several with commas between them.
    pub const AT: &str = "FEEDWAY_FAULT_AT";
    /// A file with the milliseconds by which the wall clock is wrong; without the file it is right.
    pub const CLOCK: &str = "FEEDWAY_FAULT_CLOCK";
    /// If set, every application of an event is written to the table `fault_ledger`, in its transaction.
    pub const LEDGER: &str = "FEEDWAY_FAULT_LEDGER";
    /// `PERMILLE:SEED:FILE`: so many of a thousand events cannot be applied, until the file is there.
    pub const POISON: &str = "FEEDWAY_FAULT_POISON";
    /// `PERMILLE:SEED`: so many of a thousand events fail the first time in each process, and then succeed.
    pub const FLAKY: &str = "FEEDWAY_FAULT_FLAKY";
}

/// The planted bugs by their words.
pub const BUGS: &[(&str, Bug)] = &[
    ("cursor-before-effects", Bug::CursorBeforeEffects),
    ("effects-before-cursor", Bug::EffectsBeforeCursor),
    ("no-fence", Bug::NoFence),
    ("stale-cursor-on-take-over", Bug::StaleCursorOnTakeOver),
    ("park-without-cursor", Bug::ParkWithoutCursor),
    ("cursor-without-park", Bug::CursorWithoutPark),
    ("gap-skipped", Bug::GapSkipped),
    ("repeats-applied", Bug::RepeatsApplied),
    ("waiting-not-held", Bug::WaitingNotHeld),
    ("replay-newest-first", Bug::ReplayNewestFirst),
    ("transient-parks", Bug::TransientParks),
    ("follow-up-ids-random", Bug::FollowUpIdsRandom),
    ("answer-before-commit", Bug::AnswerBeforeCommit),
    ("placed-by-number", Bug::PlacedByNumber),
    ("placed-after-a-while", Bug::PlacedAfterAWhile),
    ("head-and-rows-apart", Bug::HeadAndRowsApart),
    ("writers-notify", Bug::WritersNotify),
];

/// The points by their words.
pub const POINTS: &[(&str, Point)] = &[
    ("taken", Point::Taken),
    ("fetched", Point::Fetched),
    ("batch-begins", Point::BatchBegins),
    ("handled", Point::Handled),
    ("cursor-moved", Point::CursorMoved),
    ("before-commit", Point::BeforeCommit),
    ("after-commit", Point::AfterCommit),
    ("parked", Point::Parked),
    ("replayed", Point::Replayed),
    ("renewed", Point::Renewed),
    ("timer-fired", Point::TimerFired),
    ("sequencer-locked", Point::SequencerLocked),
    ("sequencer-found", Point::SequencerFound),
    ("sequencer-placed", Point::SequencerPlaced),
    ("sequencer-noted", Point::SequencerNoted),
];

/// What a process does to itself at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Crash,
    Stop,
}

struct Settings {
    bug: Option<Bug>,
    at: Vec<(Point, u64, Act)>,
    clock: Option<PathBuf>,
    ledger: bool,
    poison: Option<(u64, String, PathBuf)>,
    flaky: Option<(u64, String)>,
}

/// What was asked for is read once; what cannot be read ends the process, since a test would test nothing.
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| match Settings::read() {
    Some(settings) => settings,
    None => {
        tracing::error!("a FEEDWAY_FAULT_ variable cannot be understood");
        std::process::exit(3);
    }
});

impl Settings {
    fn read() -> Option<Settings> {
        let text = |name: &str| std::env::var(name).ok();
        let bug = match text(variables::BUG) {
            Some(word) => Some(find(BUGS, &word)?),
            None => None,
        };
        let at = match text(variables::AT) {
            Some(list) => list.split(',').map(act).collect::<Option<Vec<_>>>()?,
            None => Vec::new(),
        };
        let poison = match text(variables::POISON) {
            Some(text) => {
                let mut parts = text.splitn(3, ':');
                let permille = parts.next()?.parse().ok()?;
                Some((permille, parts.next()?.to_owned(), parts.next()?.into()))
            }
            None => None,
        };
        let flaky = match text(variables::FLAKY) {
            Some(text) => {
                let (permille, seed) = text.split_once(':')?;
                Some((permille.parse().ok()?, seed.to_owned()))
            }
            None => None,
        };
        Some(Settings {
            bug,
            at,
            clock: text(variables::CLOCK).map(PathBuf::from),
            ledger: text(variables::LEDGER).is_some(),
            poison,
            flaky,
        })
    }
}

fn find<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    let found = words.iter().find(|(known, _)| *known == word)?;
    Some(found.1)
}

fn act(text: &str) -> Option<(Point, u64, Act)> {
    let mut parts = text.split(':');
    let (point, count) = (find(POINTS, parts.next()?)?, parts.next()?.parse().ok()?);
    let act = match parts.next()? {
        "crash" => Act::Crash,
        "stop" => Act::Stop,
        _ => return None,
    };
    Some((point, count, act))
}

pub(crate) fn planted(bug: Bug) -> bool {
    SETTINGS.bug == Some(bug)
}

/// The process comes to a point.
pub(crate) fn at(point: Point) {
    static SEEN: LazyLock<Mutex<HashMap<&'static str, u64>>> = LazyLock::new(Mutex::default);
    if SETTINGS.at.is_empty() {
        return;
    }
    let Some((word, _)) = POINTS.iter().find(|(_, known)| *known == point) else {
        return;
    };
    let count = {
        let mut seen = SEEN
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = seen.entry(word).or_default();
        *count += 1;
        *count
    };
    for (_, _, act) in SETTINGS
        .at
        .iter()
        .filter(|(at, n, _)| *at == point && *n == count)
    {
        #[cfg(unix)]
        {
            use nix::sys::signal::{Signal, raise};
            // Nothing may run on: neither destructors nor other threads.
            let _ = raise(match act {
                Act::Crash => Signal::SIGKILL,
                Act::Stop => Signal::SIGSTOP,
            });
        }
        #[cfg(not(unix))]
        if *act == Act::Crash {
            std::process::abort();
        }
    }
}

/// The wall clock, wrong by what the file says.
pub(crate) fn wall_clock() -> DateTime<Utc> {
    let offset = SETTINGS.clock.as_ref().and_then(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim()
            .parse()
            .ok()
            .and_then(TimeDelta::try_milliseconds)
    });
    Utc::now() + offset.unwrap_or_default()
}

/// Whether the event is one of the `permille` that `seed` chooses.
fn is_chosen(event: &Event, permille: u64, seed: &str) -> bool {
    let digest = Sha256::new()
        .chain_update(seed.as_bytes())
        .chain_update(event.position.get().to_be_bytes())
        .finalize();
    let number = u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ]);
    number % 1_000 < permille
}

/// Why the event fails, if it is to fail: permanently, or transiently.
pub(crate) fn poison(event: &Event) -> Option<(bool, &'static str)> {
    static FAILED: LazyLock<Mutex<std::collections::HashSet<u64>>> = LazyLock::new(Mutex::default);
    if let Some((permille, seed, mended)) = &SETTINGS.poison
        && is_chosen(event, *permille, seed)
        && !mended.exists()
    {
        return Some((true, "poisoned on purpose"));
    }
    if let Some((permille, seed)) = &SETTINGS.flaky
        && is_chosen(event, *permille, &format!("flaky{seed}"))
    {
        let mut failed = FAILED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if failed.insert(event.position.get()) {
            return Some((false, "failing once on purpose"));
        }
    }
    None
}

/// The statement that makes the ledger, if there is none.
fn ledger_of(tx: &Tx<'_>) -> &'static str {
    match &tx.inner {
        #[cfg(feature = "sqlite")]
        TxInner::Sqlite(_) => {
            "CREATE TABLE IF NOT EXISTS fault_ledger (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, position INTEGER NOT NULL,
                 event_id BLOB NOT NULL, subject TEXT NOT NULL, fence INTEGER NOT NULL, holder BLOB NOT NULL) STRICT"
        }
        #[cfg(feature = "postgres")]
        TxInner::Postgres(_) => {
            "CREATE TABLE IF NOT EXISTS fault_ledger (
                 row BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subscription TEXT NOT NULL, position BIGINT NOT NULL,
                 event_id BYTEA NOT NULL, subject TEXT NOT NULL, fence BIGINT NOT NULL, holder BYTEA NOT NULL)"
        }
    }
}

/// Writes down that these events are being applied, in the transaction that applies them.
pub(crate) async fn note_applied(
    tx: &mut Tx<'_>,
    subscription: &SubscriptionName,
    fence: i64,
    holder: &[u8; 16],
    events: &[Event],
) -> Result<(), StoreError> {
    if !SETTINGS.ledger {
        return Ok(());
    }
    tx.execute(ledger_of(tx), &[]).await?;
    for event in events {
        tx.execute(
            "INSERT INTO fault_ledger (subscription, position, event_id, subject, fence, holder)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                subscription.as_str().into(),
                (event.position.get() as i64).into(),
                (&event.id).into(),
                event.subject.as_str().into(),
                fence.into(),
                holder.as_slice().into(),
            ],
        )
        .await?;
    }
    Ok(())
}
