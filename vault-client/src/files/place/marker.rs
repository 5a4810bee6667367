//! The file that says that a restore is under way, and what to do about one
//! that was interrupted.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, fsync, ftruncate, openat, unlinkat,
};
use rustix::io::{Errno, pread, pwrite};
use rustix::process::geteuid;
use vault_core::timestamp::Timestamp;

use super::UNFINISHED_FILE;
use crate::files::Reason;
use crate::files::directory::{Directory, Listing};
use crate::files::stat::{NodeKind, Stat};

/// The marker's name in the target.
pub(super) const MARKER: &[u8] = b".coffre-restore";

/// What it says at its end if the restore made the target.
const MADE: &[u8] = b"made\n";

const PART_PREFIX: &[u8] = b".coffre-";
const PART_SUFFIX: &[u8] = b".part";

/// The temporary name with a number.
pub(super) fn part_name(number: u32) -> Vec<u8> {
    let digits = format!("{number:08x}").into_bytes();
    [PART_PREFIX, &digits, PART_SUFFIX].concat()
}

/// Whether this is a temporary name.
pub(super) fn is_part_name(name: &[u8]) -> bool {
    name.strip_prefix(PART_PREFIX)
        .and_then(|rest| rest.strip_suffix(PART_SUFFIX))
        .is_some_and(|digits| digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// The marker of the restore that is under way: locked for as long as this
/// lives, so that a killed process leaves it unlocked.
#[derive(Debug)]
pub(super) struct Marker {
    _locked: OwnedFd,
    /// When the earliest restore that did not finish began; `None` if none
    /// was interrupted.
    pub(super) interrupted: Option<Interrupted>,
}

/// A restore that did not finish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interrupted {
    /// When it began, by the clock of the target's file system.
    pub(super) since: Timestamp,
    /// Whether it made the target's directory itself.
    pub(super) made_target: bool,
    /// Whether the machine was started since, so that what seems finished may
    /// never have reached the disk.
    pub(super) lost_memory: bool,
}

impl Marker {
    /// Sets the marker in a directory, which this restore made or not; `None`
    /// if another restore is under way.
    pub(super) fn set(target: impl AsFd, made_target: bool) -> Result<Option<Self>, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = target.as_fd();
        loop {
            // Not waiting, should it be a FIFO.
            let flags = flags | OFlags::NONBLOCK;
            let fd = openat(target, MARKER, flags, Mode::from_raw_mode(0o600))?;
            match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(errno),
            }
            let stat = fstat(&fd)?;
            if stat.st_nlink == 0 {
                // The restore that held it has just finished.
                continue;
            }
            let interrupted = read_interrupted(&fd, &Stat::from(&stat))?;
            if interrupted.is_none() {
                ftruncate(&fd, 0)?;
                let made = if made_target { MADE } else { b"" };
                pwrite(&fd, &[&boot_id(), made].concat(), 0)?;
                fsync(&fd)?;
                fsync(target)?;
            }
            return Ok(Some(Self {
                _locked: fd,
                interrupted,
            }));
        }
    }

    /// Takes the marker away.
    pub(super) fn clear(self, target: impl AsFd) -> Result<(), Errno> {
        unlinkat(target, MARKER, AtFlags::empty())
    }
}

/// What an earlier marker says. An empty one was only just made, by a restore
/// that had not begun.
fn read_interrupted(fd: &OwnedFd, stat: &Stat) -> Result<Option<Interrupted>, Errno> {
    if stat.kind != NodeKind::File {
        return Err(Errno::EXIST);
    }
    let mut text = [0; 64];
    let length = pread(fd, &mut text, 0)?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some(Interrupted {
        since: stat.modified,
        made_target: text[..length].ends_with(MADE),
        lost_memory: !text[..length].starts_with(&boot_id()),
    }))
}

/// A line that is another one after each start of the machine, where the
/// system tells.
fn boot_id() -> Vec<u8> {
    let mut id = vec![0; 36];
    let file = openat(
        CWD,
        "/proc/sys/kernel/random/boot_id",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let length = file.and_then(|file| pread(file, &mut id, 0)).unwrap_or(0);
    id.truncate(length);
    // Without one, any interruption counts as a loss of memory.
    if id.is_empty() {
        return b"unknown boot\n".to_vec();
    }
    id.push(b'\n');
    id
}

/// Removes what is unfinished everywhere in the target: files of this user
/// with the mode or the name of an unfinished one. Stays on the target's file
/// system and follows no symlink. Gives the number of names removed.
pub(super) fn sweep(target: &Directory) -> Result<u64, Reason> {
    let mut removed = 0;
    // The directories on the way down, each with the place in its listing.
    let mut open: Vec<(Directory, Listing, usize)> = Vec::new();
    let listing = target.list(|_, _| true)?;
    removed += sweep_directory(target, &listing);
    open.push((target.clone(), listing, 0));
    while let Some((directory, listing, at)) = open.last_mut() {
        let Some(entry) = listing.entry(*at) else {
            open.pop();
            continue;
        };
        *at += 1;
        if entry.stat.kind != NodeKind::Directory || entry.stat.id.dev != target.id().dev {
            continue;
        }
        // What cannot be opened now could not be written to before.
        let Ok((child, _)) = directory.open_child(entry.name) else {
            continue;
        };
        let Ok(listing) = child.list(|_, _| true) else {
            continue;
        };
        removed += sweep_directory(&child, &listing);
        open.push((child, listing, 0));
    }
    Ok(removed)
}

fn sweep_directory(directory: &Directory, listing: &Listing) -> u64 {
    let own = geteuid().as_raw();
    let unfinished = listing.iter().filter(|entry| {
        let is_file = matches!(entry.stat.kind, NodeKind::File | NodeKind::Symlink);
        let is_ours = entry.stat.uid == own || is_part_name(entry.name);
        let is_unfinished = entry.stat.kind == NodeKind::File && entry.stat.mode == UNFINISHED_FILE
            || is_part_name(entry.name);
        is_file && is_ours && is_unfinished
    });
    let mut removed = 0;
    for entry in unfinished {
        let result = directory
            .0
            .fd()
            .and_then(|fd| unlinkat(&*fd, entry.name, AtFlags::empty()));
        removed += u64::from(result.is_ok());
    }
    removed
}
