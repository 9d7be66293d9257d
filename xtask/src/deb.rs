//! `cargo xtask deb`: the Debian packages `meshd` and `mesh-cli`, and a try of them on a machine made for it.
//!
//! What belongs into them stands in the `[package.metadata.deb]` of the two crates; here is made what no file holds: manual pages, completions, licences.

mod licences;

use crate::packages::{self, Need, Tool};
use crate::{run, ui, workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the packages.
const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: Some("3.8.0") };
/// The programs, and the crates that they are of.
const PROGRAMS: [(&str, &str); 2] = [("meshd", "mesh-server"), ("mesh", "mesh-cli")];
/// What the try needs.
const TRY: &[Need] = &[
    Need { program: "debootstrap", package: "debootstrap", why: "makes the machine" },
    Need { program: "systemd-nspawn", package: "systemd-container", why: "starts the machine" },
    Need { program: "ip", package: "iproute2", why: "the network between the machine and its world" },
    Need { program: "pebble", package: "pebble", why: "the certificate authority and the DNS of that world" },
    Need { program: "openssl", package: "openssl", why: "makes the authority's own certificate" },
    Need { program: "lintian", package: "lintian", why: "judges the packages" },
    Need { program: "w3m", package: "w3m", why: "reads the page" },
];

/// Arguments of `deb`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Afterwards make a machine from nothing, install, set up, serve, register, post, upgrade and purge there; needs root
    #[arg(long)]
    r#try: bool,
}

/// Builds the packages and says where they are.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BASE)?;
    if args.r#try {
        packages::ensure(TRY)?;
    }
    let deb = CARGO_DEB.built()?.map_or_else(|| CARGO_DEB.build(), Ok)?;
    let release = workspace::load()?.target_directory.join("release");
    run::run(run::cargo().args(["build", "--release", "--locked", "--package", "mesh-server", "--package", "mesh-cli"]))?;
    for (program, package) in PROGRAMS {
        make_extras(&release, program, package)?;
    }
    let made = build(&deb, "1")?;
    if args.r#try {
        // As if a newer version came out.
        let newer = build(&deb, "2")?;
        return run::run(Command::new(workspace::root().join("packaging/try/run")).args(made).args(newer));
    }
    Ok(())
}

/// Both packages, with a Debian revision, in a folder of its own: cargo-deb removes older ones from where it writes.
fn build(deb: &Path, revision: &str) -> Result<Vec<PathBuf>> {
    let folder = workspace::load()?.target_directory.join("debian").join(revision);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut made = Vec::new();
    for (_, package) in PROGRAMS {
        let mut command = Command::new(deb);
        command
            .current_dir(workspace::root())
            .args(["--no-build", "--strip", "--quiet", "--package", package, "--deb-revision", revision, "--output"])
            .arg(&folder);
        made.push(PathBuf::from(run::output(&mut command)?.trim()));
    }
    made.iter().for_each(|file| ui::say(&file.display().to_string()));
    Ok(made)
}

/// Manual pages, completions and the licences of what is linked in.
fn make_extras(release: &Path, program: &str, package: &str) -> Result<()> {
    let (binary, folder) = (release.join(program), release.join("deb").join(program));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    run::output(Command::new(&binary).args(["man", "--dir"]).arg(folder.join("man")))?;
    for (shell, name) in [("bash", format!("{program}.bash")), ("zsh", format!("_{program}")), ("fish", format!("{program}.fish"))] {
        std::fs::write(folder.join(name), run::output(Command::new(&binary).args(["completions", shell]))?)?;
    }
    std::fs::write(folder.join("third-party.txt"), licences::of(package)?)?;
    run::output(
        Command::new("gzip").args(["--best", "--no-name", "--recursive"]).arg(folder.join("man")).arg(folder.join("third-party.txt")),
    )?;
    Ok(())
}
