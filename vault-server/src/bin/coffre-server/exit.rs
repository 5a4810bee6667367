//! What the program's exit code says. Scripts rely on the numbers: they never change.

/// What was asked for makes no sense.
pub(crate) const USAGE: u8 = 2;
/// No server runs on the data directory.
pub(crate) const NOT_RUNNING: u8 = 4;

/// What `coffre-server --help` says about them.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  failed
    2  wrong arguments
    4  no server is running on the data directory";
