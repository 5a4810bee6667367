//! How far it is: a bar, lines of JSON, or nothing.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use vault_client::progress::{NoProgress, Progress, ProgressListener};

use crate::args::ProgressMode;
use crate::show::{Count, Size};

/// Shows progress until it is dropped.
pub(crate) struct Showing {
    listener: Arc<dyn ProgressListener>,
    bar: Option<ProgressBar>,
}

impl Showing {
    /// `verb` is what is being done: "uploaded".
    pub(crate) fn start(
        mode: ProgressMode,
        quiet: bool,
        command: &'static str,
        verb: &'static str,
    ) -> Self {
        match mode {
            ProgressMode::Json => Self {
                listener: Arc::new(Lines { command }),
                bar: None,
            },
            ProgressMode::Auto if !quiet && std::io::stderr().is_terminal() => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(spinner());
                Self {
                    listener: Arc::new(Bar {
                        bar: bar.clone(),
                        verb,
                    }),
                    bar: Some(bar),
                }
            }
            _ => Self {
                listener: Arc::new(NoProgress),
                bar: None,
            },
        }
    }

    pub(crate) fn listener(&self) -> &Arc<dyn ProgressListener> {
        &self.listener
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed}  {msg}").expect("a template that is tested")
}

fn bar() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {percent:>3}%  {elapsed}  {msg}")
        .expect("a template that is tested")
}

struct Bar {
    bar: ProgressBar,
    verb: &'static str,
}

impl ProgressListener for Bar {
    fn progress(&self, progress: Progress) {
        if progress.total_bytes > 0 && self.bar.length().is_none() {
            self.bar.set_style(bar());
        }
        if progress.total_bytes > 0 {
            self.bar.set_length(progress.total_bytes);
            self.bar
                .set_position(progress.bytes.min(progress.total_bytes));
        }
        self.bar.set_message(message(&progress, self.verb));
        self.bar.tick();
    }
}

fn message(progress: &Progress, verb: &str) -> String {
    let mut message = String::new();
    if progress.files > 0 {
        message = format!("{} files, ", Count(progress.files));
    }
    message.push_str(&Size(progress.bytes).to_string());
    if progress.new_bytes > 0 {
        message.push_str(&format!("; {} new", Size(progress.new_bytes)));
    }
    if progress.transferred_bytes > 0 {
        message.push_str(&format!("; {} {verb}", Size(progress.transferred_bytes)));
    }
    message
}

struct Lines {
    command: &'static str,
}

#[derive(Serialize)]
struct Line {
    schema: &'static str,
    command: &'static str,
    files: u64,
    bytes: u64,
    new_bytes: u64,
    transferred_bytes: u64,
    total_files: u64,
    total_bytes: u64,
}

impl ProgressListener for Lines {
    fn progress(&self, progress: Progress) {
        let line = Line {
            schema: "coffre.progress/1",
            command: self.command,
            files: progress.files,
            bytes: progress.bytes,
            new_bytes: progress.new_bytes,
            transferred_bytes: progress.transferred_bytes,
            total_files: progress.total_files,
            total_bytes: progress.total_bytes,
        };
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            // In one piece, so that lines stay whole. Nobody may be listening.
            let _ = std::io::stderr().write_all(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_what_counts() {
        let _ = (spinner(), bar());
        let mut progress = Progress::default();
        assert_eq!(message(&progress, "uploaded"), "0 B");
        progress.files = 1_234;
        progress.bytes = 5_600_000;
        progress.new_bytes = 700_000;
        progress.transferred_bytes = 80_000;
        let shown = message(&progress, "uploaded");
        assert_eq!(shown, "1,234 files, 5.6 MB; 700 kB new; 80 kB uploaded");
    }
}
