//! `meshd completions`, `meshd man`.

use super::Arguments;
use anyhow::Context;
use clap::CommandFactory;
use std::io::Write;
use std::path::Path;

pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "meshd", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

pub(super) fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let command = Arguments::command();
    let Some(folder) = folder else {
        return Ok(clap_mangen::Man::new(command).render(&mut std::io::stdout())?);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write to {}", folder.display()))
}
