//! Walking the roots: every directory after those in it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use vault_core::tree::MAX_DEPTH;

use super::directory::{Directory, Listing};
use super::exclude::Excludes;
use super::handle::{Access, lock};
use super::metadata::ReadMetadata;
use super::owners::OwnerNames;
use super::roots::{RootTree, Roots};
use super::stat::{NodeKind, Stat};
use super::{LeftOut, Reason};

/// How to walk.
#[derive(Debug, Clone)]
pub struct WalkOptions {
    /// What to leave out.
    pub excludes: Excludes,
    /// Whether to stay on the file system of each root. A directory that
    /// something is mounted on is saved empty.
    pub one_file_system: bool,
    /// Threads that list directories.
    pub threads: NonZeroUsize,
    /// Directories that may be ready before they are asked for.
    pub ahead: usize,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self {
            excludes: Excludes::default(),
            one_file_system: false,
            threads: NonZeroUsize::MIN.saturating_add(1),
            ahead: 64,
        }
    }
}

/// Names a directory within one walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitedId(u64);

/// What a directory's listing holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// All that is not excluded.
    Whole,
    /// Only the ways to the roots beneath.
    WaysToRoots,
    /// Nothing: another file system begins here.
    OtherFileSystem,
    /// Nothing: a file system begins here that holds no files of anybody's,
    /// and that is no root.
    PseudoFileSystem,
    /// Nothing: it could not be listed. The directory itself is to be saved.
    Unreadable,
    /// Nothing, and there is no directory to be saved: it vanished, something
    /// else took its place, or it is too deep.
    Gone,
}

/// A directory that was walked, after all the directories in it.
#[derive(Debug)]
pub struct Visited<T> {
    /// Its name within this walk.
    pub id: VisitedId,
    /// The directory that holds it, which comes later; `None` for `/`.
    pub parent: Option<VisitedId>,
    /// What it is.
    pub stat: Stat,
    /// What the listing holds.
    pub content: Content,
    /// Its entries. Each directory among them was given before, once.
    pub listing: Listing,
    /// What could not be looked at.
    pub left_out: Vec<LeftOut>,
    /// What the inspection made of it.
    pub inspected: T,
    place: Place,
}

/// Where a directory is: open, or a name in one that is.
#[derive(Debug, Clone)]
enum Place {
    Open(Directory),
    Closed(Directory, Box<[u8]>),
}

impl Place {
    fn name(&self) -> &[u8] {
        match self {
            Self::Open(directory) => directory.name(),
            Self::Closed(_, name) => name,
        }
    }

    fn path(&self) -> Vec<u8> {
        match self {
            Self::Open(directory) => directory.path(),
            Self::Closed(parent, name) => parent.path_of(name),
        }
    }
}

impl<T> Visited<T> {
    /// The directory, to read its entries; `None` if it could not be opened,
    /// and then there are none.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        match &self.place {
            Place::Open(directory) => Some(directory),
            Place::Closed(..) => None,
        }
    }

    /// Its name in the directory above; empty for `/`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.place.name()
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.place.path()
    }

    /// Its own metadata.
    #[must_use]
    pub fn metadata(&self, owners: &OwnerNames) -> ReadMetadata {
        match &self.place {
            Place::Open(directory) => directory.metadata(&self.stat, owners),
            Place::Closed(parent, name) => parent.entry_metadata(name, &self.stat, owners),
        }
    }
}

/// A directory that was just listed, for the inspection.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its absolute path.
    pub path: &'a [u8],
    /// What it is.
    pub stat: &'a Stat,
    /// What the listing holds.
    pub content: Content,
    /// Its entries.
    pub listing: &'a Listing,
}

