//! `mesh completions`, `mesh man`.

use crate::cli::Cli;
use crate::out::Out;
use anyhow::{Context as _, Result};
use clap::CommandFactory;
use std::path::Path;

pub(super) fn completions(shell: clap_complete::Shell, out: &Out) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mesh", &mut script);
    out.data(String::from_utf8(script)?.trim_end());
    Ok(())
}

pub(super) fn man(folder: Option<&Path>, out: &Out) -> Result<()> {
    let command = Cli::command();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        out.talk(&format!("the manual pages are in {}", folder.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    out.data(String::from_utf8(page)?.trim_end());
    Ok(())
}
