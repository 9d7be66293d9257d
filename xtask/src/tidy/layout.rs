//! Where files are: few to a folder, not deep, no `mod.rs`, one integration-test binary per crate.

use super::Finding;
use std::collections::BTreeMap;

const FOLDER_FILES_MAX: usize = 15;
/// Folders inside one another below `src`.
const FOLDER_DEPTH_MAX: usize = 3;

/// Checks the paths of all Rust sources.
pub(super) fn check(paths: &[&str]) -> Vec<Finding> {
    let sources: Vec<&str> = paths.iter().copied().filter(|path| path.ends_with(".rs")).collect();
    let mut findings = Vec::new();
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for path in &sources {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        *folders.entry(folder).or_default() += 1;
        if name == "mod.rs" {
            findings.push(Finding::new("mod-rs", path, 0, "use `foo.rs` beside the folder `foo`, not `foo/mod.rs`"));
        }
        let below = folder.split_once("src/").map_or(0, |(_, below)| below.split('/').count());
        if below > FOLDER_DEPTH_MAX {
            findings.push(Finding::new("depth", path, 0, format!("{below} folders below src; {FOLDER_DEPTH_MAX} at most")));
        }
        if let Some((of_crate, rest)) = path.strip_prefix("crates/").and_then(|path| path.split_once("/tests/"))
            && !of_crate.contains('/')
            && !rest.contains('/')
        {
            findings.push(Finding::new("test-binaries", path, 0, "one integration-test binary per crate: move this into tests/it/"));
        }
    }
    for (folder, count) in folders.into_iter().filter(|(_, count)| *count > FOLDER_FILES_MAX) {
        findings.push(Finding::new("folder-files", folder, 0, format!("{count} files; {FOLDER_FILES_MAX} at most")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, rule: Option<&str>) {
        assert_eq!(check(&[path]).first().map(|finding| finding.rule), rule, "{path}");
    }

    #[test]
    fn each_rule_fires_on_a_bad_path() {
        check_one("crates/a/src/x/mod.rs", Some("mod-rs"));
        check_one("crates/a/src/x/y/z/w/v.rs", Some("depth"));
        check_one("crates/a/tests/like.rs", Some("test-binaries"));
    }

    #[test]
    fn paths_as_designed_are_accepted() {
        check_one("crates/a/src/x/y/z/w.rs", None);
        check_one("crates/a/tests/it/main.rs", None);
        check_one("tests/src/lib.rs", None);
    }

    #[test]
    fn a_crowded_folder_fires() {
        let paths: Vec<String> = (0..16).map(|n| format!("crates/a/src/f{n}.rs")).collect();
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(check(&paths).len(), 1);
        paths.pop();
        assert!(check(&paths).is_empty());
    }
}
