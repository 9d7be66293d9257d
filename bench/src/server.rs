//! `meshd` as a child process.

use crate::http::Connection;
use crate::process;
use anyhow::{Context, bail};
use mesh_proto::address::Domain;
use mesh_server::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it is ready.
const LOOK: Duration = Duration::from_millis(2);

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start until it said that it is ready.
    pub(crate) ready: Duration,
}

impl Server {
    /// Starts the `meshd` beside this program on a data folder, and waits until it is ready.
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_on(data, listen_on_free_port(data)?).await
    }

    /// The same, where others look for its domain.
    pub(crate) async fn start_at_home(data: &Path) -> anyhow::Result<Self> {
        let config: Config = toml::from_str(&std::fs::read_to_string(data.join("mesh.toml"))?)?;
        let address = config.listen().first().copied().context("it listens nowhere")?;
        Self::start_on(data, address).await
    }

    async fn start_on(data: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let log = std::fs::File::options().create(true).append(true).open(data.join("server.log"))?;
        let started = Instant::now();
        let mut command = Command::new(program("meshd")?);
        let child =
            command.arg("serve").arg("--data").arg(data).env("MESHD_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = child.spawn().context("cannot start meshd")?;
        let mut server = Self { child, address, ready: Duration::ZERO };
        while !server.is_ready().await {
            if server.child.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                bail!("meshd did not get ready: {}", std::fs::read_to_string(data.join("server.log")).unwrap_or_default());
            }
            tokio::time::sleep(LOOK).await;
        }
        server.ready = started.elapsed();
        Ok(server)
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(self.address).await else { return false };
        connection.get("/readyz").await.is_ok_and(|reply| reply.status == 200)
    }

    /// The CPU time that it took so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.child.id())
    }

    /// Its memory in RAM, megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        process::rss_mb(self.child.id())
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            if since.elapsed() > PATIENCE {
                bail!("meshd did not stop");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Ends it as a loss of power does, but for the machine's own memory.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program built beside this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: `cargo xtask bench` builds it", path.display());
    }
    Ok(path)
}

/// Makes an empty data folder whose server sets no limits that a bench would meet.
pub(crate) fn set_up(data: &Path, domain: &Domain) -> anyhow::Result<()> {
    let mut config = Config::new(domain.clone());
    let endless = NonZeroU32::MAX;
    config.cache_mb = 4 * 1024;
    config.limits.writes_per_second = endless;
    config.limits.deliveries_per_second = endless;
    mesh_server::config::set_up(data, &config, &mesh_server::system_rng())
}

/// Changes where the server listens: its domain's port may be in use.
fn listen_on_free_port(data: &Path) -> anyhow::Result<SocketAddr> {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let path = data.join("mesh.toml");
    let mut config: Config = toml::from_str(&std::fs::read_to_string(&path)?)?;
    config.listen = vec![free];
    std::fs::write(&path, toml::to_string(&config)?)?;
    Ok(free)
}
