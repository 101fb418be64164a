//! How far it is.

/// How far a part of the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is at work on: a table, or `events`.
    pub part: &'a str,
    /// Rows of it that are done.
    pub done: u64,
    /// Rows of it in all.
    pub total: u64,
}

/// Who is told, after every few thousand rows.
pub type Told<'a> = dyn FnMut(Progress<'_>) + Send + 'a;

/// Counts the rows of a part.
pub(super) struct Counter<'a, 'b> {
    part: &'a str,
    done: u64,
    total: u64,
    told: &'a mut Told<'b>,
}

impl<'a, 'b> Counter<'a, 'b> {
    pub(super) fn begin(part: &'a str, total: u64, told: &'a mut Told<'b>) -> Self {
        let mut counter = Counter {
            part,
            done: 0,
            total,
            told,
        };
        counter.add(0);
        counter
    }

    pub(super) fn add(&mut self, rows: usize) {
        self.done += rows as u64;
        (self.told)(Progress {
            part: self.part,
            done: self.done,
            // What came to be meanwhile is counted too.
            total: self.total.max(self.done),
        });
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }
}
