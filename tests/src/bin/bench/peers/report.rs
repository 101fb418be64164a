//! What was measured, as tables, ratios, plots and JSON.

mod document;
mod figures;
mod goals;
mod losses;
mod machine;
mod plot;
mod tables;

pub(crate) use self::document::{Paths, write};
pub(crate) use self::figures::Figures;
