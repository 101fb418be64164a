//! W: long polls.

use std::time::{Duration, Instant};

use feed_core::{Cursor, Format};
use futures_util::future::join;
use reqwest::Method;
use url::Url;

use super::kit::Kit;
use super::reply::Reply;
use super::rule::{Fault, Rule, Verdict, rule, skipped};

pub(super) const RULES: &[Rule] = &[
    rule!(
        "W1",
        Must,
        "an answer comes with an event, or when the time is over",
        wakes
    ),
    rule!(
        "W2",
        Must,
        "a long poll is not stored, and says its wait",
        not_stored
    ),
    rule!(
        "W3",
        Must,
        "nothing is missed between looking and waiting",
        not_missed
    ),
];

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

/// What a poll that an event is to wake asks for, in seconds.
const WAIT_S: u64 = 20;
/// An answer may come that much later than it could, in milliseconds: the machine may be busy.
const SLACK_MS: u64 = 3_000;
/// How long a poll is given to begin to wait, in milliseconds.
const BEGIN_MS: u64 = 300;
/// Polls that race with an event.
const RACES: usize = 4;

/// The tail behind `cursor`, with these further parameters. A request with a limit is never redirected, also when a page
/// was sealed meanwhile behind the cursor.
fn tail(kit: &Kit, cursor: Cursor, more: &[(&str, &str)]) -> Url {
    let after = cursor.to_string();
    let first = [("after", after.as_str()), ("limit", "100")];
    kit.at(&[&first, more].concat())
}

/// A request that asks to wait, from `url` on.
async fn poll(kit: &Kit, url: &Url, seconds: u64) -> Result<Reply, Fault> {
    let prefer = format!("wait={seconds}");
    let within = kit.timeout + Duration::from_secs(seconds);
    let headers = [JSON, ("prefer", prefer.as_str())];
    let reply = kit
        .request_within(Method::GET, url, &headers, within)
        .await?;
    reply.expect(200)?;
    Ok(reply)
}

async fn wakes(kit: &Kit) -> Verdict {
    let url = tail(kit, kit.newest().await?, &[]);
    let empty = poll(kit, &url, 1).await?;
    let count = empty.positions()?.len();
    // Somebody else may have appended.
    if count == 0 {
        empty.ensure(
            empty.took >= Duration::from_millis(900),
            format_args!(
                "it came without events after {} ms, 1 s was asked for",
                empty.took.as_millis()
            ),
        )?;
        empty.ensure(
            empty.took <= Duration::from_millis(1_000 + SLACK_MS),
            format_args!("it took {} ms, 1 s was asked for", empty.took.as_millis()),
        )?;
        empty.need_link("next")?;
    }
    let parameter = tail(kit, kit.newest().await?, &[("wait", "1")]);
    let reply = kit.get(&parameter, &[JSON]).await?;
    reply.expect(200)?;
    reply.ensure(
        reply.took >= Duration::from_millis(900) || !reply.positions()?.is_empty(),
        format_args!(
            "it came without events after {} ms, 1 s was asked for",
            reply.took.as_millis()
        ),
    )?;
    kit.need_append()?;
    let woken = woken(kit, Duration::from_millis(BEGIN_MS)).await?;
    Ok(format!(
        "1 s without an event took {} ms; an event came {woken}",
        empty.took.as_millis()
    ))
}

/// Polls, and appends when the poll is `after` old. Returns when the event came.
async fn woken(kit: &Kit, after: Duration) -> Verdict {
    let before = kit.newest().await?;
    let url = tail(kit, before, &[]);
    let begun = Instant::now();
    let appending = async {
        tokio::time::sleep(after).await;
        let appended = kit.append().await?;
        Ok::<_, Fault>((appended, begun.elapsed()))
    };
    let (polled, appended) = join(poll(kit, &url, WAIT_S), appending).await;
    let (_, visible) = appended?;
    let polled = polled?;
    if visible > Duration::from_secs(WAIT_S) {
        return skipped(format!("appending an event took {} s", visible.as_secs()));
    }
    let first = polled.events()?.into_iter().next();
    polled.ensure(
        first.is_some_and(|event| Some(event.position) == before.position.next()),
        format_args!(
            "after {} ms it came without the event that was there after {} ms",
            polled.took.as_millis(),
            visible.as_millis()
        ),
    )?;
    let late = polled.took.saturating_sub(visible);
    polled.ensure(
        late <= Duration::from_millis(SLACK_MS),
        format_args!(
            "it came {} ms after the event was to be seen",
            late.as_millis()
        ),
    )?;
    Ok(format!(
        "after {} ms of {WAIT_S} s",
        polled.took.as_millis()
    ))
}

async fn not_stored(kit: &Kit) -> Verdict {
    let url = tail(kit, kit.newest().await?, &[]);
    let reply = poll(kit, &url, 1).await?;
    let says = |reply: &Reply| {
        reply
            .list("cache-control")
            .iter()
            .any(|directive| directive == "no-store")
    };
    reply.ensure(
        says(&reply),
        format_args!(
            "Cache-Control is {:?}, expected no-store",
            reply.header("cache-control")
        ),
    )?;
    let applied = reply
        .need("preference-applied")?
        .replace(' ', "")
        .to_ascii_lowercase();
    let seconds = applied
        .split([',', ';'])
        .find_map(|part| part.strip_prefix("wait=")?.parse::<u64>().ok());
    reply.ensure(
        seconds == Some(1),
        format_args!("Preference-Applied is {applied:?}, expected wait=1"),
    )?;
    let parameter = tail(kit, kit.newest().await?, &[("wait", "1")]);
    let parameter = kit.get(&parameter, &[JSON]).await?;
    parameter.expect(200)?;
    parameter.ensure(
        says(&parameter),
        format_args!(
            "Cache-Control is {:?}, expected no-store",
            parameter.header("cache-control")
        ),
    )?;
    Ok(format!("no-store, Preference-Applied: {applied}"))
}

async fn not_missed(kit: &Kit) -> Verdict {
    kit.need_append()?;
    // The event comes before, while and after the poll begins to wait.
    for race in 0..RACES {
        woken(kit, Duration::from_millis(race as u64 * 2)).await?;
    }
    // And one that was there before is there at once.
    let before = kit.newest().await?;
    kit.append().await?;
    let reply = kit
        .document(
            &kit.at(&[("after", &before.to_string()), ("wait", "20")]),
            Format::Json,
        )
        .await?;
    reply.ensure(
        !reply.positions()?.is_empty(),
        "it has not the event that was there already",
    )?;
    Ok(format!("{RACES} polls that begin as an event comes"))
}
