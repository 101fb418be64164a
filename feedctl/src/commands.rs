//! The commands: one file each, with its arguments and what it does.

pub(crate) mod bench;
pub(crate) mod conformance;
pub(crate) mod feed;
pub(crate) mod migrate;
pub(crate) mod sub;
pub(crate) mod tail;
pub(crate) mod verify;
