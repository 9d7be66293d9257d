//! `cargo xtask tidy`: the rules of the house, as checks that run.
//!
//! One file per family of rules; each rule is a function from plain input to findings, with a test that shows it fire.
//! `xtask/tidy-exceptions.txt` names the findings that are known and wait to be mended; it may only shrink.

mod exceptions;
mod layers;
mod layout;
mod links;
mod manifests;
mod sizes;
mod source;
mod spec;
mod text;
mod tree;

use crate::{ui, workspace};
use anyhow::{Result, bail};
use std::fmt;

/// One broken rule in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// 1-based; 0 when the whole file or folder is meant.
    line: usize,
    rule: &'static str,
    message: String,
}

impl Finding {
    fn new(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: [{}] {}", self.path, self.rule, self.message),
            line => write!(f, "{}:{line}: [{}] {}", self.path, self.rule, self.message),
        }
    }
}

/// Runs every rule over the tracked files, and over new ones that git does not ignore.
pub(crate) fn run() -> Result<()> {
    let tree = tree::Tree::load(workspace::root())?;
    let workspace = workspace::load()?;
    let mut findings = Vec::new();
    let mut wanted = Vec::new();
    findings.extend(layers::check_members(&workspace));
    findings.extend(manifests::check(&tree));
    findings.extend(layout::check(&tree.paths()));
    findings.extend(spec::check(&tree.paths()));
    findings.extend(links::check(&tree));
    for file in tree.texts() {
        findings.extend(text::check(file));
        findings.extend(sizes::check_document(file));
    }
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".rs")) {
        match source::Source::parse(path, text) {
            Ok(source) => {
                findings.extend(sizes::check(&source));
                findings.extend(source::check(&source));
                findings.extend(layers::check_source(&source));
                wanted.extend(sizes::wanted(&source));
            }
            Err(finding) => findings.push(finding),
        }
    }
    let exceptions = tree.text(exceptions::PATH).unwrap_or_default();
    let mut left = exceptions::apply(exceptions, findings);
    left.sort();
    for note in wanted {
        ui::say(&format!("note: {note}"));
    }
    for finding in &left {
        ui::say(&finding.to_string());
    }
    if !left.is_empty() {
        bail!("{} of the house's rules are broken (CONTRIBUTING.md explains them)", left.len());
    }
    ui::say(&format!("tidy: {} files follow the rules", tree.paths().len()));
    Ok(())
}