/// A walk that is under way on threads of its own: an iterator over all
/// directories, each after those in it, `/` last.
///
/// Listings in memory are those of the directories between `/` and where the
/// threads are, and those that wait to be taken. Dropping it ends the walk.
#[derive(Debug)]
pub struct Walk<T> {
    visited: Option<Receiver<Visited<T>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Walk<T> {
    /// Begins to walk. `inspect` is called for each directory on the walk's
    /// threads as soon as it is listed, so that what it finds out (say, from a
    /// cache) is found in parallel too.
    ///
    /// # Errors
    /// If `/` cannot be opened, or a thread cannot be made.
    pub fn start(
        roots: &Roots,
        options: WalkOptions,
        inspect: impl Fn(&Listed<'_>) -> T + Send + Sync + 'static,
    ) -> Result<Self, Reason> {
        let (sender, visited) = sync_channel(options.ahead.max(1));
        let shared = Arc::new(Shared {
            inspect,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            options,
        });
        if let Some(root) = shared.begin(roots)? {
            // Room for one there is: nothing was sent yet.
            let _ = sender.send(root.visited);
            shared.end();
        }
        let mut walk = Self {
            visited: Some(visited),
            threads: Vec::new(),
        };
        for _ in 0..shared.options.threads.get() {
            let shared = Arc::clone(&shared);
            let sender = sender.clone();
            let thread = std::thread::Builder::new()
                .name("coffre-walk".to_owned())
                .spawn(move || shared.work(&sender))
                .map_err(|error| Reason::from(&error))?;
            walk.threads.push(thread);
        }
        Ok(walk)
    }
}

impl<T> Iterator for Walk<T> {
    type Item = Visited<T>;

    /// # Panics
    /// If the inspection panicked: a walk never ends early without saying so.
    fn next(&mut self) -> Option<Visited<T>> {
        if let Ok(visited) = self.visited.as_ref()?.recv() {
            return Some(visited);
        }
        self.visited = None;
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
        None
    }
}

impl<T> Drop for Walk<T> {
    fn drop(&mut self) {
        // Threads that have something to give notice that nobody takes it.
        self.visited = None;
        for thread in self.threads.drain(..) {
            // A panic there was reported there.
            let _ = thread.join();
        }
    }
}

/// What the threads of a walk share.
struct Shared<T, F> {
    options: WalkOptions,
    inspect: F,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    // Listed, with directories in them that are not finished yet.
    open: HashMap<VisitedId, Open<T>>,
    // Those of them with directories that nobody has begun, innermost last.
    unbegun: Vec<VisitedId>,
    next_id: u64,
    is_over: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            unbegun: Vec::new(),
            next_id: 0,
            is_over: false,
        }
    }
}

struct Open<T> {
    visited: Visited<T>,
    scope: Scope,
    // Places in the listing of the directories in it.
    below: Vec<u32>,
    begun: usize,
    finished: usize,
}

/// How much of a directory is wanted.
#[derive(Debug, Clone)]
struct Scope {
    is_whole: bool,
    // Roots beneath it.
    roots: Option<Arc<RootTree>>,
    // The device of the root that it belongs to.
    device: Option<u64>,
    depth: usize,
}

impl Scope {
    fn root_at(&self, name: &[u8]) -> Option<&Arc<RootTree>> {
        self.roots.as_ref()?.below.get(name)
    }
}

/// A directory to be listed.
struct Task {
    parent: Option<VisitedId>,
    place: Place,
    stat: Stat,
    scope: Scope,
    is_other_file_system: bool,
    is_mounted: bool,
}

/// Ends the walk for everyone when a thread goes, however it goes.
struct OverWhenDropped<'a, T, F>(&'a Shared<T, F>);

impl<T, F> Drop for OverWhenDropped<'_, T, F> {
    fn drop(&mut self) {
        lock(&self.0.state).is_over = true;
        self.0.changed.notify_all();
    }
}

