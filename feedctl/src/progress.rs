//! A bar on stderr for what takes long; nothing when that is no terminal.

use std::time::Duration;

use feed_core::moving::Progress;
use indicatif::{ProgressBar, ProgressStyle};

const ROWS: &str = "{msg:<20} {wide_bar} {pos}/{len} rows, {per_sec:.0}, {eta} left";
const STEPS: &str = "{msg:<20} {wide_bar} {pos}/{len}, {elapsed}";
const ENDLESS: &str = "{msg:<20} {spinner} {pos}, {per_sec:.0}, {elapsed}";
/// How often the time that has passed is shown anew.
const TICK: Duration = Duration::from_millis(200);

/// One bar at a time: that of the part that is at work on.
pub(crate) struct Bar {
    bar: ProgressBar,
    part: String,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Bar {
            bar: styled(ProgressBar::new(0), ROWS),
            part: String::new(),
        }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        if self.part != progress.part {
            progress.part.clone_into(&mut self.part);
            self.bar.reset();
            self.bar.set_message(self.part.clone());
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number of steps, each of which takes its time.
pub(crate) struct Steps(ProgressBar);

impl Steps {
    /// `total` is 0 where it is not known.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let template = if total == 0 { ENDLESS } else { STEPS };
        let bar = styled(ProgressBar::new(total), template).with_message(what);
        bar.enable_steady_tick(TICK);
        Steps(bar)
    }

    pub(crate) fn one_more(&self) {
        self.0.inc(1);
    }

    pub(crate) fn done_to(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
