//! What can be seen without asking anybody: who can read the files here, room on the disk, a phrase that was left lying, words that wait.

use super::Doctor;
use crate::{safe, time};
use mesh_client::ErrorKind;
use mesh_proto::phrase::Phrase;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Free bytes below which it is time to make room: every file here is written anew beside its place.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Files that are looked at, and folders inside one another.
const FILES_MAX: usize = 5_000;
const DEPTH_MAX: usize = 3;
/// Largest file that may hold a phrase, bytes.
const PHRASE_BYTES_MAX: u64 = 4096;
/// Files that are named one by one.
const NAMED_MAX: usize = 3;

pub(super) fn examine(doctor: &mut Doctor<'_>) {
    let folder = doctor.context.keystore.folder().to_owned();
    let files = files_in(&folder);
    check_modes(doctor, &folder, &files);
    check_phrase(doctor, &files);
    check_room(doctor, &folder);
    if let Err(error) = doctor.context.private.load() {
        doctor.bad(
            "private",
            ErrorKind::Failed,
            (error.words(), "put private.json back from a backup, or remove it: mutes, lists and bookmarks are in it"),
        );
    }
    check_drafts(doctor);
}

/// All files and folders of an identity.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut level = found.clone();
    for _ in 0..DEPTH_MAX {
        let entries = level.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        // What a link leads to is not ours.
        let inside: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
            .map(|entry| entry.path())
            .take(FILES_MAX)
            .collect();
        found.extend(inside.iter().cloned());
        level = inside.into_iter().filter(|path| path.is_dir()).collect();
    }
    found.truncate(FILES_MAX);
    found
}

#[cfg(unix)]
fn check_modes(doctor: &mut Doctor<'_>, folder: &Path, files: &[PathBuf]) {
    use std::os::unix::fs::PermissionsExt;
    let is_open = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let open: Vec<String> = files.iter().filter(is_open).map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        return doctor.good("files", format!("{} files and folders, which only you can read", files.len()));
    }
    let more = open.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let words = format!("others on this machine can use {}{more}", open.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", "));
    let next = format!(
        "chmod -R go= {}; if somebody may have read the key, revoke this device from another one: mesh id revoke",
        folder.display()
    );
    doctor.bad("files", ErrorKind::Failed, (words, &next));
}

#[cfg(not(unix))]
fn check_modes(_: &mut Doctor<'_>, _: &Path, _: &[PathBuf]) {}

/// Whoever takes this machine must not get the phrase with it.
fn check_phrase(doctor: &mut Doctor<'_>, files: &[PathBuf]) {
    let is_phrase = |path: &&PathBuf| {
        let small = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= PHRASE_BYTES_MAX);
        let text = if small { std::fs::read_to_string(path).ok().map(Zeroizing::new) } else { None };
        text.is_some_and(|text| text.parse::<Phrase>().is_ok())
    };
    match files.iter().find(is_phrase) {
        Some(path) => {
            let words = format!("it lies in {}, beside the device key", path.display());
            doctor.bad("phrase", ErrorKind::Failed, (words, "write the 24 words on paper and remove the file"));
        }
        None => doctor.good(
            "phrase",
            "not kept here; make sure that you have the 24 words: without them nobody can bring the account back".to_owned(),
        ),
    }
}

#[cfg(unix)]
fn check_room(doctor: &mut Doctor<'_>, folder: &Path) {
    let Ok(found) = rustix::fs::statvfs(folder) else { return };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let words = format!("{} MB free", free / 1_000_000);
    if free < FREE_BYTES_MIN {
        doctor.bad("disk", ErrorKind::Failed, (words, "make room: nothing new can be kept on a full disk"));
    } else {
        doctor.good("disk", words);
    }
}

#[cfg(not(unix))]
fn check_room(_: &mut Doctor<'_>, _: &Path) {}

fn check_drafts(doctor: &mut Doctor<'_>) {
    let drafts = match doctor.context.drafts.list() {
        Ok(drafts) => drafts,
        Err(error) => return doctor.bad("drafts", ErrorKind::Failed, (error.words(), "repair or remove that file")),
    };
    let sent = drafts.iter().find(|(_, draft)| draft.signed.is_some());
    match sent {
        Some((name, draft)) => {
            let words = format!("draft {} of {} was sent without an answer", safe::line(name), time::minute(draft.kept));
            doctor.bad("drafts", ErrorKind::Failed, (words, &format!("mesh draft publish {name} (it is published once)")));
        }
        None => doctor.good("drafts", format!("{} kept", drafts.len())),
    }
}

/// Whether a public domain has an address in the DNS as seen from here.
pub(super) async fn check_name(doctor: &mut Doctor<'_>, host: &str, port: u16) {
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => {
            let mut addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            doctor.good("dns", format!("{host} is {}", addresses.join(", ")));
        }
        Err(error) => {
            let words = format!("{host} is not found: {error}");
            doctor.bad(
                "dns",
                ErrorKind::Network,
                (words, "check this machine's network and DNS; if others cannot find it either, tell the operator of the domain"),
            );
        }
    }
}
