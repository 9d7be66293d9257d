//! The process is killed again and again while it writes; what it had acknowledged must be there.
//!
//! A kill leaves the operating system's cache intact, so this shows that any moment is a good one to stop the *program* at. What a loss
//! of power leaves is the subject of `power.rs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use mesh_store::{Kv, StoreError};

use crate::support::{check_numbered, copy_folder, numbered, open_small};

const FOLDER: &str = "MESH_STORE_CRASH_FOLDER";
const CYCLES: &str = "MESH_STORE_CRASH_CYCLES";
const CYCLES_USUAL: u64 = 200;

/// Not a test of its own: the process that gets killed. Writes numbered batches and prints the number of each acknowledged one.
#[test]
fn child_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open_small(Path::new(&folder)).unwrap();
    let start = check_numbered(&store);
    let mut output = std::io::stdout().lock();
    let mut flying = std::collections::VecDeque::new();
    for n in start.. {
        flying.push_back(store.commit(numbered(n)));
        if flying.len() >= 16 {
            flying.pop_front().unwrap().wait().unwrap();
            writeln!(output, "acknowledged {}", n - 15).unwrap();
            output.flush().unwrap();
        }
    }
}

/// Kills a writing child `cycles` times, each after another number of acknowledgements, and checks the folder after each.
fn kill_cycles(cycles: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for cycle in 0..cycles {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_process", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let patience = 1 + (cycle * 7919) % 1500;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = None;
        for _ in 0..patience {
            acknowledged = lines.by_ref().find_map(|line| number(&line)).or(acknowledged);
        }
        child.kill().unwrap();
        // What it still said before it died counts as acknowledged too.
        acknowledged = lines.filter_map(|line| number(&line)).last().or(acknowledged);
        child.wait().unwrap();
        expected = acknowledged.map_or(expected, |last| last + 1);
        // The check works on a copy, so that the next child finds what the crash left.
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path()).unwrap();
        let found = check_numbered(&open_small(copy.path()).unwrap());
        assert!(found >= expected, "cycle {cycle}: {expected} batches were acknowledged, {found} are there");
    }
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

#[test]
fn acknowledged_batches_survive_kill_9() {
    let cycles = std::env::var(CYCLES).ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(CYCLES_USUAL);
    kill_cycles(cycles);
}

#[test]
fn a_second_store_on_the_same_folder_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_small(folder.path()).unwrap();
    let error = open_small(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }));
    assert!(error.to_string().contains("another meshd is using"), "{error}");
    drop(store);
    drop(open_small(folder.path()).unwrap());
}
