//! Events as CloudEvents 1.0 JSON: one event (structured mode) or many (batch format).
//!
//! Beside the attributes that CloudEvents defines, an event has `sequence` (its position, zero-padded so that it
//! is ordered as a text, as the Sequence extension asks), `epoch`, `check`, `recorded` and `version`. JSON data
//! is carried as the very text that the producer gave, so numbers and the order of members survive.

mod ours;
#[cfg(feature = "client")]
mod pieces;
mod read;
mod scalar;
mod scan;
mod write;

#[cfg(test)]
mod tests;

#[cfg(feature = "client")]
pub(crate) use pieces::Pieces;
pub use read::{read_batch, read_batch_shared, read_event};
#[cfg(all(feature = "server", feature = "store"))]
pub(crate) use write::Batch;
pub use write::{write_batch, write_event};

/// The version of CloudEvents that is written and read.
const SPEC_VERSION: &str = "1.0";

/// What errors call the format.
const FORMAT: &str = "JSON";
