//! Patterns of what a backup is not to save.

use std::sync::Arc;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern that cannot be understood.
#[derive(Debug, Clone, thiserror::Error)]
#[error("pattern {pattern:?}: {reason}")]
pub struct ExcludeError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Patterns much like those of `.gitignore`:
///
/// - `*.o` matches a name anywhere;
/// - `/home/me/tmp` or `/home/*/tmp` matches a full path;
/// - `build/out` matches the end of a path;
/// - `**` stands for any number of directories, `*` for none beyond its own;
/// - a slash at the end asks for a directory;
/// - `!` in front takes back what a pattern before it excluded, unless it lies
///   in a directory that is excluded;
/// - in a file, empty lines and lines that begin with `#` say nothing.
///
/// The last pattern that matches decides. What is asked for by name, a root,
/// is never excluded.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    // None without patterns, so that nothing is matched then.
    compiled: Option<Arc<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    globs: GlobSet,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    takes_back: bool,
    directories_only: bool,
}

impl Excludes {
    /// Compiles patterns, in this order.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, ExcludeError> {
        let mut globs = GlobSetBuilder::new();
        let mut rules = Vec::new();
        for pattern in patterns {
            let (glob, rule) = compile(pattern.as_ref())?;
            globs.add(glob);
            rules.push(rule);
        }
        if rules.is_empty() {
            return Ok(Self::default());
        }
        let globs = globs.build().map_err(|error| ExcludeError {
            pattern: String::new(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            compiled: Some(Arc::new(Compiled { globs, rules })),
        })
    }

    /// The patterns in the text of an exclude file, one a line.
    pub fn patterns_in(text: &str) -> impl Iterator<Item = &str> {
        text.lines()
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.compiled.is_none()
    }

    /// Whether what stands at this absolute path is excluded.
    #[must_use]
    pub fn excludes(&self, path: &[u8], is_directory: bool) -> bool {
        let Some(compiled) = &self.compiled else {
            return false;
        };
        // In ascending order: the last that applies decides.
        let matches = compiled
            .globs
            .matches_candidate(&Candidate::from_bytes(path));
        matches
            .into_iter()
            .rev()
            .map(|index| compiled.rules[index])
            .find(|rule| is_directory || !rule.directories_only)
            .is_some_and(|rule| !rule.takes_back)
    }
}

fn compile(pattern: &str) -> Result<(Glob, Rule), ExcludeError> {
    let error = |reason: String| ExcludeError {
        pattern: pattern.to_owned(),
        reason,
    };
    let (rest, takes_back) = match pattern.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    // `\!` and `\#` stand for a name that begins so.
    let trimmed = rest.trim_end_matches('/');
    let directories_only = trimmed.len() < rest.len();
    if trimmed.is_empty() {
        return Err(error("it names nothing".to_owned()));
    }
    let anchored = if trimmed.starts_with('/') {
        trimmed.to_owned()
    } else {
        format!("**/{trimmed}")
    };
    let glob = GlobBuilder::new(&anchored)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|source| error(source.kind().to_string()))?;
    let rule = Rule {
        takes_back,
        directories_only,
    };
    Ok((glob, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(patterns: &[&str], path: &str, is_directory: bool) -> bool {
        let excludes = Excludes::new(patterns).unwrap();
        excludes.excludes(path.as_bytes(), is_directory)
    }

    #[test]
    fn a_name_matches_anywhere() {
        for (pattern, path, expected) in [
            ("*.o", "/x.o", true),
            ("*.o", "/a/b/x.o", true),
            ("*.o", "/a/x.o/b", false),
            ("*.o", "/a/x.od", false),
            ("node_modules", "/a/node_modules", true),
            ("node_modules", "/a/my_node_modules", false),
            ("[ab]?", "/x/a1", true),
            ("[ab]?", "/x/c1", false),
            ("{one,two}", "/x/two", true),
            ("\\*", "/x/*", true),
            ("\\*", "/x/y", false),
        ] {
            assert_eq!(
                excludes(&[pattern], path, false),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn a_slash_asks_for_more_than_a_name() {
        for (pattern, path, expected) in [
            ("/home/me/tmp", "/home/me/tmp", true),
            ("/home/me/tmp", "/srv/home/me/tmp", false),
            ("/home/*/tmp", "/home/you/tmp", true),
            ("/home/*/tmp", "/home/you/two/tmp", false),
            ("/home/**/tmp", "/home/you/two/tmp", true),
            ("/home/**/tmp", "/home/tmp", true),
            ("/home/**", "/home/x/y", true),
            ("/home/**", "/home", false),
            ("build/out", "/a/build/out", true),
            ("build/out", "/a/rebuild/out", false),
            ("build/out", "/a/out", false),
        ] {
            assert_eq!(
                excludes(&[pattern], path, false),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn a_slash_at_the_end_asks_for_a_directory() {
        assert!(excludes(&["cache/"], "/a/cache", true));
        assert!(!excludes(&["cache/"], "/a/cache", false));
    }

    #[test]
    fn the_last_pattern_decides() {
        let patterns = ["*.log", "!important.log", "/tmp/*"];
        assert!(excludes(&patterns, "/a/x.log", false));
        assert!(!excludes(&patterns, "/a/important.log", false));
        assert!(excludes(&patterns, "/tmp/important.log", false));
        assert!(!excludes(&["!x"], "/x", false));
        assert!(excludes(&["\\!x"], "/!x", false));
    }

    #[test]
    fn names_are_bytes() {
        let excludes = Excludes::new(&["*.o"]).unwrap();
        assert!(excludes.excludes(b"/\xff\xfe.o", false));
        assert!(!Excludes::default().excludes(b"/x", false));
    }

    #[test]
    fn patterns_that_say_nothing_are_refused() {
        for pattern in ["", "/", "!", "a[", "{a"] {
            let error = Excludes::new(&[pattern]).unwrap_err();
            assert_eq!(error.pattern, pattern);
        }
    }

    #[test]
    fn a_file_of_patterns_may_have_comments() {
        let text = "# notes\r\n\n*.o\r\n  \n\\#x\n!keep.o";
        let patterns: Vec<_> = Excludes::patterns_in(text).collect();
        assert_eq!(patterns, ["*.o", "\\#x", "!keep.o"]);
        assert!(excludes(&patterns, "/#x", false));
    }
}
