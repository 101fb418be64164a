//! `feedctl migrate`: a service's whole database, taken over to the other kind of store.

use std::fmt::Write;
use std::time::Instant;

use feed_core::moving::{self, MoveError, Moved};

use crate::cli::CliError;
use crate::output;
use crate::progress::Bar;
use crate::text::counted;

const AFTER_HELP: &str = "\
Stop the service, all its instances, and let its own `migrate` make the tables of the new database. All that is in the old
one is copied then: the service's own tables, its feeds with every event's position, check and time, its subscriptions with
their cursors and what they keep, its timers. Start the service with the new database; whoever follows its feeds, and its own
consumers, go on as if nothing had happened. The old database stays as it is: put it away, since a service that is started on
it by mistake would tell another history.

Nobody can write to either database meanwhile. The copy is one transaction: when it is interrupted, the new database is as it
was before. It is refused when the new database has feeds, events or subscriptions, or rows in the service's tables that
are not in the old one too; when the two have different tables or columns; and while an instance holds a subscription.

Exit codes: 0 done; 1 one of the databases said no; 2 wrong usage, or a database cannot be used.

Examples:
  order-svc migrate --database postgres://order@127.0.0.1/order
  feedctl migrate --from sqlite:order.db --to postgres://order@127.0.0.1/order
  feedctl verify order.db postgres://order@127.0.0.1/order
      shows that both say the same";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The database that the service has used until now: sqlite:PATH or postgres://…
    #[arg(
        long,
        env = "FEEDCTL_FROM",
        value_name = "DATABASE",
        hide_env_values = true
    )]
    from: String,
    /// The one that it is to use, of the other kind, as the service's `migrate` has made it
    #[arg(
        long,
        env = "FEEDCTL_TO",
        value_name = "DATABASE",
        hide_env_values = true
    )]
    to: String,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let begun = Instant::now();
    let mut bar = Bar::new();
    let moved = moving::copy(&args.from, &args.to, &mut |progress| bar.show(progress)).await;
    drop(bar);
    output::print(told(&moved.map_err(failed)?, begun)).await
}

/// Why it was not done.
pub(super) fn failed(error: MoveError) -> CliError {
    if error.is_refusal() {
        CliError::Refused(error.to_string())
    } else {
        CliError::Usage(error.to_string())
    }
}

fn told(moved: &Moved, begun: Instant) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    for (table, rows) in &moved.tables {
        let _ = writeln!(text, "  {table:<20} {}", counted(*rows, "row"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rows: u64 = moved.events + moved.tables.iter().map(|(_, rows)| rows).sum::<u64>();
    let _ = writeln!(
        text,
        "  {:<20} {}",
        "events",
        counted(moved.events, "event")
    );
    let _ = writeln!(
        text,
        "done in {seconds:.1} s, {:.0} rows a second; start the service with the new database, and put the old one away",
        rows as f64 / seconds.max(0.001)
    );
    text
}
