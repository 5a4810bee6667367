//! Getting what a link shows, without an account.
//!
//! ```text
//! begin: OpenLink ─▶ ticket ─▶ the capsule's pack, whose hash the URL names
//! open:  secret, password ─▶ Capsule, its maker's signature verified
//! save:  planner (directories, names of files) ─▶ batches of wanted chunks
//!        ─▶ fetchers (ReadLink) ─▶ writers (check, open, write) ─▶ target
//! ```
//!
//! A link comes from somebody else: nothing in it gives owners, privileges or
//! special files, nothing is written outside of the target, and no symlink is
//! made that leads out of it.

mod batch;
mod room;
mod symlink;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vault_core::links::{Capsule, LinkUrl, OpenLinkError, SharedNode, Totals};
use vault_core::pack::MAX_PACK_LEN;
use vault_core::timestamp::Timestamp;
use vault_proto::ids::{AccountId, DeviceId};

use self::write::Run;
use super::{GetError, Password};
use crate::files::{LeftOut, Overwrite, Ownership, PlaceOptions, Target};
use crate::progress::{Cancellation, Meter, ProgressListener, count, reporting};
use crate::remote::{
    Connect, HosterAddress, LinkTicket, PackRange, RefusalReason, RemoteError, Traffic, Visitor,
};

/// How often a read is begun anew, with the same ticket, when the line broke and
/// nothing has come since.
const ATTEMPTS: u32 = 5;

/// How to save what a link shows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GetOptions {
    /// What to do where something stands already.
    pub overwrite: Overwrite,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            overwrite: Overwrite::Never,
        }
    }
}

/// What came of a link.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GetReport {
    /// Files written.
    pub files: u64,
    /// Their bytes, holes left out.
    pub bytes: u64,
    /// Directories made or entered.
    pub directories: u64,
    /// Symlinks made.
    pub symlinks: u64,
    /// Files and symlinks that stood there and stayed.
    pub kept: u64,
    /// What was not saved, or not as the link shows it.
    pub left_out: Vec<LeftOut>,
    /// How many of those are the hoster's doing: chunks that it does not have,
    /// or that are not what the link names.
    pub lost_by_hoster: u64,
    /// What passed over the network.
    pub traffic: Traffic,
    /// How long it took.
    pub elapsed: Duration,
}

/// A link that the hoster serves, with its capsule, which is sealed. It counts as a
/// download when the first bytes of files are asked for.
pub struct LinkDownload {
    url: LinkUrl,
    visitor: Arc<dyn Visitor>,
    ticket: LinkTicket,
    sealed: Vec<u8>,
}

/// A link that is open: what it shows, and not yet the bytes of files.
pub struct LinkContents {
    capsule: Capsule,
    visitor: Arc<dyn Visitor>,
    ticket: LinkTicket,
}

/// Gets what a link shows, and saves it in `target`: the content of a directory
/// directly, a file by its name.
///
/// # Errors
/// See [`GetError`]. What could not be saved while the rest could is no error:
/// it is in [`GetReport::left_out`].
pub fn get(
    connect: &dyn Connect,
    url: &LinkUrl,
    password: Option<&Password>,
    target: &Path,
    options: &GetOptions,
    listener: &Arc<dyn ProgressListener>,
    cancellation: &Cancellation,
) -> Result<GetReport, GetError> {
    // What is known to fail is not asked for.
    match (url.password, password) {
        (Some(_), None) => return Err(OpenLinkError::PasswordNeeded.into()),
        (None, Some(_)) => return Err(OpenLinkError::NoPassword.into()),
        _ => {}
    }
    LinkDownload::begin(connect, url, cancellation)?
        .open(password)?
        .save(target, options, listener, cancellation)
}

impl LinkDownload {
    /// Asks the hoster for a link, and fetches its capsule.
    ///
    /// # Errors
    /// See [`GetError`]: [`GetError::Over`] if the hoster serves it no more.
    pub fn begin(
        connect: &dyn Connect,
        url: &LinkUrl,
        cancellation: &Cancellation,
    ) -> Result<Self, GetError> {
        let visitor = connect.visit(HosterAddress {
            origin: url.origin.clone(),
            hoster: url.hoster,
            tls: url.tls,
        });
        let opened = visitor.open_link(&url.id())?;
        let size = opened.capsule_size;
        if opened.capsule != url.capsule || size as usize > MAX_PACK_LEN {
            return Err(OpenLinkError::NotThisCapsule.into());
        }
        let whole = PackRange {
            pack: opened.capsule,
            offset: 0,
            length: size,
        };
        let sealed = read_whole(&*visitor, &opened.ticket, whole, cancellation)?;
        Ok(Self {
            url: url.clone(),
            visitor,
            ticket: opened.ticket,
            sealed,
        })
    }

