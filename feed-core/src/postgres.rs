//! The store for many instances on one database.
