//! The licences of the crates that are linked into a program, which their texts ask to go along with it.

use crate::run;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How files begin that hold a licence or its notices.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// One text: every crate of a program with its licence, then every licence's text, once, with the crates that brought it.
pub(super) fn of(package: &str) -> Result<String> {
    let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package];
    let linked = run::output(run::cargo().args(tree))?;
    // `name v1.2.3`, and for our own a path.
    let linked: BTreeSet<String> = linked.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let all = run::output(run::cargo().args(["metadata", "--locked", "--format-version", "1"]))?;
    let all: Metadata = serde_json::from_str(&all).context("cargo metadata answered something unexpected")?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in all.packages.iter().filter(|it| it.source.is_some() && linked.contains(&format!("{} v{}", it.name, it.version))) {
        let name = format!("{} {}", it.name, it.version);
        writeln!(list, "{name}: {}", it.license.as_deref().unwrap_or("see below"))?;
        for text in texts_of(it.manifest_path.parent().context("a manifest lies in a folder")?)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, crates) in &texts {
        write!(list, "\n{}\n{}:\n\n{}\n", "=".repeat(80), crates.join(", "), text.trim_end())?;
    }
    Ok(list)
}

fn texts_of(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.file_type()?.is_file() {
            texts.push(String::from_utf8_lossy(&std::fs::read(entry.path())?).replace('\r', ""));
        }
    }
    Ok(texts)
}
