//! Comparing two trees on this device, byte for byte: what was saved with what
//! was restored.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use vault_core::tree::Metadata;

use super::Reason;
use super::directory::{Directory, Entry};
use super::owners::OwnerNames;
use super::stat::{FileId, NodeKind, Stat};

/// Bytes of a file that are compared at a time.
const BLOCK: usize = 256 << 10;

/// Something that is not the same in both trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path beneath both trees' roots; those are `/`.
    pub path: Vec<u8>,
    /// What about it.
    pub aspect: Aspect,
}

/// What is not the same about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aspect {
    /// It is in the first tree alone.
    OnlyInFirst,
    /// It is in the second tree alone.
    OnlyInSecond,
    /// It is another kind of thing.
    Kind,
    /// A file's bytes, or how many there are.
    Contents,
    /// A symlink's target.
    SymlinkTarget,
    /// A device node's numbers.
    Device,
    /// Mode bits.
    Mode,
    /// Time of modification, to the nanosecond.
    Modified,
    /// User or group.
    Owner,
    /// Extended attributes.
    Attributes,
    /// Two names are one file in one tree, and two in the other.
    HardLinks,
    /// It could not be read in the first tree.
    UnreadableInFirst(Reason),
    /// It could not be read in the second tree.
    UnreadableInSecond(Reason),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path.escape_ascii(), self.aspect)
    }
}

/// Compares two directories with all that is in them, the directories
/// themselves included: contents and all metadata that a node has. Where holes
/// are does not count.
///
/// # Errors
/// Why one of the two directories could not be opened.
pub fn compare_trees(first: &Path, second: &Path) -> Result<Vec<Difference>, Reason> {
    let (first, second) = (Directory::open(first)?, Directory::open(second)?);
    let mut comparison = Comparison::default();
    let stats = (first.stat_entry(b".")?, second.stat_entry(b".")?);
    comparison.directory_metadata(&first, &second, (&stats.0, &stats.1));
    let mut pairs = vec![(first, second)];
    while let Some((first, second)) = pairs.pop() {
        comparison.directories(&first, &second, &mut pairs);
    }
    Ok(comparison.differences)
}

#[derive(Default)]
struct Comparison {
    differences: Vec<Difference>,
    owners: OwnerNames,
    // Which file of the other tree a file with several names corresponds to.
    to_second: HashMap<FileId, FileId>,
    to_first: HashMap<FileId, FileId>,
}

impl Comparison {
    fn differ(&mut self, path: Vec<u8>, aspect: Aspect) {
        self.differences.push(Difference { path, aspect });
    }

