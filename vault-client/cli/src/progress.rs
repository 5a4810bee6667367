//! How far it is: a bar, lines of JSON, or nothing.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use vault_client::progress::{NoProgress, Progress, ProgressListener};

use crate::args::ProgressMode;
use crate::language::{Words, say, words};
use crate::output;
use crate::show::{Noun, Size, counted};

/// Shows progress until it is dropped.
pub(crate) struct Showing {
    listener: Arc<dyn ProgressListener>,
    bar: Option<ProgressBar>,
}

impl Showing {
    /// `verb` is what happens to packs.
    pub(crate) fn start(
        mode: ProgressMode,
        quiet: bool,
        command: &'static str,
        verb: Words,
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
    verb: Words,
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

fn message(progress: &Progress, verb: Words) -> String {
    let mut message = String::new();
    if progress.files > 0 {
        message = counted(progress.files, Noun::File) + ", ";
    }
    message.push_str(&Size(progress.bytes).to_string());
    if progress.new_bytes > 0 {
        let new = Size(progress.new_bytes);
        message.push_str(&say!("; {new} new", " ; {new} de nouveau"));
    }
    if progress.transferred_bytes > 0 {
        let (size, verb) = (Size(progress.transferred_bytes), verb.shown());
        message.push_str(&say!("; {size} {verb}", " ; {size} {verb}"));
    }
    message
}

/// What happens to the packs of a backup,
pub(crate) const UPLOADED: Words = words("uploaded", "envoyés");
/// of a restore,
pub(crate) const DOWNLOADED: Words = words("downloaded", "reçus");
/// and of a check.
pub(crate) const READ: Words = words("read", "lus");

struct Lines {
    command: &'static str,
}

#[derive(Serialize)]
struct Line {
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
            command: self.command,
            files: progress.files,
            bytes: progress.bytes,
            new_bytes: progress.new_bytes,
            transferred_bytes: progress.transferred_bytes,
            total_files: progress.total_files,
            total_bytes: progress.total_bytes,
        };
        output::print_line("progress", &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_what_counts() {
        let _ = (spinner(), bar());
        let mut progress = Progress::default();
        assert_eq!(message(&progress, UPLOADED), "0 B");
        progress.files = 1_234;
        progress.bytes = 5_600_000;
        progress.new_bytes = 700_000;
        progress.transferred_bytes = 80_000;
        let shown = message(&progress, UPLOADED);
        assert_eq!(shown, "1,234 files, 5.6 MB; 700 kB new; 80 kB uploaded");
    }
}
