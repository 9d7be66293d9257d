//! What every member's Cargo.toml says: what it is for, and that it follows the workspace.

use super::Finding;
use super::tree::Tree;

/// Keys of `[package]` that members take from the workspace.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Checks the manifests of all members.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts().filter(|(path, _)| path.ends_with("/Cargo.toml")).flat_map(|(path, text)| check_one(path, text)).collect()
}

fn check_one(path: &str, text: &str) -> Vec<Finding> {
    let finding = |message: String| Finding::new("manifest", path, 0, message);
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![finding(format!("cannot be parsed: {error}"))],
    };
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let inherits =
        |value: Option<&toml::Value>| value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    let mut findings = Vec::new();
    let description = package.and_then(|package| package.get("description")).and_then(toml::Value::as_str);
    if description.is_none_or(|text| text.trim().is_empty()) {
        findings.push(finding("no `description`: one line on what this crate is for".to_owned()));
    }
    for key in INHERITED {
        if !inherits(package.and_then(|package| package.get(*key))) {
            findings.push(finding(format!("`{key}.workspace = true` is missing in [package]")));
        }
    }
    if manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) != Some(true) {
        findings.push(finding("`[lints] workspace = true` is missing".to_owned()));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"What a does\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true\n";

    fn check_text(text: &str, count: usize) {
        let findings = check(&Tree::of(&[("crates/a/Cargo.toml", text)]));
        assert_eq!(findings.len(), count, "{findings:?}");
    }

    #[test]
    fn a_manifest_as_designed_is_accepted() {
        check_text(GOOD, 0);
    }

    #[test]
    fn each_missing_line_fires() {
        check_text(&GOOD.replace("description = \"What a does\"\n", ""), 1);
        check_text(&GOOD.replace("What a does", " "), 1);
        check_text(&GOOD.replace("[lints]\nworkspace = true\n", ""), 1);
        check_text(&GOOD.replace("license.workspace = true", "license = \"MIT\""), 1);
        check_text("not toml", 1);
    }
}
