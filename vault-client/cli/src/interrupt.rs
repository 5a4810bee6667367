//! Ctrl-C: once to stop in good order, twice to stop at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::remote::Remote;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::say;
use crate::message::both;
use crate::output::Output;

/// Whether one has come since somebody listens.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C has been pressed, for what waits for somebody at the keyboard; where
/// nobody listens for it, it ends the process anyway.
pub(crate) fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::Relaxed)
}

/// From now on the first Ctrl-C (or SIGTERM, or SIGHUP) cancels, and ends calls
/// to the hoster that are under way; the second ends the process.
///
/// Call it once.
pub(crate) fn cancellation(
    remote: Arc<dyn Remote>,
    output: &Output,
) -> Result<Cancellation, Failure> {
    listen(output, move || remote.interrupt())
}

/// Likewise, for what turns from one hoster to another: the calls to the one that it is
/// at are ended.
pub(crate) fn cancellation_of(
    current: Arc<Mutex<Arc<dyn Remote>>>,
    output: &Output,
) -> Result<Cancellation, Failure> {
    listen(output, move || {
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        current.interrupt();
    })
}

/// Likewise, for what waits for nobody long: no call is ended.
pub(crate) fn visiting(output: &Output) -> Result<Cancellation, Failure> {
    listen(output, || {})
}

fn listen(output: &Output, interrupt: impl Fn() + Send + 'static) -> Result<Cancellation, Failure> {
    let output = output.clone();
    let cancellation = Cancellation::new();
    let cancelled = cancellation.clone();
    let handler = move || {
        if IS_INTERRUPTED.swap(true, Ordering::Relaxed) {
            end();
        }
        output.warn(&say!(
            "stopping; once more to stop at once",
            "arrêt en cours ; encore une fois pour arrêter tout de suite"
        ));
        cancelled.cancel();
        interrupt();
    };
    ctrlc::set_handler(handler).map_err(|error| {
        Failure::new(
            ErrorCode::LocalState,
            both!(
                "cannot listen for Ctrl-C: {error}",
                "impossible de guetter Ctrl-C : {error}";
                error
            ),
        )
    })?;
    Ok(cancellation)
}

#[expect(clippy::disallowed_methods, reason = "the member wants it to end, now")]
fn end() -> ! {
    std::process::exit(Exit::Cancelled.number().into())
}
