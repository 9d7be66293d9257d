//! One hash over everything that goes into a build for the browser.

use crate::workspace::{self, Package, Workspace};
use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files of the root that change what cargo does.
const ROOT_FILES: &[&str] = &["Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

/// SHA-256, in hex, of the compiler's name, the root's manifests, and every source of the crate and of the members that it uses.
pub(super) fn of(workspace: &Workspace, package: &str, compiler: &str) -> Result<String> {
    let root = workspace::root();
    let mut files: BTreeSet<PathBuf> = ROOT_FILES.iter().map(|file| root.join(file)).filter(|file| file.is_file()).collect();
    for member in used_by(workspace, package)? {
        files.insert(member.manifest_path.clone());
        walk(&member.folder().join("src"), &mut files)?;
    }
    let mut hash = Sha256::new();
    add(&mut hash, compiler.as_bytes());
    for file in &files {
        add(&mut hash, file.strip_prefix(root).unwrap_or(file).to_string_lossy().as_bytes());
        add(&mut hash, &std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// The crate and the members that it uses, directly or not.
fn used_by<'a>(workspace: &'a Workspace, package: &str) -> Result<Vec<&'a Package>> {
    let find = |name: &str| workspace.packages.iter().find(|member| member.name == name);
    let mut members = vec![find(package).with_context(|| format!("no crate `{package}` in this workspace"))?];
    let mut next = 0;
    while let Some(member) = members.get(next).copied() {
        next += 1;
        for used in member.dependencies.iter().filter(|used| used.kind.as_deref() != Some("dev")).filter_map(|used| find(&used.name)) {
            if !members.iter().any(|known| known.name == used.name) {
                members.push(used);
            }
        }
    }
    Ok(members)
}

fn walk(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

/// Length first, so that no two lists of inputs look alike.
fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir_all(folder.path().join(name).join("src")).unwrap();
            std::fs::write(folder.path().join(name).join("Cargo.toml"), "").unwrap();
            std::fs::write(folder.path().join(name).join("src/lib.rs"), "//! x").unwrap();
        }
        let package = |name: &str, uses: &[&str]| {
            serde_json::json!({
                "name": name,
                "manifest_path": folder.path().join(name).join("Cargo.toml"),
                "dependencies": uses.iter().map(|used| serde_json::json!({"name": used, "kind": null})).collect::<Vec<_>>(),
            })
        };
        let json = serde_json::json!({"target_directory": "t", "packages": [package("a", &["b"]), package("b", &[])]});
        (folder, serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_change_in_a_crate_that_is_used_changes_the_stamp() {
        let (folder, workspace) = scratch();
        let (a, b) = (of(&workspace, "a", "rustc 1").unwrap(), of(&workspace, "b", "rustc 1").unwrap());
        std::fs::write(folder.path().join("a/src/lib.rs"), "//! y").unwrap();
        assert_ne!(of(&workspace, "a", "rustc 1").unwrap(), a);
        assert_eq!(of(&workspace, "b", "rustc 1").unwrap(), b, "b does not use a");
        let a = of(&workspace, "a", "rustc 1").unwrap();
        std::fs::write(folder.path().join("b/src/lib.rs"), "//! y").unwrap();
        assert_ne!(of(&workspace, "a", "rustc 1").unwrap(), a, "a uses b");
    }

    #[test]
    fn another_compiler_changes_the_stamp() {
        let (_folder, workspace) = scratch();
        assert_ne!(of(&workspace, "a", "rustc 1").unwrap(), of(&workspace, "a", "rustc 2").unwrap());
    }
}
