//! A bar on stderr for what takes long; nothing when that is no terminal.

use feed_core::moving::Progress;
use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{msg:<20} {wide_bar} {pos}/{len} rows, {per_sec:.0}, {eta} left";

/// One bar at a time: that of the part that is at work on.
pub(crate) struct Bar {
    bar: ProgressBar,
    part: String,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let bar = match ProgressStyle::with_template(TEMPLATE) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Bar {
            bar,
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
