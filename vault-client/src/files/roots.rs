//! What a backup was asked to save.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Why paths cannot be roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// Not even one path.
    #[error("no path to save")]
    None,
    /// A path that does not begin at `/`.
    #[error("not an absolute path: {}", .0.display())]
    NotAbsolute(PathBuf),
    /// The directory that holds it could not be found.
    #[error("{}: {source}", path.display())]
    Unreachable {
        /// The path as asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The absolute paths that a backup saves, ordered, each with what is beneath
/// it. The directories above them are saved too, but only themselves and the
/// ways to the roots.
#[derive(Debug, Clone)]
pub struct Roots {
    paths: Vec<Vec<u8>>,
    tree: Arc<RootTree>,
}

/// The roots by their components.
#[derive(Debug, Default)]
pub(super) struct RootTree {
    pub(super) is_root: bool,
    pub(super) below: BTreeMap<Box<[u8]>, Arc<RootTree>>,
}

impl Roots {
    /// Takes absolute paths as they are asked for. Symlinks on the way to a
    /// root are resolved; a root that is a symlink itself is saved as such.
    ///
    /// # Errors
    /// See [`RootsError`]. A root itself may be missing: the walk reports it.
    pub fn resolve<P: AsRef<Path>>(paths: &[P]) -> Result<Self, RootsError> {
        let mut resolved = Vec::new();
        for path in paths {
            resolved.push(resolve_parents(path.as_ref())?);
        }
        if resolved.is_empty() {
            return Err(RootsError::None);
        }
        resolved.sort_unstable();
        resolved.dedup();
        let mut tree = Building::default();
        for path in &resolved {
            let mut node = &mut tree;
            for name in path
                .split(|byte| *byte == b'/')
                .filter(|name| !name.is_empty())
            {
                node = node.below.entry(name.into()).or_default();
            }
            node.is_root = true;
        }
        Ok(Self {
            paths: resolved,
            tree: Arc::new(tree.finish()),
        })
    }

    /// The paths, ordered bytewise, each once.
    #[must_use]
    pub fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    pub(super) fn tree(&self) -> &Arc<RootTree> {
        &self.tree
    }
}

#[derive(Default)]
struct Building {
    is_root: bool,
    below: BTreeMap<Box<[u8]>, Building>,
}

impl Building {
    fn finish(self) -> RootTree {
        let below = self.below.into_iter();
        RootTree {
            is_root: self.is_root,
            below: below
                .map(|(name, node)| (name, Arc::new(node.finish())))
                .collect(),
        }
    }
}

fn resolve_parents(path: &Path) -> Result<Vec<u8>, RootsError> {
    if !path.is_absolute() {
        return Err(RootsError::NotAbsolute(path.to_owned()));
    }
    let unreachable = |source| RootsError::Unreachable {
        path: path.to_owned(),
        source,
    };
    // `a/..` depends on where the symlink `a` leads, so then all is resolved.
    // So is `link/`: the slash asks for what the link leads to.
    let ends_in_slash = path.as_os_str().as_bytes().ends_with(b"/");
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) if !ends_in_slash => Some(name),
        _ => None,
    };
    let resolved = match (name, path.parent()) {
        (Some(name), Some(parent)) => {
            let mut resolved = parent.canonicalize().map_err(unreachable)?;
            resolved.push(name);
            resolved
        }
        _ => path.canonicalize().map_err(unreachable)?,
    };
    Ok(resolved.into_os_string().into_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn are_ordered_and_each_there_once() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir(base.join("b")).unwrap();
        symlink("b", base.join("link")).unwrap();
        let paths = [
            base.join("b"),
            base.join("a"),
            base.join("./b/"),
            base.join("b/../a"),
            base.join("link/x"),
            base.join("link/../b"),
            base.join("link"),
            base.join("link/"),
        ];
        let roots = Roots::resolve(&paths).unwrap();
        let expected = ["a", "b", "b/x", "link"];
        let expected = expected.map(|path| base.join(path).into_os_string().into_vec());
        assert_eq!(roots.paths(), expected);
    }

    #[test]
    fn may_be_everything() {
        let roots = Roots::resolve(&["/", "/usr"]).unwrap();
        assert_eq!(roots.paths(), [b"/".to_vec(), b"/usr".to_vec()]);
        assert!(roots.tree().is_root);
    }

    #[test]
    fn are_refused_if_they_lead_nowhere() {
        let none: [&str; 0] = [];
        assert!(matches!(Roots::resolve(&none), Err(RootsError::None)));
        assert!(matches!(
            Roots::resolve(&["relative"]),
            Err(RootsError::NotAbsolute(_))
        ));
        assert!(matches!(
            Roots::resolve(&["/no such directory/x"]),
            Err(RootsError::Unreachable { .. })
        ));
    }
}
