//! `cargo xtask up`: two domains on this machine, with people and posts, until Ctrl-C.
//!
//! Order: build, start both domains, wait until both are ready, let the people of `fixtures/first-network.toml` speak (the
//! first time only), say what to open and type, wait. A second start finds everything as it was. Each domain's own output
//! goes to a file beside its data. The domains end with this process, however it ends.

mod domain;
mod people;
mod script;
pub(crate) mod tether;

use crate::{packages, run, ui, workspace};
use anyhow::{Context, Result, bail};
use domain::Domain;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ONE: &str = "one.localhost:8001";
const TWO: &str = "two.localhost:8002";
/// How often the domains and Ctrl-C are looked at while nothing else happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Arguments of `up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the network's data is kept (default: target/mesh-network)
    #[arg(long)]
    data: Option<PathBuf>,
    /// Remove the network that is there, and begin anew
    #[arg(long)]
    fresh: bool,
    /// Build with optimisations: slower to build, faster to run
    #[arg(long)]
    release: bool,
    /// Use the programs in this folder instead of building them
    #[arg(long, conflicts_with = "release")]
    programs: Option<PathBuf>,
}

/// The programs that were built.
struct Programs {
    folder: PathBuf,
}

impl Programs {
    fn meshd(&self) -> PathBuf {
        self.folder.join("meshd")
    }

    fn mesh(&self) -> PathBuf {
        self.folder.join("mesh")
    }
}

/// Runs the network until it is told to stop.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BASE)?;
    let programs = match &args.programs {
        Some(folder) => Programs { folder: std::path::absolute(folder)? },
        None => build(args.release)?,
    };
    let data = match &args.data {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::load()?.target_directory.join("mesh-network"),
    };
    if args.fresh {
        remove(&data)?;
    }
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let stop = stop_flag()?;

    ui::heading("starting two domains");
    let start = Instant::now();
    let mut domains = [Domain::start(&programs.meshd(), &data, "one", ONE)?, Domain::start(&programs.meshd(), &data, "two", TWO)?];
    for domain in &mut domains {
        domain.wait_until_ready(&stop)?;
    }
    people::settle(&programs.mesh(), &data, &stop)?;
    ui::say(&format!("{} in {}", ui::good("ready"), ui::time(start.elapsed())));
    tell(&programs, &data);
    wait(&mut domains, &stop)?;

    ui::say("\nstopping both domains");
    domains.iter_mut().for_each(Domain::ask_to_stop);
    domains.iter_mut().try_for_each(Domain::wait_until_stopped)?;
    ui::say("stopped; the next `cargo xtask up` goes on from here");
    Ok(())
}

fn build(release: bool) -> Result<Programs> {
    ui::heading("building meshd and mesh");
    let mut command = run::cargo();
    command.args(["build", "--package", "mesh-server", "--package", "mesh-cli", "--bins"]);
    if release {
        command.arg("--release");
    }
    run::run(&mut command)?;
    let folder = workspace::load()?.target_directory.join(if release { "release" } else { "debug" });
    Ok(Programs { folder })
}

/// Removes a network; a folder that holds anything else is left alone.
fn remove(data: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(data) else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name();
        if !["one", "two", "people", "one.log", "two.log", people::PROGRESS, "played.new"].iter().any(|known| name == *known) {
            bail!("{} holds `{}`, which is not of a network: it is not removed", data.display(), name.display());
        }
    }
    ui::say(&format!("removing the network in {}", data.display()));
    std::fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))
}

/// Becomes true at Ctrl-C, at SIGTERM, and when the terminal is closed.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot listen for Ctrl-C")?;
    }
    Ok(flag)
}

fn wait(domains: &mut [Domain], stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        domains.iter_mut().try_for_each(Domain::check_alive)?;
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

fn tell(programs: &Programs, data: &Path) {
    ui::heading("your network is running");
    for domain in [ONE, TWO] {
        ui::say(&format!("  http://{domain}/"));
    }
    for (person, address) in people::with_pages() {
        ui::say(&format!("  {address}   ({person})"));
    }
    ui::say("\nIn a second terminal:");
    let folder = std::env::current_dir().ok().and_then(|here| programs.folder.strip_prefix(here).map(Path::to_path_buf).ok());
    let folder = folder.map_or_else(|| programs.folder.display().to_string(), |folder| format!("$PWD/{}", folder.display()));
    ui::say(&format!("  export PATH=\"{folder}:$PATH\""));
    ui::say(&format!("  mesh init --address neo@{TWO}"));
    ui::say(&format!("  mesh subscribe ada@{ONE}"));
    ui::say("  mesh feed");
    ui::say(&format!("\nData and logs: {}", data.display()));
    ui::say("Ctrl-C stops both domains; starting again finds everything as it was (--fresh begins anew).");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("net");
        std::fs::create_dir_all(data.join("one")).unwrap();
        std::fs::write(data.join("thesis.txt"), "years of work").unwrap();
        assert!(remove(&data).is_err());
        std::fs::remove_file(data.join("thesis.txt")).unwrap();
        remove(&data).unwrap();
        assert!(!data.exists());
        remove(&data).unwrap();
    }
}
