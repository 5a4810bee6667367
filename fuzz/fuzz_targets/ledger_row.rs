#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| coffre_decoders::ledger_row(bytes));
