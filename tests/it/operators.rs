//! What those who run a domain do.

mod backup;
mod dns;
mod moderation;
mod tls;
mod upgrade;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn quietly(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("apt install pebble"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The program beside this test's own, as a build of the workspace leaves it.
fn meshd() -> Command {
    let own = std::env::current_exe().expect("a path");
    let program = own.ancestors().nth(2).expect("a target folder").join("meshd");
    assert!(program.exists(), "build the server first: cargo build --package mesh-server");
    Command::new(program)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A real DNS server, pebble's: it says 127.0.0.1 for every name, and what it is told over its management port.
fn name_server(dns: u16, management: u16) -> Running {
    let nowhere = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1"];
    let address = |port: u16| format!("127.0.0.1:{port}");
    Running::quietly(Command::new("pebble-challtestsrv").args(nowhere).args(["-dns01", &address(dns), "-management", &address(management)]))
}