    fn directories(
        &mut self,
        first: &Directory,
        second: &Directory,
        below: &mut Vec<(Directory, Directory)>,
    ) {
        let lists = (first.list(|_, _| true), second.list(|_, _| true));
        let (ours, theirs) = match lists {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(reason), _) => {
                return self.differ(first.path(), Aspect::UnreadableInFirst(reason));
            }
            (_, Err(reason)) => {
                return self.differ(first.path(), Aspect::UnreadableInSecond(reason));
            }
        };
        for (_, reason) in ours.problems() {
            self.differ(first.path(), Aspect::UnreadableInFirst(*reason));
        }
        for (_, reason) in theirs.problems() {
            self.differ(first.path(), Aspect::UnreadableInSecond(*reason));
        }
        for entry in theirs
            .iter()
            .filter(|entry| ours.find(entry.name).is_none())
        {
            self.differ(first.path_of(entry.name), Aspect::OnlyInSecond);
        }
        for entry in ours.iter() {
            let path = first.path_of(entry.name);
            let Some(other) = theirs.find(entry.name).and_then(|at| theirs.entry(at)) else {
                self.differ(path, Aspect::OnlyInFirst);
                continue;
            };
            self.hard_links(&path, &entry.stat, &other.stat);
            if entry.stat.kind != other.stat.kind {
                self.differ(path, Aspect::Kind);
            } else if entry.stat.kind == NodeKind::Directory {
                match (first.open_child(entry.name), second.open_child(entry.name)) {
                    (Ok((ours, our_stat)), Ok((theirs, their_stat))) => {
                        self.directory_metadata(&ours, &theirs, (&our_stat, &their_stat));
                        below.push((ours, theirs));
                    }
                    (Err(reason), _) => self.differ(path, Aspect::UnreadableInFirst(reason)),
                    (_, Err(reason)) => self.differ(path, Aspect::UnreadableInSecond(reason)),
                }
            } else {
                self.entries(first, second, entry, &other.stat);
            }
        }
    }

    fn directory_metadata(&mut self, first: &Directory, second: &Directory, stats: (&Stat, &Stat)) {
        let ours = first.metadata(stats.0, &self.owners);
        let theirs = second.metadata(stats.1, &self.owners);
        let path = first.path();
        self.problems(&path, ours.problem, theirs.problem);
        self.metadata(&path, &ours.metadata, &theirs.metadata);
    }

    fn entries(&mut self, first: &Directory, second: &Directory, entry: Entry<'_>, other: &Stat) {
        let name = entry.name;
        let path = first.path_of(name);
        let ours = first.entry_metadata(name, &entry.stat, &self.owners);
        let theirs = second.entry_metadata(name, other, &self.owners);
        self.problems(&path, ours.problem, theirs.problem);
        self.metadata(&path, &ours.metadata, &theirs.metadata);
        if entry.stat.device != other.device {
            self.differ(path.clone(), Aspect::Device);
        }
        let aspect = match entry.stat.kind {
            NodeKind::Symlink => match (first.read_link(name), second.read_link(name)) {
                (Ok(ours), Ok(theirs)) if ours == theirs => None,
                (Ok(_), Ok(_)) => Some(Aspect::SymlinkTarget),
                (Err(reason), _) => Some(Aspect::UnreadableInFirst(reason)),
                (_, Err(reason)) => Some(Aspect::UnreadableInSecond(reason)),
            },
            NodeKind::File => contents(first, second, name).err(),
            _ => None,
        };
        if let Some(aspect) = aspect {
            self.differ(path, aspect);
        }
    }

    fn problems(&mut self, path: &[u8], ours: Option<Reason>, theirs: Option<Reason>) {
        if let Some(reason) = ours {
            self.differ(path.to_vec(), Aspect::UnreadableInFirst(reason));
        }
        if let Some(reason) = theirs {
            self.differ(path.to_vec(), Aspect::UnreadableInSecond(reason));
        }
    }

    fn metadata(&mut self, path: &[u8], ours: &Metadata, theirs: &Metadata) {
        let aspects = [
            (ours.mode == theirs.mode, Aspect::Mode),
            (ours.modified == theirs.modified, Aspect::Modified),
            (
                (ours.uid, ours.gid) == (theirs.uid, theirs.gid),
                Aspect::Owner,
            ),
            (ours.xattrs == theirs.xattrs, Aspect::Attributes),
        ];
        for (is_same, aspect) in aspects {
            if !is_same {
                self.differ(path.to_vec(), aspect);
            }
        }
    }

    /// A file with several names must be the same file under the same names.
    fn hard_links(&mut self, path: &[u8], ours: &Stat, theirs: &Stat) {
        let is_directory = ours.kind == NodeKind::Directory || theirs.kind == NodeKind::Directory;
        if is_directory || (ours.links == 1 && theirs.links == 1) {
            return;
        }
        let second = *self.to_second.entry(ours.id).or_insert(theirs.id);
        let first = *self.to_first.entry(theirs.id).or_insert(ours.id);
        if second != theirs.id || first != ours.id {
            self.differ(path.to_vec(), Aspect::HardLinks);
        }
    }
}

