//! Which symlinks of a link are made.

/// Whether following a symlink that stands `depth` directories below the target
/// can lead out of it.
///
/// It cannot where the target of the symlink begins with at most `depth` times
/// `..` and has no other: from a real directory upwards come real directories,
/// and what is below them is real, or a symlink of which the same holds.
pub(super) fn leads_out(target: &[u8], depth: usize) -> bool {
    if target.first() == Some(&b'/') {
        return true;
    }
    let mut components = target
        .split(|&byte| byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
        .peekable();
    let mut ups = 0;
    while components
        .next_if(|component| *component == b"..")
        .is_some()
    {
        ups += 1;
    }
    ups > depth || components.any(|component| component == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_inside_does() {
        for (target, depth) in [
            ("a", 0),
            ("a/b/c", 0),
            ("./a", 0),
            (".", 0),
            ("a//b", 0),
            ("..", 1),
            ("../a", 1),
            (".././../a", 2),
            ("..a/...", 0),
        ] {
            assert!(!leads_out(target.as_bytes(), depth), "{target}");
        }
        for (target, depth) in [
            ("/", 5),
            ("/etc/passwd", 5),
            ("//a", 5),
            ("..", 0),
            ("../a", 0),
            ("./..", 0),
            ("../..", 1),
            (".//../../a", 1),
            // Through another symlink, this could lead anywhere.
            ("a/..", 5),
            ("a/../..", 5),
            ("../a/..", 5),
        ] {
            assert!(leads_out(target.as_bytes(), depth), "{target}");
        }
    }
}
