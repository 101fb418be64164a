#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feed_core::testing::fuzz::cursor(bytes));
