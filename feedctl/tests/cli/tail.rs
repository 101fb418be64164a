//! `feedctl tail` of a feed that is well.

use feed_core::{Event, json};
use nix::sys::signal::Signal;

use super::feed::{Feed, append};
use super::process::{Running, feedctl, feedctl_with, until};

fn events(lines: &str) -> Vec<Event> {
    let read = |line: &str| json::read_event(line.as_bytes()).unwrap();
    lines.lines().map(read).collect()
}

fn positions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

#[tokio::test]
async fn all_formats_have_all_events() {
    let feed = Feed::new(4, 11).await;
    let tail =
        async |format: &str| feedctl(&["tail", &feed.url(), "--no-follow", "-o", format]).await;
    let (text, array, lines) = (tail("text").await, tail("json").await, tail("jsonl").await);
    for ran in [&text, &array, &lines] {
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    }
    assert_eq!(text.stdout.lines().count(), 11);
    assert!(
        text.stdout
            .lines()
            .next()
            .unwrap()
            .ends_with("       1 Lit lamp-0 0"),
        "{}",
        text.stdout
    );
    let all = json::read_batch(array.stdout.as_bytes()).unwrap();
    assert_eq!(positions(&all), (1..=11).collect::<Vec<_>>());
    assert_eq!(events(&lines.stdout), all);
}

#[tokio::test]
async fn it_begins_where_it_is_told_to() {
    let feed = Feed::new(4, 11).await;
    let all = feedctl(&["tail", &feed.url(), "--no-follow", "-o", "jsonl"]).await;
    let all = events(&all.stdout);
    let (id, cursor) = (all[4].id.to_string(), all[4].cursor().to_string());
    let time = all[0].recorded.to_rfc3339();
    for (from, first) in [
        ("start", 1),
        ("7", 8),
        (id.as_str(), 6),
        (cursor.as_str(), 6),
        (time.as_str(), 1),
        ("2001-01-01", 1),
    ] {
        let ran = feedctl(&[
            "tail",
            &feed.url(),
            "--no-follow",
            "-o",
            "jsonl",
            "--from",
            from,
        ])
        .await;
        assert_eq!(
            events(&ran.stdout),
            all[first - 1..],
            "{from}: {}",
            ran.stderr
        );
    }
    for from in ["now", "9999-01-01"] {
        let ran = feedctl(&["tail", &feed.url(), "--no-follow", "--from", from]).await;
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, ""),
            "{from}: {}",
            ran.stderr
        );
    }
    let empty = feedctl(&[
        "tail",
        &feed.url(),
        "--no-follow",
        "-o",
        "json",
        "--from",
        "now",
    ])
    .await;
    assert_eq!(empty.stdout, "[]\n");
}

#[tokio::test]
async fn filters_and_limits_leave_out() {
    let feed = Feed::new(4, 30).await;
    let tail = async |arguments: &[&str]| {
        let ran = feedctl(
            &[
                &["tail", &feed.url(), "--no-follow", "-o", "jsonl"],
                arguments,
            ]
            .concat(),
        )
        .await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        positions(&events(&ran.stdout))
    };
    assert_eq!(tail(&["-n", "5"]).await, [1, 2, 3, 4, 5]);
    assert_eq!(tail(&["--limit", "100"]).await.len(), 30);
    assert_eq!(
        tail(&["--type", "Dimmed"]).await,
        (2..=30).step_by(2).collect::<Vec<_>>()
    );
    assert_eq!(tail(&["--type", "Dimmed", "--type", "Lit"]).await.len(), 30);
    assert_eq!(
        tail(&["--type", "Lit", "--subject", "lamp-0", "-n", "3"]).await,
        [1, 7, 13]
    );
    assert_eq!(tail(&["--type", "Nothing"]).await, [0_u64; 0]);
}

