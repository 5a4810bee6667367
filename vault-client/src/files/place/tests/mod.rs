//! Restoring into real directories.

mod faithful;
mod hostile;
mod interrupted;
mod overwrite;

use std::path::{Path, PathBuf};

use super::*;
use crate::files::compare::{Difference, compare_trees};
use crate::files::directory::Directory;
use crate::files::testing::*;
use crate::files::{LeftOut, Reason};

/// An empty directory with room for a source, a target and what lies outside.
fn base() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().canonicalize().unwrap();
    (base, path)
}

fn options(overwrite: Overwrite) -> PlaceOptions {
    PlaceOptions {
        overwrite,
        ..PlaceOptions::default()
    }
}

fn open(path: &Path, overwrite: Overwrite) -> Target {
    Target::open(path, options(overwrite)).unwrap()
}

/// Copies a directory's contents and metadata into a target.
fn copy_tree(from: &Path, to: &Path, options: PlaceOptions) -> (Vec<LeftOut>, Finished) {
    let target = Target::open(to, options).unwrap();
    let from = Directory::open(from).unwrap();
    let root = target.root();
    let left_out = copy(&from, &root);
    let stat = from.stat_entry(b".").unwrap();
    root.finish(&from.metadata(&stat, &Default::default()).metadata);
    (left_out, target.finish().unwrap())
}

fn compare(first: &Path, second: &Path) -> Vec<Difference> {
    compare_trees(first, second).unwrap()
}

fn out(path: &str, reason: Reason) -> LeftOut {
    LeftOut {
        path: path.as_bytes().to_vec(),
        reason,
    }
}
