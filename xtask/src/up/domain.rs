//! One domain of the network: a `meshd` process, its folder, its log.
//!
//! Dropped while it runs, it is asked to stop and waited for, so that no error path leaves a server behind.

use super::{LOOK_INTERVAL, tether};
use crate::{run, ui};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const READY_TIME_MAX: Duration = Duration::from_secs(30);
const READY_INTERVAL: Duration = Duration::from_millis(20);
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// Lines of a log that are shown when its server failed.
const LOG_LINES_SHOWN: usize = 20;

pub(super) struct Domain {
    name: &'static str,
    address: &'static str,
    port: u16,
    log: PathBuf,
    child: Child,
}

impl Domain {
    /// Sets the domain up if its folder is new, and starts its server.
    pub(super) fn start(meshd: &Path, data: &Path, name: &'static str, address: &'static str) -> Result<Self> {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).context("a domain's address ends with its port")?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            bail!("port {port} is in use: is another `cargo xtask up` running?");
        }
        let folder = data.join(name);
        let log = data.join(format!("{name}.log"));
        set_up(meshd, &folder, address)?;
        let file = File::options().create(true).append(true).open(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = tether::command(meshd)?;
        command.arg("serve").arg("--data").arg(&folder).args(["--domain", address]);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        ui::say(&format!("{name}: meshd serve --domain {address}, log in {}", log.display()));
        let child = command.spawn().with_context(|| format!("cannot start {}", meshd.display()))?;
        Ok(Self { name, address, port, log, child })
    }

    /// Waits for `GET /readyz` to answer 200.
    pub(super) fn wait_until_ready(&mut self, stop: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        while !is_ready(self.port, self.address) {
            self.check_alive()?;
            if stop.load(Ordering::Relaxed) {
                bail!("stopped before {} was ready", self.name);
            }
            if start.elapsed() > READY_TIME_MAX {
                bail!("{} is not ready after {}; the end of its log:\n{}", self.name, ui::time(READY_TIME_MAX), tail(&self.log));
            }
            thread::sleep(READY_INTERVAL);
        }
        ui::say(&format!("{}: ready after {} ms", self.name, start.elapsed().as_millis()));
        Ok(())
    }

    /// Fails, with the end of the log, when the server has ended by itself.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server of {} ended ({status}); the end of its log:\n{}", self.name, tail(&self.log)),
        }
    }

    /// Asks the server to stop in an orderly way.
    pub(super) fn ask_to_stop(&mut self) {
        // A child that was not waited for keeps its id: no other process can be hit.
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the server to end; one that takes too long is killed, and that is said.
    pub(super) fn wait_until_stopped(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_TIME_MAX {
                self.child.kill()?;
                self.child.wait()?;
                bail!("{} did not stop within {} and was killed", self.name, ui::time(STOP_TIME_MAX));
            }
            thread::sleep(READY_INTERVAL.min(LOOK_INTERVAL));
        }
        Ok(())
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.ask_to_stop();
        if let Err(error) = self.wait_until_stopped() {
            ui::say(&format!("{error:#}"));
        }
    }
}

/// `meshd setup` for a folder that is not there; a setup that fails leaves no folder behind.
fn set_up(meshd: &Path, folder: &Path, address: &str) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let mut command = Command::new(meshd);
    command.stdin(Stdio::null()).stdout(Stdio::null()).arg("setup").arg("--data").arg(folder).args(["--domain", address]);
    let done = run::run(&mut command);
    if done.is_err() && folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    done
}

/// Asks once. Names under `localhost` are loopback by rule, so that no resolver is needed.
fn is_ready(port: u16, host: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_TIME_MAX)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    ask().is_ok_and(|line| line.split(' ').nth(1) == Some("200"))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &'static str) -> bool {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // What is left unread would reset the connection, and with it the answer.
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(|line| line.unwrap());
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            assert_eq!(head[0], "GET /readyz HTTP/1.1");
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let ready = is_ready(port, "one.localhost");
        server.join().unwrap();
        ready
    }

    #[test]
    fn only_200_is_ready() {
        assert!(answer("200 OK"));
        assert!(!answer("503 Service Unavailable"));
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("one.log");
        assert_eq!(tail(&log), "");
        std::fs::write(&log, (1..=50).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        assert!(tail(&log).starts_with("line 31\n") && tail(&log).ends_with("line 50"));
    }
}
