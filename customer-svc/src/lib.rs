mod domain;
mod reactions;
mod storage;
