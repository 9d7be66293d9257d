//! Commands that have the data folder to themselves.

use anyhow::Context;
use mesh_node::healing::Aim;
use mesh_proto::address::Domain;
use mesh_server::{config, serve, verify};
use std::path::Path;

/// Where packages and administrators put systemd units.
const UNIT_FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What stands between the server and the world.
pub(super) enum Front {
    /// Nothing: it gets its own certificate. With an address to which the authority may write.
    Own(Option<String>),
    /// A TLS proxy.
    Proxy,
}

/// `meshd setup`.
pub(super) fn set_up(data: &Path, domain: &str, front: Front) -> anyhow::Result<()> {
    let mut config = config::Config::new(Domain::from_human(domain)?);
    if let (false, Front::Own(contact)) = (config.domain.is_local(), front) {
        config.contact = contact.as_ref().map(|address| format!("mailto:{address}"));
        config.tls = config::TlsMode::Acme { contact: contact.into_iter().collect(), directory: None, roots: None };
        config.redirect = vec![(std::net::Ipv6Addr::UNSPECIFIED, 80).into()];
    }
    config::set_up(data, &config, &mesh_server::system_rng())?;
    println!("{} is set up in {}.", config.domain, data.display());
    let start = how_to_start(data);
    if config.domain.is_local() {
        println!("Start it with: {start}");
        return Ok(());
    }
    println!("\n1. Put these records into the DNS:\n");
    super::dns::print_records(&config);
    println!("\n2. Start the server: {start}");
    println!("3. Look whether the name leads here: {}", of(data, "meshd dns check"));
    println!("4. Be the first here: mesh init --address YOU@{}", config.domain);
    Ok(())
}

/// How to start the server of a folder, as a person would type it: the systemd unit serves one folder, and is there if a package brought it.
pub(super) fn how_to_start(data: &Path) -> String {
    let unit = UNIT_FOLDERS.iter().any(|folder| Path::new(folder).join("meshd.service").exists());
    if unit && data == Path::new(super::DATA) { "sudo systemctl start meshd".to_owned() } else { of(data, "meshd serve") }
}

/// A command about a folder, as a person would type it.
fn of(data: &Path, command: &str) -> String {
    if data == Path::new(super::DATA) { format!("sudo {command}") } else { format!("{command} --data {}", data.display()) }
}

/// `meshd serve`.
pub(super) fn serve(data: &Path, domain: Option<&Domain>) -> anyhow::Result<()> {
    super::keeping::upgrade_if_older(data)?;
    let folder = config::read(data)?;
    if let Some(domain) = domain.filter(|domain| **domain != folder.config.domain) {
        anyhow::bail!("{} is the data folder of {}, not of {domain}", data.display(), folder.config.domain);
    }
    let runtime = runtime()?;
    let node = serve::open(&folder)?;
    runtime.block_on(async {
        let listeners = serve::bind(&folder.config).await?;
        serve::serve(node, listeners, &folder, stop_signal()?).await
    })
}

/// `meshd verify`.
pub(super) fn verify(data: &Path, aim: Aim) -> anyhow::Result<()> {
    let folder = config::read(data)?;
    println!("{}", verify::HEADER);
    let compared = runtime()?.block_on(verify::run(&folder, aim, |compared| println!("{}", verify::line(compared))))?;
    let reports = || compared.iter().filter_map(|compared| compared.outcome.as_ref().ok());
    let (missing, extra) = reports().fold((0, 0), |sum, report| (sum.0 + report.missing, sum.1 + report.extra));
    let unheard = compared.len() - reports().count();
    match aim {
        Aim::Look if missing + extra > 0 => {
            anyhow::bail!("{missing} records are missing here and {extra} are not known at their homes: `meshd verify --repair` mends that")
        }
        _ if unheard > 0 => anyhow::bail!("{unheard} of {} domains could not be compared with: try again later", compared.len()),
        _ => Ok(()),
    }
}

/// `meshd new-log`.
pub(super) fn begin_new_log(data: &Path) -> anyhow::Result<()> {
    let origin = serve::begin_new_log(&config::read(data)?)?;
    println!("{origin} begins where the old log ends.\nOther domains take it in as soon as they hear of it. Start the server as usual.");
    Ok(())
}

/// A runtime as the server needs it.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Resolves on Ctrl-C and on SIGTERM.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