fn contents(first: &Directory, second: &Directory, name: &[u8]) -> Result<(), Aspect> {
    let ours = first.open_file(name).map_err(Aspect::UnreadableInFirst)?;
    let theirs = second.open_file(name).map_err(Aspect::UnreadableInSecond)?;
    if ours.stat().size != theirs.stat().size {
        return Err(Aspect::Contents);
    }
    let mut buffers = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut offset = 0;
    loop {
        let ours = ours
            .read_block(&mut buffers.0, offset)
            .map_err(Aspect::UnreadableInFirst)?;
        let theirs = theirs
            .read_block(&mut buffers.1, offset)
            .map_err(Aspect::UnreadableInSecond)?;
        if buffers.0[..ours] != buffers.1[..theirs] {
            return Err(Aspect::Contents);
        }
        if ours == 0 {
            return Ok(());
        }
        offset += ours as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use rustix::fs::{XattrFlags, setxattr};

    use super::*;
    use crate::files::testing::{is_root, make_fifo};

    /// Two trees that are the same.
    fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let trees = [base.path().join("first"), base.path().join("second")];
        for tree in &trees {
            fs::create_dir_all(tree.join("d/e")).unwrap();
            fs::write(tree.join("d/file"), vec![1; 600_000]).unwrap();
            fs::write(tree.join("d/one"), "linked").unwrap();
            fs::hard_link(tree.join("d/one"), tree.join("d/two")).unwrap();
            fs::write(tree.join("d/three"), "linked").unwrap();
            fs::hard_link(tree.join("d/three"), tree.join("d/four")).unwrap();
            symlink("file", tree.join("d/link")).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::new(7, 8);
            for path in ["d/file", "d/one", "d/three", "d/e", "d", "."] {
                File::open(tree.join(path))
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            }
            let times = crate::files::testing::metadata(0).modified;
            let times = rustix::fs::Timestamps {
                last_access: rustix::fs::Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                last_modification: rustix::fs::Timespec {
                    tv_sec: times.seconds(),
                    tv_nsec: 0,
                },
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, tree.join("d/link"), &times, flags).unwrap();
        }
        let [first, second] = trees;
        (base, first, second)
    }

    /// What is seen of a change in the second tree, times left aside.
    fn seen(change: impl FnOnce(&Path)) -> Vec<(String, Aspect)> {
        let (_guard, first, second) = trees();
        assert_eq!(compare_trees(&first, &second).unwrap(), []);
        change(&second);
        compare_trees(&first, &second)
            .unwrap()
            .into_iter()
            .filter(|difference| difference.aspect != Aspect::Modified)
            .map(|difference| {
                (
                    String::from_utf8(difference.path).unwrap(),
                    difference.aspect,
                )
            })
            .collect()
    }

    fn on(path: &str, aspect: Aspect) -> Vec<(String, Aspect)> {
        vec![(path.to_owned(), aspect)]
    }

    #[test]
    fn sees_what_is_missing_or_more_or_something_else() {
        let gone = seen(|tree| fs::remove_file(tree.join("d/file")).unwrap());
        assert_eq!(gone, on("/d/file", Aspect::OnlyInFirst));
        let new = seen(|tree| fs::create_dir(tree.join("d/new")).unwrap());
        assert_eq!(new, on("/d/new", Aspect::OnlyInSecond));
        let other = seen(|tree| {
            fs::remove_file(tree.join("d/file")).unwrap();
            make_fifo(&tree.join("d/file"));
        });
        assert_eq!(other, on("/d/file", Aspect::Kind));
    }

    #[test]
    fn sees_every_byte_of_contents() {
        for at in [0, 262_144, 599_999] {
            let changed = seen(|tree| {
                let mut contents = vec![1; 600_000];
                contents[at] = 2;
                fs::write(tree.join("d/file"), contents).unwrap();
            });
            assert_eq!(changed, on("/d/file", Aspect::Contents));
        }
        let longer = seen(|tree| fs::write(tree.join("d/file"), vec![1; 600_001]).unwrap());
        assert_eq!(longer, on("/d/file", Aspect::Contents));
        let target = seen(|tree| {
            fs::remove_file(tree.join("d/link")).unwrap();
            symlink("elsewhere", tree.join("d/link")).unwrap();
        });
        assert_eq!(target, on("/d/link", Aspect::SymlinkTarget));
    }

    #[test]
    fn sees_metadata() {
        for path in ["d/file", "d/e"] {
            let absolute = format!("/{path}");
            let mode = seen(|tree| {
                fs::set_permissions(tree.join(path), Permissions::from_mode(0o700)).unwrap();
            });
            assert_eq!(mode, on(&absolute, Aspect::Mode));
            let attributes = seen(|tree| {
                setxattr(tree.join(path), "user.x", b"1", XattrFlags::empty()).unwrap();
            });
            assert_eq!(attributes, on(&absolute, Aspect::Attributes));
            if is_root() {
                let owner = seen(|tree| lchown(tree.join(path), Some(5), None).unwrap());
                assert_eq!(owner, on(&absolute, Aspect::Owner));
            }
            let (_guard, first, second) = trees();
            let nanosecond = SystemTime::UNIX_EPOCH + Duration::new(7, 9);
            File::open(second.join(path))
                .unwrap()
                .set_modified(nanosecond)
                .unwrap();
            let seen = compare_trees(&first, &second).unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].aspect, Aspect::Modified);
        }
    }

    #[test]
    fn sees_which_names_are_one_file() {
        let apart = seen(|tree| {
            fs::remove_file(tree.join("d/two")).unwrap();
            fs::copy(tree.join("d/one"), tree.join("d/two")).unwrap();
        });
        assert_eq!(apart, on("/d/two", Aspect::HardLinks));
        let together = seen(|tree| {
            for name in ["d/three", "d/four"] {
                fs::remove_file(tree.join(name)).unwrap();
                fs::hard_link(tree.join("d/one"), tree.join(name)).unwrap();
            }
        });
        assert!(
            together
                .iter()
                .all(|(_, aspect)| *aspect == Aspect::HardLinks)
        );
        assert_eq!(together.len(), 2);
    }
}
