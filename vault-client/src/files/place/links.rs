//! Hard links: the first name of a file is written, the others follow once it
//! is done.

use std::collections::HashMap;
use std::sync::Mutex;

use rustix::fs::{AtFlags, linkat};
use rustix::io::Errno;
use vault_core::tree::NodeName;

use super::directory::TargetDirectory;
use crate::files::Reason;
use crate::files::directory::Directory;
use crate::files::handle::lock;
use crate::files::stat::FileId;

/// What nodes of one file have in common.
pub(super) type Group = [u8; 16];

/// The files with several names, as far as this restore came to them.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<Group, State>>);

#[derive(Debug)]
enum State {
    /// The first name is being written; these wait for it.
    Pending(Vec<Name>),
    /// It stands there.
    Done(First, FileId),
}

/// A name that stands there. It does not keep the directory unfinished, as
/// [`TargetDirectory`] would.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub(super) directory: Directory,
    pub(super) name: NodeName,
}

/// A name that is to be linked.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) directory: TargetDirectory,
    pub(super) name: NodeName,
}

/// What to do with a name of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Write the file: no other name of it is there.
    First,
    /// Nothing: it is linked already, or will be.
    Linked,
}

impl Links {
    /// Links a name to the file of its group, or has it wait for that, or says
    /// that it is the first.
    pub(super) fn join(&self, group: &Group, name: Name) -> Result<Turn, Reason> {
        let mut groups = lock(&self.0);
        match groups.get_mut(group) {
            None => Ok(Turn::First),
            Some(State::Pending(waiting)) => {
                waiting.push(name);
                Ok(Turn::Linked)
            }
            Some(State::Done(first, id)) => {
                let (first, id) = (first.clone(), *id);
                drop(groups);
                link(&first, id, &name)?;
                Ok(Turn::Linked)
            }
        }
    }

    /// Says that the first name is being written.
    pub(super) fn begin(&self, group: Group) {
        lock(&self.0).insert(group, State::Pending(Vec::new()));
    }

    /// Says that the first name stands there, and links those that waited.
    pub(super) fn done(&self, group: &Group, first: First, id: FileId) {
        let before = lock(&self.0).insert(*group, State::Done(first.clone(), id));
        for name in waiting(before) {
            if let Err(reason) = link(&first, id, &name) {
                name.directory.leave_out(&name.name, reason);
            }
        }
    }

    /// Says that the first name was not written after all; what waited for it
    /// is left out. The next to come is the first.
    pub(super) fn failed(&self, group: &Group) {
        let before = lock(&self.0).remove(group);
        for name in waiting(before) {
            name.directory
                .leave_out(&name.name, Reason::LinkNotRestored);
        }
    }

    /// Lets go of all directories.
    pub(super) fn clear(&self) {
        let groups = std::mem::take(&mut *lock(&self.0));
        for group in groups.into_values() {
            for name in waiting(Some(group)) {
                name.directory
                    .leave_out(&name.name, Reason::LinkNotRestored);
            }
        }
    }
}

fn waiting(state: Option<State>) -> Vec<Name> {
    match state {
        Some(State::Pending(names)) => names,
        _ => Vec::new(),
    }
}

fn link(first: &First, id: FileId, name: &Name) -> Result<(), Reason> {
    let from = first.directory.0.fd()?;
    let to = name.directory.fd()?;
    let make = |to_name: &[u8]| {
        linkat(
            &*from,
            first.name.as_bytes(),
            &*to,
            to_name,
            AtFlags::empty(),
        )
    };
    match make(name.name.as_bytes()) {
        Err(Errno::EXIST) => name.directory.replace(&name.name, id, make)?,
        other => other?,
    }
    // Somebody may have put another file in the place of the first.
    if name.directory.stat_entry(&name.name)?.id != id {
        return Err(Reason::Replaced);
    }
    Ok(())
}