    /// Whether a password is needed.
    #[must_use]
    pub fn needs_password(&self) -> bool {
        self.url.password.is_some()
    }

    /// Opens the capsule. After a wrong password another may be tried; no download is
    /// counted before the right one.
    ///
    /// # Errors
    /// [`GetError::Open`].
    pub fn open(&self, password: Option<&Password>) -> Result<LinkContents, GetError> {
        let password = password.map(Password::as_bytes);
        Ok(LinkContents {
            capsule: self.url.open(&self.sealed, password)?,
            visitor: self.visitor.clone(),
            ticket: self.ticket.clone(),
        })
    }
}

impl LinkContents {
    /// How much it shows.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.capsule.fields().totals()
    }

    /// The file or directory that it shows.
    #[must_use]
    pub fn root(&self) -> &SharedNode {
        self.capsule.root()
    }

    /// All that it shows, a directory before what is in it.
    #[must_use]
    pub fn nodes(&self) -> &[SharedNode] {
        &self.capsule.fields().nodes
    }

    /// Who is said to have made it: an account, and a device whose signature was
    /// verified. That the device is one of the account's, only its log says.
    #[must_use]
    pub fn maker(&self) -> (AccountId, DeviceId) {
        (self.capsule.fields().account, self.capsule.device().id())
    }

    /// When it was made, by its maker's clock.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.capsule.fields().created
    }

    /// Fetches the files and saves all of it in `target`, as [`get`] does. The first bytes
    /// that are asked for count as a download.
    ///
    /// # Errors
    /// See [`GetError`]: [`GetError::Over`] if others have used the link up meanwhile.
    pub fn save(
        &self,
        target: &Path,
        options: &GetOptions,
        listener: &Arc<dyn ProgressListener>,
        cancellation: &Cancellation,
    ) -> Result<GetReport, GetError> {
        let begun = Instant::now();
        let place = PlaceOptions {
            overwrite: options.overwrite,
            ownership: Ownership::Discard,
            owners_by_name: false,
            keep_privileges: false,
            special_files: false,
            ..PlaceOptions::default()
        };
        let fields = self.capsule.fields();
        let meter = Meter::default();
        let totals = fields.totals();
        count(&meter.total_files, totals.files);
        count(&meter.total_bytes, totals.bytes);
        let saved = reporting(&meter, listener, || {
            let target_directory = Target::open(target, place)?;
            if let Err(error) = room::ask(fields, &target_directory, target) {
                // Nothing was begun; see `restore`.
                if !target_directory.was_interrupted() {
                    target_directory.finish()?;
                }
                return Err(error);
            }
            let run = Run::new(fields, &*self.visitor, &self.ticket, &meter, cancellation);
            let mut report = run.write(&target_directory)?;
            let finished = target_directory.finish()?;
            report.left_out.extend(finished.left_out);
            Ok::<_, GetError>(report)
        });
        let mut report = saved?;
        report.traffic = self.visitor.traffic();
        report.elapsed = begun.elapsed();
        Ok(report)
    }
}

/// Reads one range into memory, and begins anew when the line breaks.
fn read_whole(
    visitor: &dyn Visitor,
    ticket: &LinkTicket,
    range: PackRange,
    cancellation: &Cancellation,
) -> Result<Vec<u8>, GetError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut bytes = Vec::with_capacity(range.length as usize);
        let read = visitor.read_link(ticket, &[range], &mut |part| {
            bytes.extend_from_slice(&part);
            go_on(cancellation)
        });
        match read {
            Ok(()) => return Ok(bytes),
            Err(error) if error.is_transient() && attempt < ATTEMPTS => {}
            Err(error) if is_of_what_was_asked(&error) => {
                return Err(OpenLinkError::NotThisCapsule.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a failure is of the bytes that were asked for, and not of the line, of
/// the link or of this device. A hoster that finds a range senseless which lies
/// inside the pack has another pack under that name.
fn is_of_what_was_asked(error: &RemoteError) -> bool {
    match error {
        RemoteError::Misbehaved(_) => true,
        RemoteError::Refused(refusal) => refusal.reason == RefusalReason::Malformed,
        _ => false,
    }
}

fn go_on(cancellation: &Cancellation) -> std::ops::ControlFlow<()> {
    match cancellation.is_cancelled() {
        true => std::ops::ControlFlow::Break(()),
        false => std::ops::ControlFlow::Continue(()),
    }
}
