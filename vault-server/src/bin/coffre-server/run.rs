//! `coffre-server run`.

use std::{ffi::OsStr, io::IsTerminal as _, process::ExitCode, str::FromStr, time::Duration};

use anyhow::Result;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::ParseError};
use vault_server::{Config, Renewal, Server, StartError, Tls, TlsError};

use crate::{RunOptions, exit};

/// Threads that may block on the disk at a time. Each costs memory only while
/// it is used; more would not make a disk faster.
const BLOCKING_THREADS: usize = 64;

/// What is open beside connections: the ledger's files, and packs that are read and
/// written.
const FILES_BESIDE: u64 = 512;

/// A filter that `tracing` understands.
#[derive(Debug, Clone)]
pub(crate) struct Filter(String);

impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        EnvFilter::try_new(text).map(|_| Self(text.to_owned()))
    }
}

pub(crate) fn run(options: RunOptions) -> ExitCode {
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each says what it comes from; with that behind it, all would be said twice.
            eprintln!("coffre-server: {error}");
            match error.downcast_ref() {
                Some(StartError::NotLoopback) => ExitCode::from(exit::USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Lets the process open as many files as it may: a connection is one, and few are
/// allowed at first for the sake of programs that use `select`. Says so when there are
/// fewer than a full server needs.
fn allow_open_files(config: &Config) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let connections = match config.tls {
        Tls::BehindProxy => config.accepting.connections_of_proxy,
        Tls::SelfSigned | Tls::Files { .. } => config.accepting.connections,
    };
    let wanted = connections as u64 + FILES_BESIDE;
    // None is no limit.
    if let Some(may) = getrlimit(Resource::Nofile)
        .current
        .filter(|may| *may < wanted)
    {
        eprintln!(
            "WARNING: this process may open {may} files, and takes up to {connections} \
             connections: when they run out, members wait. Allow {wanted} (LimitNOFILE of \
             systemd, or ulimit -Hn)."
        );
    }
}

/// Whether what is logged is coloured: for people, unless they want none (no-color.org).
fn is_coloured(on_a_terminal: bool, no_color: &OsStr) -> bool {
    on_a_terminal && no_color.is_empty()
}

fn serve(options: RunOptions) -> Result<()> {
    let Filter(filter) = &options.log;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured(
            std::io::stderr().is_terminal(),
            &options.no_color,
        ))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let served = runtime.block_on(async {
        // Before anything is announced: who reads DIR/address may send a signal.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let config = config(options);
        allow_open_files(&config);
        let server = Server::start(config).await?;
        eprintln!("listening on {}", server.address());
        eprintln!("hoster id {}", server.id());
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => say(&server.renew_certificate().await),
            }
        }
        eprintln!("stopping");
        server.stop().await;
        Ok(())
    });
    // The store is closed, unless something blocks that nobody waits for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// What a SIGHUP did, whatever the log leaves out.
fn say(renewal: &Result<Renewal, TlsError>) {
    match renewal {
        Ok(Renewal::Renewed) => eprintln!("certificate: renewed"),
        Ok(Renewal::Unchanged) => eprintln!("certificate: unchanged"),
        Ok(Renewal::NotFromFiles) => eprintln!("certificate: none that comes from a file"),
        Err(error) => eprintln!("certificate: NOT renewed, the old one stays in use: {error}"),
    }
}

fn config(options: RunOptions) -> Config {
    let tls = match (options.tls_cert, options.tls_key) {
        (Some(certificate), Some(key)) => Tls::Files { certificate, key },
        _ if options.insecure_behind_proxy => Tls::BehindProxy,
        _ => Tls::SelfSigned,
    };
    Config {
        public_addresses: options.public_address,
        tls,
        ..Config::new(options.data, options.listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_want_them() {
        assert!(is_coloured(true, "".as_ref()));
        assert!(!is_coloured(true, "1".as_ref()));
        assert!(!is_coloured(false, "".as_ref()));
    }
}
