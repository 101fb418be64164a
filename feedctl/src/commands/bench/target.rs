//! What is measured: a service's feed, a database's, or one that is made for it.

use std::process::Stdio;
use std::time::Duration;

use feed_core::client::{ClientError, ClientOptions, FeedClient, FetchOptions, Fetched, Page};
use feed_core::{Store, without_password};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use super::scratch::{self, Scratch, failed};
use super::serve::DATABASE_VARIABLE;
use crate::cli::CliError;
use crate::connect::Token;

/// Where the feed comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The feed of a running service, such as http://127.0.0.1:8081/feeds/orders
    #[arg(value_name = "FEED-URL")]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
    /// A service's database: a file path, sqlite:PATH or postgres://…; it has to be there
    #[arg(long, value_name = "DATABASE", conflicts_with = "url")]
    database: Option<String>,
    /// Which of its feeds, when it has several
    #[arg(long, value_name = "NAME", requires = "database")]
    feed: Option<String>,
    #[command(flatten)]
    pub(super) scratch: Scratch,
    /// Events of the feed that is made when neither FEED-URL nor --database is given
    #[arg(long, value_name = "N", default_value_t = 100_000, conflicts_with_all = ["url", "database"],
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    events: u32,
}

/// A feed that is there to be measured.
pub(super) struct Served {
    /// Its URL.
    pub(super) url: String,
    /// The token that its server may ask for.
    pub(super) token: Option<String>,
    /// What it is, for people.
    pub(super) name: String,
    /// The process that serves it, if it is one of ours.
    pub(super) server: Option<Server>,
    _folder: Option<TempDir>,
}

/// A process of our own that serves a database. It ends when this is dropped.
pub(super) struct Server {
    pub(super) pid: u32,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Target {
    /// The feed, served.
    ///
    /// # Errors
    /// When it is not there, or cannot be served.
    pub(super) async fn serve(&self) -> Result<Served, CliError> {
        match (&self.url, &self.database) {
            (Some(url), _) => Ok(Served {
                url: url.clone(),
                token: self.token.load()?,
                name: url.clone(),
                server: None,
                _folder: None,
            }),
            (None, Some(database)) => {
                let feed = self.feed_of(database).await?;
                let name = format!("feed {feed} of {}", without_password(database));
                served(database, &feed, name, None).await
            }
            (None, None) => {
                let folder = self.scratch.folder()?;
                let (path, store) = scratch::open(&folder).await?;
                scratch::fill(&store, &self.scratch, self.events).await?;
                store.close().await;
                let bytes = self.scratch.bytes;
                let name = format!(
                    "{} events of {bytes} bytes, on SQLite in {path}",
                    self.events
                );
                served(&path, scratch::FEED, name, Some(folder)).await
            }
        }
    }

    /// A feed that can be appended to: that of [`scratch::FEED`] in the database, or in one that is made.
    pub(super) async fn serve_to_write(&self) -> Result<Served, CliError> {
        if let Some(database) = &self.database {
            let store = Store::open_existing(database).await.map_err(failed)?;
            scratch::create_feed(&store).await?;
            store.close().await;
            let name = format!("feed {} of {}", scratch::FEED, without_password(database));
            return served(database, scratch::FEED, name, None).await;
        }
        let folder = self.scratch.folder()?;
        let (path, store) = scratch::open(&folder).await?;
        store.close().await;
        let name = format!(
            "events of {} bytes, on SQLite in {path}",
            self.scratch.bytes
        );
        served(&path, scratch::FEED, name, Some(folder)).await
    }

    /// Whether it is a service's, which nothing is written to.
    pub(super) fn is_a_services(&self) -> bool {
        self.url.is_some()
    }

    async fn feed_of(&self, database: &str) -> Result<String, CliError> {
        if let Some(feed) = &self.feed {
            return Ok(feed.clone());
        }
        let store = Store::open_existing(database).await.map_err(failed)?;
        let feeds = store.feeds().await;
        store.close().await;
        let mut names: Vec<String> = feeds
            .map_err(failed)?
            .iter()
            .map(ToString::to_string)
            .collect();
        match names.len() {
            1 => Ok(names.remove(0)),
            0 => Err(CliError::Usage("this database has no feed".into())),
            _ => Err(CliError::Usage(format!(
                "this database has several feeds; --feed names one of {}",
                names.join(", ")
            ))),
        }
    }
}

impl Served {
    /// A client of the feed.
    ///
    /// # Errors
    /// When the URL is none of a feed.
    pub(super) fn client(&self, options: ClientOptions) -> Result<FeedClient, CliError> {
        let options = ClientOptions {
            bearer_token: self.token.clone(),
            ..options
        };
        let client = FeedClient::new(&self.url, options);
        client.map_err(|error| CliError::Usage(error.to_string()))
    }
}

impl Server {
    /// Tells it a line.
    pub(super) async fn tell(&mut self, line: &str) -> Result<(), CliError> {
        let written = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(|error| CliError::Usage(format!("the server of this command: {error}")))
    }

    /// The next line that it says.
    pub(super) async fn line(&mut self) -> Result<String, CliError> {
        match self.stdout.next_line().await {
            Ok(Some(line)) => Ok(line),
            // It has said on stderr why it ended.
            Ok(None) => Err(CliError::Usage("the server of this command ended".into())),
            Err(error) => Err(CliError::Usage(format!(
                "the server of this command: {error}"
            ))),
        }
    }
}

/// Fetches a document; 304 is none.
///
/// # Errors
/// When the feed cannot be reached, says no, or answers with what cannot be read.
pub(super) async fn fetch(
    client: &FeedClient,
    url: &Url,
    wait: Option<Duration>,
) -> Result<Page, CliError> {
    let options = FetchOptions {
        wait,
        ..FetchOptions::default()
    };
    match client.fetch(url, options).await {
        Ok(Fetched::Page(page)) => Ok(*page),
        Ok(Fetched::NotModified) => Err(CliError::Refused(format!(
            "{url} answered 304 to a request without a tag"
        ))),
        Err(error @ ClientError::Connection { .. }) => Err(CliError::Usage(error.to_string())),
        Err(error) => Err(CliError::Refused(error.to_string())),
    }
}

async fn served(
    database: &str,
    feed: &str,
    name: String,
    folder: Option<TempDir>,
) -> Result<Served, CliError> {
    let not_started =
        |error: std::io::Error| CliError::Usage(format!("the server of this command: {error}"));
    let program = std::env::current_exe().map_err(not_started)?;
    let mut child = Command::new(program)
        .args(["bench", "serve", "--feed", feed])
        // Not among the arguments: all users of the machine could read the password.
        .env(DATABASE_VARIABLE, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    let (Some(stdin), Some(stdout), Some(pid)) =
        (child.stdin.take(), child.stdout.take(), child.id())
    else {
        return Err(CliError::Usage(
            "the server of this command has ended".into(),
        ));
    };
    let mut server = Server {
        pid,
        stdin,
        stdout: BufReader::new(stdout).lines(),
        _child: child,
    };
    let url = server.line().await?;
    Ok(Served {
        url,
        token: None,
        name,
        server: Some(server),
        _folder: folder,
    })
}
