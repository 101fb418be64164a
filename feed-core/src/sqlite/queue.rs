//! The writer's queue: commands come from any task, and one thread takes them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::writer::Command;
use crate::limits::WRITE_SPIN_US_MAX;

/// Looks at the queue between two looks at the clock.
const LOOKS: u32 = 16;

/// The thread's end of the queue.
pub(super) struct Queue {
    receiver: mpsc::Receiver<Box<dyn Command>>,
    /// There is another processor that a command may come from while this one looks for it.
    may_spin: bool,
    /// The last command came soon after the thread was ready for it.
    is_busy: bool,
}

impl Queue {
    pub(super) fn new(receiver: mpsc::Receiver<Box<dyn Command>>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Queue {
            receiver,
            may_spin: processors > 1,
            is_busy: false,
        }
    }

    /// The next command, if there is one by now.
    pub(super) fn next(&mut self) -> Option<Box<dyn Command>> {
        self.receiver.try_recv().ok()
    }

    /// The next command. None when every sender is gone and the queue is empty.
    ///
    /// A writer who sends one command after the other sends the next one within microseconds of the answer; to sleep
    /// and be woken takes longer than that. So as long as they come so quickly they are looked for, a moment.
    pub(super) fn wait(&mut self) -> Option<Box<dyn Command>> {
        let began = Instant::now();
        let soon = Duration::from_micros(WRITE_SPIN_US_MAX);
        while self.may_spin && self.is_busy {
            for _ in 0..LOOKS {
                match self.receiver.try_recv() {
                    Ok(command) => return Some(command),
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                    Err(mpsc::error::TryRecvError::Empty) => std::hint::spin_loop(),
                }
            }
            self.is_busy = began.elapsed() < soon;
        }
        let command = self.receiver.blocking_recv();
        self.is_busy = began.elapsed() < 2 * soon;
        command
    }
}
