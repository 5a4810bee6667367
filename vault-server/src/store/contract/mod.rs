//! What every adapter must do: one suite a port, run by each adapter.

mod blobs;
mod ledger;
mod packs;

/// A test of each function of a suite, over the `port()` of what `$make` makes.
macro_rules! contract {
    ($adapter:ident, $make:expr, $suite:path { $($test:ident),* $(,)? }) => {
        mod $adapter {
            $(
                #[test]
                fn $test() {
                    use $suite as suite;
                    suite::$test($make.port());
                }
            )*
        }
    };
}
pub(super) use contract;
