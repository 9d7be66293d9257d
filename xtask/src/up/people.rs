//! The people of the first network: each step of the script is one run of the real `mesh` program.
//!
//! After every step the progress is written down, so that a start that was interrupted goes on where it stopped.

use super::script::{Person, Script, Step};
use crate::{ui, workspace};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The script, from the workspace's root.
pub(super) const SCRIPT: &str = "fixtures/first-network.toml";
/// The file in the network's folder that says how far the script has been played.
pub(super) const PROGRESS: &str = "played.json";
/// What `mesh` exits with when something is not there yet (3) or not reachable yet (5): news takes a moment to travel.
const EXIT_CODES_NOT_YET: [i32; 2] = [3, 5];
const NOT_YET_TIME_MAX: Duration = Duration::from_secs(10);
const NOT_YET_INTERVAL: Duration = Duration::from_millis(100);

/// How far the script has been played.
#[derive(Default, Serialize, Deserialize)]
struct Progress {
    people: usize,
    steps: usize,
    labels: BTreeMap<String, String>,
}

/// Plays what has not been played yet.
pub(super) fn settle(mesh: &Path, data: &Path, stop: &AtomicBool) -> Result<()> {
    let script = load()?;
    let file = data.join(PROGRESS);
    let mut progress: Progress = match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}; --fresh begins anew", file.display()))?,
        Err(_) => Progress::default(),
    };
    if progress.people >= script.person.len() && progress.steps >= script.step.len() {
        return Ok(());
    }
    ui::heading("the first people arrive");
    for (number, person) in script.person.iter().enumerate().skip(progress.people) {
        go_on(stop)?;
        ui::say(&format!("[{:>2}/{}] {} moves in", number + 1, script.person.len(), person.address));
        mesh_as(mesh, data, &person.name, &["init", "--address", &person.address, "--yes"])?;
        progress.people = number + 1;
        save(&file, &progress)?;
    }
    for (number, step) in script.step.iter().enumerate().skip(progress.steps) {
        go_on(stop)?;
        ui::say(&format!("[{:>2}/{}] {}", number + 1, script.step.len(), describe(step)));
        let arguments = step.arguments(&progress.labels)?;
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().map(String::as_str)).collect();
        let printed = mesh_as(mesh, data, &step.who, &arguments)?;
        if let Some(label) = &step.label {
            progress.labels.insert(label.clone(), uri_of(&printed)?);
        }
        progress.steps = number + 1;
        save(&file, &progress)?;
    }
    Ok(())
}

/// One person of each domain, with the address of the page to open.
pub(super) fn with_pages() -> Vec<(String, String)> {
    let people = load().map(|script| script.person).unwrap_or_default();
    let page = |domain: &str| {
        let person: &Person = people.iter().find(|person| person.address.ends_with(&format!("@{domain}")))?;
        Some((person.address.clone(), format!("http://{domain}/@{}", person.name)))
    };
    [super::ONE, super::TWO].into_iter().filter_map(page).collect()
}

fn load() -> Result<Script> {
    let text = std::fs::read_to_string(workspace::root().join(SCRIPT)).with_context(|| format!("cannot read {SCRIPT}"))?;
    Script::parse(&text).with_context(|| format!("cannot play {SCRIPT}"))
}

fn go_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        bail!("stopped; the next `cargo xtask up` goes on from here");
    }
    Ok(())
}

/// Runs `mesh` as one of the people and returns what it printed; what is not there yet is tried again for a while.
fn mesh_as(mesh: &Path, data: &Path, name: &str, arguments: &[&str]) -> Result<String> {
    let start = Instant::now();
    loop {
        let mut command = Command::new(mesh);
        command.stdin(Stdio::null()).env("MESH_HOME", data.join("people").join(name)).env("NO_COLOR", "1").args(arguments);
        let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot start {}", mesh.display()))?;
        if status.success() {
            return String::from_utf8(stdout).context("mesh did not print text");
        }
        let not_yet = status.code().is_some_and(|code| EXIT_CODES_NOT_YET.contains(&code));
        if !not_yet || start.elapsed() > NOT_YET_TIME_MAX {
            bail!("{name}: `{}` failed ({status}): {}", crate::run::shown(&command), String::from_utf8_lossy(&stderr).trim());
        }
        thread::sleep(NOT_YET_INTERVAL);
    }
}

/// The URI in what `mesh --json` printed.
fn uri_of(printed: &str) -> Result<String> {
    let answer: serde_json::Value =
        serde_json::from_str(printed.trim()).with_context(|| format!("mesh --json printed no JSON: {}", printed.trim()))?;
    let uri = answer.get("uri").and_then(serde_json::Value::as_str);
    Ok(uri.with_context(|| format!("mesh --json printed no `uri`: {answer}"))?.to_owned())
}

/// `ada: post Tomatoes want…`
fn describe(step: &Step) -> String {
    let text = format!("{}: {}", step.who, step.does.join(" ").replace('\n', " "));
    if text.chars().count() <= 76 { text } else { text.chars().take(75).chain(['…']).collect() }
}

/// Written beside and renamed, so that no crash leaves half a file.
fn save(file: &Path, progress: &Progress) -> Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec_pretty(progress)?).with_context(|| format!("cannot write {}", new.display()))?;
    std::fs::rename(&new, file).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_is_taken_from_json() {
        assert_eq!(uri_of("{\"id\": \"x\", \"uri\": \"mesh://a/x\"}\n").unwrap(), "mesh://a/x");
        assert!(uri_of("posted").is_err());
        assert!(uri_of("{}").is_err());
    }

    #[test]
    fn a_long_step_is_shown_on_one_line() {
        let step = Step { who: "ada".to_owned(), does: vec!["post".to_owned(), format!("one\n{}", "x".repeat(200))], label: None };
        assert_eq!(describe(&step).chars().count(), 76);
        assert!(!describe(&step).contains('\n'));
    }
}
