//! Whose work `meshd` does: a data folder belongs to one user, and what another user wrote into it would lock the server out. So root becomes that user, and who
//! may not look in is told how to ask.

use anyhow::Context;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Starts this program anew as the user that owns the folder, if root runs it and another user owns it. Returns if there is nothing to change.
pub(super) fn become_owner(data: &Path) -> anyhow::Result<()> {
    let Some((owner, group)) = owner(data).filter(|(owner, _)| rustix::process::geteuid().is_root() && *owner != 0) else { return Ok(()) };
    let mut words = std::env::args_os();
    // The program itself, wherever it lies: that user need not be able to find it.
    let mut again = Command::new("/proc/self/exe");
    again.arg0(words.next().unwrap_or_else(|| "meshd".into())).args(words).uid(owner).gid(group);
    Err(again.exec()).with_context(|| format!("cannot go on as the user that owns {}", data.display()))
}

/// What to do about an error, if it is about what this user may not.
pub(super) fn advice(data: &Path, error: &anyhow::Error) -> Option<String> {
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    if !error.chain().any(refused) {
        return None;
    }
    let me = rustix::process::geteuid().as_raw();
    Some(match owner(data) {
        Some((owner, _)) if owner == me => {
            format!("meshd works as the user that owns {}: let that user in, or name another place", data.display())
        }
        _ => format!("run it with sudo, which works as the user that owns {}, or name a folder of your own with --data", data.display()),
    })
}

fn owner(data: &Path) -> Option<(u32, u32)> {
    std::fs::metadata(data).ok().map(|folder| (folder.uid(), folder.gid()))
}
