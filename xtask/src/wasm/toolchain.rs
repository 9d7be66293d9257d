//! Finds a compiler for the browser: the Rust toolchain's own, or Debian's together with the standard library's sources.
//!
//! Debian's `rustc-web` brings no compiled standard library for `wasm32-unknown-unknown`; cargo builds it along.

use crate::{packages, run, ui};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// The target of every build for the browser.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";
/// The oldest compiler that accepts our sources (`rust-version` in Cargo.toml).
const RUST_OLDEST: (u32, u32) = (1, 95);
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src", "lld-19"];

/// Which way to take.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Choice {
    /// The toolchain's own target where it is installed, else Debian's compiler
    Any,
    /// Only the toolchain's own target
    Installed,
    /// Only Debian's compiler, building the standard library along
    Debian,
}

/// A way to compile for the browser.
pub(super) enum Way {
    /// The toolchain in use has the target.
    Installed { version: String },
    /// Debian's compiler and linker; the standard library is built along.
    Debian { version: String, linker: String },
}

impl Way {
    /// `cargo`, set up for this way.
    pub(super) fn cargo(&self) -> Command {
        let mut command = run::cargo();
        if let Way::Debian { linker, .. } = self {
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                .args(["-Z", "build-std=std,panic_abort"]);
        }
        command
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Installed { version } => write!(f, "the toolchain's own {TARGET} ({version})"),
            Way::Debian { version, linker } => write!(f, "Debian's compiler and {linker}, building the standard library along ({version})"),
        }
    }
}

/// The first way that works; as root on Debian, the missing packages are installed.
pub(super) fn find_or_install(choice: Choice) -> Result<Way> {
    if let Some(way) = find(choice)? {
        return Ok(way);
    }
    let advice = format!("type `rustup target add {TARGET}`, or on Debian: apt-get install {}", DEBIAN_PACKAGES.join(" "));
    let apt = rustix::process::geteuid().is_root() && run::found("apt-get").is_some();
    if !apt || choice == Choice::Installed {
        bail!("no compiler for {TARGET}; {advice}");
    }
    ui::say(&format!("for {TARGET}: Debian's compiler, the standard library's sources and a linker are missing (about half a minute)"));
    packages::install(DEBIAN_PACKAGES)?;
    find(choice)?.with_context(|| format!("Debian's packages are installed but do not compile for {TARGET}; {advice}"))
}

fn find(choice: Choice) -> Result<Option<Way>> {
    let installed = if choice == Choice::Debian { None } else { find_installed()? };
    match installed {
        None if choice != Choice::Installed => find_debian(),
        found => Ok(found),
    }
}

fn find_installed() -> Result<Option<Way>> {
    let folder = run::output(run::program("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if !holds_core(Path::new(folder.trim())) {
        return Ok(None);
    }
    Ok(Some(Way::Installed { version: version("rustc")? }))
}

fn find_debian() -> Result<Option<Way>> {
    let linker = ["wasm-ld-19", "wasm-ld"].into_iter().find(|name| run::found(name).is_some());
    let (Some(linker), true) = (linker, Path::new(DEBIAN_RUSTC).is_file()) else {
        return Ok(None);
    };
    let sysroot = run::output(run::program(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let version = version(DEBIAN_RUSTC)?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file();
    let new_enough = number(&version).is_some_and(|number| number >= RUST_OLDEST);
    if !sources || !new_enough {
        return Ok(None);
    }
    Ok(Some(Way::Debian { version, linker: linker.to_owned() }))
}

/// Whether a folder of libraries has the compiled core library.
fn holds_core(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// The first line of `rustc --version`.
fn version(rustc: &str) -> Result<String> {
    Ok(run::output(run::program(rustc).arg("--version"))?.trim().to_owned())
}

/// `rustc 1.96.0 (…)` → (1, 96).
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_as_numbers() {
        assert_eq!(number("rustc 1.96.0 (abc 2026-05-01) (built from a source tarball)"), Some((1, 96)));
        assert!(number("rustc 1.100.0").unwrap() > RUST_OLDEST);
        assert_eq!(number("rustc"), None);
    }

    #[test]
    fn a_folder_without_the_core_library_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_core(folder.path()));
        std::fs::write(folder.path().join("libcore-1234.rlib"), "").unwrap();
        assert!(holds_core(folder.path()));
    }
}
