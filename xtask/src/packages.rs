//! System packages: what is missing is named first, then installed with apt-get where that is possible. And cargo's tools, built into a folder of our own.

use crate::{run, ui, workspace};
use anyhow::{Result, bail};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;

/// A program that the tests need and the Debian package that brings it.
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// What every build and test needs, besides the Rust toolchain.
pub(crate) const BASE: &[Need] = &[
    Need { program: "cc", package: "build-essential", why: "a C compiler and linker, for the crates that build C" },
    Need { program: "git", package: "git", why: "`tidy` asks it which files are tracked" },
];

/// What the system tests need besides.
pub(crate) const TESTS: &[Need] = &[
    Need { program: "openssl", package: "openssl", why: "the tests of HTTPS make certificates" },
    Need { program: "pebble", package: "pebble", why: "the ACME server from which a test gets a certificate" },
];

/// Installs what is missing; does nothing, and says nothing, when all is there.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| run::found(need.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        ui::say(&format!("missing: {} ({})", need.program, need.why));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&packages)
}

/// Installs Debian packages as root, or through sudo.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if run::found("apt-get").is_none() {
        bail!("install these with your system's package manager, then try again: {names}");
    }
    let Some(apt) = privileged() else {
        bail!("not root and no sudo here; type: apt-get install --no-install-recommends {names}");
    };
    ui::say(&format!("installing with apt-get: {names}"));
    let install = |apt: &dyn Fn() -> Command| {
        let mut command = apt();
        command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
        run::run(&mut command)
    };
    // The lists may be absent or old: fetch them only when the first try says so.
    if install(&apt).is_ok() {
        return Ok(());
    }
    run::run(apt().arg("update"))?;
    install(&apt)
}

/// How apt-get is started with the rights it needs; `None` when there is no way.
fn privileged() -> Option<impl Fn() -> Command> {
    let root = rustix::process::geteuid().is_root();
    if !root && run::found("sudo").is_none() {
        return None;
    }
    Some(move || {
        let mut command = if root { run::program("env") } else { run::program("sudo") };
        if !root && std::io::stdin().is_terminal() {
            command.stdin(std::process::Stdio::inherit()).arg("env");
        } else if !root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]);
        command
    })
}

/// A program of cargo's that is built once, into the target folder.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Exactly this one, or the newest.
    pub(crate) version: Option<&'static str>,
}

impl Tool {
    fn root(&self) -> Result<PathBuf> {
        let folder = self.version.map_or_else(String::new, |version| format!("{}-{version}", self.name));
        Ok(workspace::load()?.target_directory.join("tools").join(folder))
    }

    /// Where it is, if it was built.
    pub(crate) fn built(&self) -> Result<Option<PathBuf>> {
        let program = self.root()?.join("bin").join(self.name);
        Ok(program.is_file().then_some(program))
    }

    /// Builds it.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        ui::say(&format!("{} is not here: building it once, some minutes on two cores", self.name));
        let version = self.version.map(|version| format!("--version={version}"));
        run::run(run::cargo().args(["install", self.name, "--locked", "--quiet", "--root"]).arg(self.root()?).args(version))?;
        self.built()?.ok_or_else(|| anyhow::anyhow!("{} was built, but is not where it should be", self.name))
    }
}
