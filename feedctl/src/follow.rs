//! Following a feed: where to begin, what comes next, and where to go on after a restart.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `place` | the places that a reader can begin at |
//! | `follower` | fetching document by document, and verifying |
//! | `resume` | the file that keeps the cursor |
//! | `print` | events as text, JSON and JSON lines |

mod follower;
mod place;
mod print;
mod resume;

pub(crate) use follower::{Follower, StepError, Stepped};
pub(crate) use place::Place;
pub(crate) use print::{Format, Printer};
pub(crate) use resume::ResumeFile;
