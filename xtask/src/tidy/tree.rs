//! The files that the rules look at: what git tracks, and new files that it does not ignore.

use crate::run;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Larger files are data, not something that people wrote.
const TEXT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Every file by its path from the root, with its text where it has one.
pub(super) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the files of the repository at `root`.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let listing =
            run::output(run::program("git").current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
        let mut files = BTreeMap::new();
        for path in listing.split('\0').filter(|path| !path.is_empty()) {
            let file = root.join(path);
            let Ok(metadata) = std::fs::symlink_metadata(&file) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let small = metadata.len() <= TEXT_BYTES_MAX;
            let text = if small { std::fs::read(&file).ok().and_then(|bytes| String::from_utf8(bytes).ok()) } else { None };
            files.insert(path.to_owned(), text);
        }
        Ok(Self { files })
    }

    /// A tree for tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect() }
    }

    /// All paths, in order.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// Paths and texts of all files that are text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether a path is a file or a folder with files.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(file, _)| file.starts_with(&folder))
    }
}

/// The line of a byte position, 1-based.
pub(super) fn line_at(text: &str, position: usize) -> usize {
    text.as_bytes().iter().take(position).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_known_by_their_files() {
        let tree = Tree::of(&[("docs/a.md", ""), ("spec-old/b.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/") && tree.has("docs/a.md"));
        assert!(!tree.has("spec") && !tree.has("doc"));
    }
}
