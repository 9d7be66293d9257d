//! Starting other programs: always from the workspace's root, never with a standard input.

use crate::{ui, workspace};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `cargo`, ready to take arguments.
pub(crate) fn cargo() -> Command {
    let mut command = program(std::env::var("CARGO").as_deref().unwrap_or("cargo"));
    // What `cargo run` told this process about itself is not meant for the builds that it starts.
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// Any program, ready to take arguments.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// Shows and runs a command; it fails when the command does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    ui::say(&format!("$ {}", shown(command)));
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command quietly and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({}): {}", shown(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print text", shown(command)))
}

/// Where a program is on the PATH.
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether this is a run of continuous integration (`CI=true`).
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The command as a person would type it, without the folders of the program's own path.
pub(crate) fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut words = vec![program.rsplit('/').next().unwrap_or(&program).to_owned()];
    for argument in command.get_args() {
        let word = argument.to_string_lossy();
        let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c));
        words.push(if plain { word.into_owned() } else { format!("'{word}'") });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(shown(program("/usr/bin/mesh").args(["post", "two words"])), "mesh post 'two words'");
    }

    #[test]
    fn a_failing_command_is_an_error() {
        assert!(output(program("cargo").arg("no-such-command")).is_err());
    }
}
