//! `feedctl bench page`: requests a second for what is asked for most.

use std::time::{Duration, Instant};

use feed_core::client::ClientOptions;
use http::{HeaderMap, HeaderValue, header};
use reqwest::redirect;
use tokio::task::JoinSet;

use super::figures::{Figures, Rounds};
use super::target::{Served, Target};
use crate::cli::CliError;
use crate::progress::Steps;

/// Longest time that one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const BATCH: &str = "application/cloudevents-batch+json";

const AFTER_HELP: &str = "\
Three requests are measured in turn, each over all connections at once: the feed's first sealed page; its head by a reader who
has it already (304); and the tail behind its newest event, where there is nothing new. The client takes its share of the
machine: where it is the same as the server's, a load generator such as wrk shows more.

Exit codes: 0 measured; 1 the feed said no, or has no sealed page; 2 wrong usage, or it cannot be reached.

Examples:
  feedctl bench page http://127.0.0.1:8081/feeds/orders
  feedctl bench page --connections 1 --seconds 2";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long each of the three is measured in a round, in seconds
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    #[command(flatten)]
    rounds: Rounds,
}

/// A request that is sent again and again.
#[derive(Clone)]
struct Asked {
    name: &'static str,
    url: String,
    headers: HeaderMap,
    status: u16,
}

pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let served = args.target.serve().await?;
    let mut figures = Figures::of(served.name.clone());
    let asked = requests(&served).await?;
    let total = u64::from(args.rounds.rounds) * asked.len() as u64;
    let steps = Steps::new("measuring", total);
    for _ in 0..args.rounds.rounds {
        for asked in &asked {
            load(asked, &args, &mut figures).await?;
            steps.one_more();
        }
    }
    drop(steps);
    figures.print(args.rounds).await
}

/// What is asked for, found out from the feed.
async fn requests(served: &Served) -> Result<Vec<Asked>, CliError> {
    // Says what is wrong with the URL, and sets up TLS.
    served.client(ClientOptions::default())?;
    let http = client()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(BATCH));
    if let Some(token) = &served.token {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let bearer = bearer.map_err(|error| CliError::Usage(error.to_string()))?;
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let start = format!("{}?after=start", served.url);
    let reply = ask(&http, &start, &headers).await?;
    if reply.status().as_u16() != 307 {
        return Err(CliError::Refused(format!(
            "{start} answered {}: the feed has no sealed page, or is none",
            reply.status()
        )));
    }
    let page = said(&reply, "location")?;
    let page = url::Url::parse(&start).and_then(|base| base.join(&page));
    let page = page.map_err(|error| CliError::Refused(error.to_string()))?;
    let head = ask(&http, &served.url, &headers).await?;
    let (tag, cursor) = (said(&head, "etag")?, said(&head, "feed-head")?);
    let mut unchanged = headers.clone();
    let tag = HeaderValue::from_str(&tag).map_err(|error| CliError::Refused(error.to_string()))?;
    unchanged.insert(header::IF_NONE_MATCH, tag);
    let asked = |name, url, headers: &HeaderMap, status| Asked {
        name,
        url,
        headers: headers.clone(),
        status,
    };
    Ok(vec![
        asked("sealed page", page.to_string(), &headers, 200),
        asked("head, unchanged", served.url.clone(), &unchanged, 304),
        asked(
            "empty poll",
            format!("{}?after={cursor}", served.url),
            &headers,
            200,
        ),
    ])
}

async fn load(asked: &Asked, args: &Args, figures: &mut Figures) -> Result<(), CliError> {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    let until = began + Duration::from_secs(u64::from(args.seconds));
    for _ in 0..args.connections {
        // A client each, so that each has a connection of its own.
        let (http, asked) = (client()?, asked.clone());
        tasks.spawn(async move {
            let (mut took, mut bytes) = (Vec::new(), 0);
            while Instant::now() < until {
                let sent = Instant::now();
                bytes += answer(&http, &asked).await?;
                took.push(sent.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok::<_, CliError>((took, bytes))
        });
    }
    let (mut took, mut bytes) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| CliError::Usage(error.to_string()))??;
        took.extend(done.0);
        bytes += done.1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let name = asked.name;
    figures.add(name, "requests/s", took.len() as f64 / seconds);
    if bytes > 0 {
        figures.add(
            format!("{name}, bodies"),
            "MB/s",
            bytes as f64 / seconds / 1e6,
        );
    }
    figures.add_times(name, took);
    Ok(())
}

/// Bytes of the answer's body.
async fn answer(http: &reqwest::Client, asked: &Asked) -> Result<usize, CliError> {
    let reply = ask(http, &asked.url, &asked.headers).await?;
    let status = reply.status();
    if status.as_u16() != asked.status {
        // Somebody appends to it, or it is not there any more.
        return Err(CliError::Refused(format!(
            "{} answered {status}, expected {}: it has to stay as it is while it is measured",
            asked.url, asked.status
        )));
    }
    let body = reply.bytes().await;
    let body = body.map_err(|error| CliError::Usage(format!("{}: {error}", asked.url)))?;
    Ok(body.len())
}

async fn ask(
    http: &reqwest::Client,
    url: &str,
    headers: &HeaderMap,
) -> Result<reqwest::Response, CliError> {
    let sent = http.get(url).headers(headers.clone()).send().await;
    sent.map_err(|error| CliError::Usage(format!("{url}: {error}")))
}

fn said(reply: &reqwest::Response, name: &str) -> Result<String, CliError> {
    let value = reply
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok());
    value.map(str::to_owned).ok_or_else(|| {
        CliError::Refused(format!(
            "{} answered {} without {name}",
            reply.url(),
            reply.status()
        ))
    })
}

/// A client that takes the bytes as they are.
fn client() -> Result<reqwest::Client, CliError> {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(ANSWER_MAX)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .build()
        .map_err(|error| CliError::Usage(error.to_string()))
}