impl<T, F: Fn(&Listed<'_>) -> T> Shared<T, F> {
    /// Lists `/`.
    fn begin(&self, roots: &Roots) -> Result<Option<Open<T>>, Reason> {
        let tree = roots.tree();
        let access = if tree.is_root {
            Access::List
        } else {
            Access::Pass
        };
        let directory = Directory::open_base(Path::new("/"), access)?;
        let stat = directory.stat_entry(b".")?;
        let task = Task {
            parent: None,
            place: Place::Open(directory),
            stat,
            scope: Scope {
                is_whole: tree.is_root,
                roots: Some(Arc::clone(tree)),
                device: tree.is_root.then_some(stat.id.dev),
                depth: 0,
            },
            is_other_file_system: false,
            is_mounted: false,
        };
        Ok(self.settle(self.visit(task)))
    }

    fn end(&self) {
        drop(OverWhenDropped(self));
    }

    fn work(&self, sender: &SyncSender<Visited<T>>) {
        let _over = OverWhenDropped(self);
        while let Some(task) = self.next_task() {
            let mut finished = self.settle(self.visit(task));
            while let Some(open) = finished {
                let parent = open.visited.parent;
                if sender.send(open.visited).is_err() {
                    return;
                }
                finished = match parent {
                    Some(parent) => self.finish_one(parent),
                    None => return,
                };
            }
        }
    }

    /// Waits for a directory to list; `None` when the walk is over.
    fn next_task(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            if state.is_over {
                return None;
            }
            if let Some(id) = state.unbegun.last().copied() {
                let open = state.open.get_mut(&id).expect("it has unbegun directories");
                let task = self.task(open);
                if open.begun == open.below.len() {
                    state.unbegun.pop();
                }
                return Some(task);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn task(&self, open: &mut Open<T>) -> Task {
        let index = open.below[open.begun] as usize;
        open.begun += 1;
        let entry = open.visited.listing.entry(index).expect("it is listed");
        let parent = open.visited.directory().expect("it was listed");
        let roots = open.scope.root_at(entry.name);
        let is_root = roots.is_some_and(|tree| tree.is_root);
        let belongs = open.scope.is_whole
            && (roots.is_none()
                || !self
                    .options
                    .excludes
                    .excludes(&parent.path_of(entry.name), true));
        let device = match open.scope.device {
            Some(device) if !is_root => device,
            _ => entry.stat.id.dev,
        };
        let is_foreign = self.options.one_file_system && device != entry.stat.id.dev;
        Task {
            parent: Some(open.visited.id),
            place: Place::Closed(parent.clone(), entry.name.into()),
            stat: entry.stat,
            scope: Scope {
                is_whole: is_root || (belongs && !is_foreign),
                roots: roots.filter(|tree| !tree.below.is_empty()).cloned(),
                device: Some(device),
                depth: open.scope.depth + 1,
            },
            is_other_file_system: is_foreign,
            is_mounted: !is_root && entry.stat.id.dev != open.visited.stat.id.dev,
        }
    }

    /// Lists a directory.
    fn visit(&self, task: Task) -> Open<T> {
        let mut visit = Visit::new(task);
        if let Err(reason) = visit.list(&self.options.excludes) {
            visit.content = match reason {
                Reason::Vanished | Reason::Replaced | Reason::TooDeep => Content::Gone,
                _ => Content::Unreadable,
            };
            let path = visit.place.path();
            visit.left_out.push(LeftOut { path, reason });
        }
        let path = visit.place.path();
        let inspected = (self.inspect)(&Listed {
            path: &path,
            stat: &visit.stat,
            content: visit.content,
            listing: &visit.listing,
        });
        let below = visit.directories();
        Open {
            visited: Visited {
                // Given when it is settled.
                id: VisitedId(0),
                parent: visit.parent,
                stat: visit.stat,
                content: visit.content,
                listing: visit.listing,
                left_out: visit.left_out,
                inspected,
                place: visit.place,
            },
            scope: visit.scope,
            below,
            begun: 0,
            finished: 0,
        }
    }

    /// Gives it back if it has no directories in it, else has them walked first.
    fn settle(&self, mut open: Open<T>) -> Option<Open<T>> {
        let mut state = lock(&self.state);
        let id = VisitedId(state.next_id);
        state.next_id += 1;
        open.visited.id = id;
        if open.below.is_empty() {
            return Some(open);
        }
        state.open.insert(id, open);
        state.unbegun.push(id);
        self.changed.notify_all();
        None
    }

    /// Counts a finished directory in `id`, and gives `id` if that was the last.
    fn finish_one(&self, id: VisitedId) -> Option<Open<T>> {
        let mut state = lock(&self.state);
        let open = state.open.get_mut(&id)?;
        open.finished += 1;
        if open.finished < open.below.len() {
            return None;
        }
        state.open.remove(&id)
    }
}

/// A directory while it is being listed.
struct Visit {
    parent: Option<VisitedId>,
    place: Place,
    stat: Stat,
    scope: Scope,
    content: Content,
    is_mounted: bool,
    listing: Listing,
    left_out: Vec<LeftOut>,
}

impl Visit {
    fn new(task: Task) -> Self {
        let content = match (task.scope.is_whole, &task.scope.roots) {
            (true, _) => Content::Whole,
            (false, None) if task.is_other_file_system => Content::OtherFileSystem,
            (false, _) => Content::WaysToRoots,
        };
        Self {
            parent: task.parent,
            place: task.place,
            stat: task.stat,
            scope: task.scope,
            content,
            is_mounted: task.is_mounted,
            listing: Listing::default(),
            left_out: Vec::new(),
        }
    }

    fn list(&mut self, excludes: &Excludes) -> Result<(), Reason> {
        if self.scope.depth >= MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        if self.content == Content::OtherFileSystem {
            return Ok(());
        }
        let access = if self.content == Content::Whole {
            Access::List
        } else {
            Access::Pass
        };
        if let Place::Closed(parent, name) = &self.place {
            let (directory, stat) = parent.child(name, access)?;
            self.place = Place::Open(directory);
            self.stat = stat;
        }
        let Place::Open(directory) = &self.place else {
            return Ok(());
        };
        let is_pseudo = self.is_mounted
            && self.content == Content::Whole
            && directory.is_pseudo_file_system()?;
        if is_pseudo {
            self.scope.is_whole = false;
            self.content = match self.scope.roots {
                Some(_) => Content::WaysToRoots,
                None => Content::PseudoFileSystem,
            };
        }
        if self.content == Content::PseudoFileSystem {
            return Ok(());
        }
        self.listing = match &self.scope.roots {
            Some(roots) if self.content == Content::WaysToRoots => {
                directory.list_only(roots.below.keys().map(|name| &**name))
            }
            _ if excludes.is_empty() => directory.list(|_, _| true)?,
            _ => list_wanted(directory, &self.scope, excludes)?,
        };
        for (name, reason) in self.listing.problems() {
            let path = if name.is_empty() {
                directory.path()
            } else {
                directory.path_of(name)
            };
            let reason = *reason;
            self.left_out.push(LeftOut { path, reason });
        }
        Ok(())
    }

    fn directories(&self) -> Vec<u32> {
        let entries = self.listing.iter().zip(0..);
        entries
            .filter(|(entry, _)| entry.stat.kind == NodeKind::Directory)
            .map(|(_, index)| index)
            .collect()
    }
}

fn list_wanted(
    directory: &Directory,
    scope: &Scope,
    excludes: &Excludes,
) -> Result<Listing, Reason> {
    let mut path = directory.path();
    if path != b"/" {
        path.push(b'/');
    }
    let length = path.len();
    directory.list(|name, is_directory| {
        path.truncate(length);
        path.extend_from_slice(name);
        scope.root_at(name).is_some() || !excludes.excludes(&path, is_directory)
    })
}

#[cfg(test)]
mod tests;
