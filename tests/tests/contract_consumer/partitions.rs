//! Subscriptions that are split into partitions (invariants I7 to I11, I13).

mod changing;
mod model;
mod once;
mod operating;
mod scene;
mod sharing;
mod together;
mod upgrading;