#[tokio::test]
async fn it_follows_and_ends_when_it_is_told_to() {
    let feed = Feed::new(4, 2).await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut running = Running::start(&["tail", &feed.url(), "-o", "jsonl", "--from", "now"]);
        // It is there when it waits.
        let before = feed.server.requests();
        until(|| feed.server.requests() > before + 1).await;
        append(&feed.store, 3).await;
        for _ in 0..3 {
            let line = running.line().await.unwrap();
            assert_eq!(events(&line).len(), 1);
        }
        running.signal(signal);
        assert_eq!(running.line().await, None);
        assert_eq!(running.end().await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn an_array_is_closed_when_it_is_told_to_stop() {
    let feed = Feed::new(4, 2).await;
    let mut running = Running::start(&["tail", &feed.url(), "-o", "json"]);
    let mut text = running.line().await.unwrap();
    until(|| feed.server.requests() >= 2).await;
    running.signal(Signal::SIGTERM);
    while let Some(line) = running.line().await {
        text += &line;
    }
    assert_eq!(json::read_batch(text.as_bytes()).unwrap().len(), 2);
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn a_closed_pipe_is_a_good_end() {
    let feed = Feed::new(100, 5_000).await;
    // One that is about to write more, and one that waits for an event that never comes.
    for from in ["start", "4999"] {
        let mut running = Running::start(&["tail", &feed.url(), "-o", "jsonl", "--from", from]);
        running.line().await.unwrap();
        running.stop_reading();
        assert_eq!(running.end().await, (Some(0), String::new()), "{from}");
    }
    let command = format!(
        "{} tail {} | head -n 1",
        env!("CARGO_BIN_EXE_feedctl"),
        feed.url()
    );
    let piped = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap().lines().count(), 1);
    assert_eq!(String::from_utf8(piped.stderr).unwrap(), "");
}

#[tokio::test]
async fn it_fetches_no_further_than_somebody_reads() {
    let (capacity, length) = (10, 3_000);
    let feed = Feed::new(capacity, length).await;
    let mut running = Running::start(&["tail", &feed.url(), "-o", "jsonl", "--no-follow"]);
    let mut lines = vec![running.line().await.unwrap()];
    // Nobody reads on: the pipe fills, and the requests cease.
    let (mut before, mut same) = (0, 0);
    until(|| {
        let now = feed.server.requests();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same > 100
    })
    .await;
    let pages = length as usize / capacity as usize;
    assert!(before < pages / 2, "{before} of {pages} pages");
    while let Some(line) = running.line().await {
        lines.push(line);
    }
    let all = events(&lines.join("\n"));
    assert_eq!(positions(&all), (1..=length).collect::<Vec<_>>());
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn i08_nothing_is_skipped_after_a_kill() {
    let length = 2_000;
    let feed = Feed::new(10, length).await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lamps.place");
    let place = place.to_str().unwrap();
    let arguments = [
        "tail",
        &feed.url(),
        "-o",
        "jsonl",
        "--resume",
        place,
        "--no-follow",
    ];
    let mut read = 0;
    for lines in [1, 7, 300, 400] {
        let mut running = Running::start(&arguments);
        let mut seen = Vec::new();
        for _ in 0..lines {
            seen.push(running.line().await.unwrap());
        }
        running.signal(Signal::SIGKILL);
        while let Some(line) = running.line().await {
            // What was cut off in the middle was not read.
            if json::read_event(line.as_bytes()).is_ok() {
                seen.push(line);
            }
        }
        assert_eq!(running.end().await.0, None);
        let seen = positions(&events(&seen.join("\n")));
        assert!(seen[0] <= read + 1, "{} comes after {read}", seen[0]);
        assert!(
            seen.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{seen:?}"
        );
        read = read.max(*seen.last().unwrap());
    }
    let rest = feedctl(&arguments).await;
    let rest = positions(&events(&rest.stdout));
    assert!(
        rest[0] <= read + 1 && rest[0] > 1,
        "{} comes after {read}",
        rest[0]
    );
    assert_eq!(rest.last(), Some(&length));
    // And then there is nothing left.
    assert_eq!(feedctl(&arguments).await.stdout, "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn i08_the_place_is_kept_with_limits_and_filters() {
    let feed = Feed::new(4, 20).await;
    let folder = tempfile::tempdir().unwrap();
    let run = async |name: &str, arguments: &[&str]| {
        let place = folder.path().join(name);
        let fixed = [
            "tail",
            &feed.url(),
            "--no-follow",
            "-o",
            "jsonl",
            "--resume",
            place.to_str().unwrap(),
        ];
        let ran = feedctl(&[&fixed, arguments].concat()).await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        positions(&events(&ran.stdout))
    };
    // What the file says goes before --from.
    assert_eq!(run("a", &["-n", "3"]).await, [1, 2, 3]);
    assert_eq!(run("a", &["-n", "2", "--from", "start"]).await, [4, 5]);
    assert_eq!(run("a", &[]).await, (6..=20).collect::<Vec<_>>());
    assert_eq!(run("b", &["--type", "Dimmed", "-n", "3"]).await, [2, 4, 6]);
    assert_eq!(
        run("b", &["--type", "Dimmed"]).await,
        (8..=20).step_by(2).collect::<Vec<_>>()
    );
    // `now` is resolved once.
    assert_eq!(run("c", &["--from", "now"]).await, [0_u64; 0]);
    append(&feed.store, 2).await;
    assert_eq!(run("c", &["--from", "now"]).await, [21, 22]);
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_ask() {
    let feed = Feed::new(4, 1).await;
    let url = feed.url();
    for (arguments, variables, colored) in [
        (vec![], vec![], false),
        (vec!["--color", "always"], vec![], true),
        (vec!["--color", "always"], vec![("NO_COLOR", "1")], true),
        (vec!["--color", "never"], vec![], false),
    ] {
        let arguments = [&["tail", &url, "--no-follow"], &arguments[..]].concat();
        let ran = feedctl_with(&arguments, &variables).await;
        assert_eq!(ran.stdout.contains('\u{1b}'), colored, "{arguments:?}");
    }
}
