//! Rates by name, over rounds; medians, spread and ratios.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What is measured, and the bare loop that it is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// One row a transaction, rusqlite alone.
    BareSingle,
    /// One event an acknowledgement, one writer.
    AppendOneWriter,
    /// One event an acknowledgement, 64 writers.
    AppendManyWriters,
    /// 1,000 rows a transaction, rusqlite alone.
    BareBatch,
    /// 100 events an acknowledgement, 16 writers.
    AppendHundreds,
    /// Rows of a handler in transactions of 100, rusqlite alone.
    BareRows,
    /// The same in transactions of 1,000.
    BareRowsThousands,
    /// A feed read over HTTP and verified; the server has all pages in memory.
    CatchUpRead,
    /// The same; the server reads and renders each page.
    CatchUpReadCold,
    /// A feed read over HTTP and verified, the data of each event deserialised into a struct.
    CatchUpDecoded,
    /// A feed read over HTTP, verified, and a row written for each event by a consumer.
    CatchUpRows,
}

impl Work {
    fn text(self) -> (&'static str, Option<Work>) {
        match self {
            Work::BareSingle => ("bare rusqlite, one row a transaction", None),
            Work::AppendOneWriter => ("append, 1 writer", Some(Work::BareSingle)),
            Work::AppendManyWriters => ("append, 64 writers", Some(Work::BareSingle)),
            Work::BareBatch => ("bare rusqlite, 1,000 rows a transaction", None),
            Work::AppendHundreds => ("append, 16 writers x 100 events", Some(Work::BareBatch)),
            Work::BareRows => ("bare rusqlite, a handler's rows, 100 a transaction", None),
            Work::BareRowsThousands => {
                ("bare rusqlite, a handler's rows, 1,000 a transaction", None)
            }
            Work::CatchUpRead => ("catch-up over HTTP, verified", Some(Work::BareRows)),
            Work::CatchUpReadCold => (
                "catch-up over HTTP, verified, no page in the server's memory",
                Some(Work::BareRows),
            ),
            Work::CatchUpDecoded => (
                "catch-up over HTTP, verified, data deserialised into a struct",
                Some(Work::BareRows),
            ),
            Work::CatchUpRows => ("catch-up over HTTP, a row per event", Some(Work::BareRows)),
        }
    }
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<Work, Vec<f64>>);

impl Report {
    pub(crate) fn add(&mut self, work: Work, count: u64, took: Duration) {
        self.0
            .entry(work)
            .or_default()
            .push(count as f64 / took.as_secs_f64());
    }

    fn median(&self, work: Work) -> Option<f64> {
        let mut rates = self.0.get(&work)?.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }

    /// A Markdown table.
    pub(crate) fn table(&self, event_bytes: usize) -> String {
        let mut table = format!(
            "Events of {event_bytes} bytes of data, per second, SQLite {}.\n\n",
            rusqlite::version()
        );
        table.push_str("| work | median | lowest to highest | ratio to the bare loop |\n| --- | ---: | ---: | ---: |\n");
        for (work, rates) in &self.0 {
            let (name, bare) = work.text();
            let median = self.median(*work).unwrap_or_default();
            let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = rates.iter().copied().fold(0.0, f64::max);
            let ratio = bare
                .and_then(|bare| self.median(bare))
                .map(|bare| format!("{:.2}", median / bare));
            let _ = writeln!(
                table,
                "| {name} | {median:.0} | {lowest:.0} to {highest:.0} | {} |",
                ratio.unwrap_or_default()
            );
        }
        table
    }
}
