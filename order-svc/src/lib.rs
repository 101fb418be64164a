mod domain;
mod expiry;
mod reactions;
mod storage;
