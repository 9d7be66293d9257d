//! A program that ends when its parent does, even when the parent is killed without a chance to stop it.
//!
//! `xtask tether PARENT PROGRAM …` asks the kernel for that and then becomes the program. Where the kernel cannot (not
//! Linux), it just becomes the program, and only an orderly end of the parent stops it.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Arguments of the hidden command.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The process that must be the parent
    parent: u32,
    /// What to become
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// A command that starts `program` tethered to this process, apart from the terminal's Ctrl-C.
pub(super) fn command(program: &Path) -> Result<Command> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(own);
    command.arg("tether").arg(std::process::id().to_string()).arg(program).process_group(0);
    Ok(command)
}

/// Becomes the program; returns only when that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .context("cannot tie this process to its parent")?;
    // The parent may have died before the kernel was asked.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(args.parent) {
        bail!("the parent is gone");
    }
    let (program, rest) = args.command.split_first().context("no program named")?;
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
