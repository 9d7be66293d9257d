//! `meshd` as a process: setting up, starting, stopping, refusing.

mod keeping;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn meshd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshd")).args(arguments).output().expect("the program runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Starts a server and waits until it says that it is ready.
fn serve(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshd"));
    let mut child = command.args(["serve", "--data", text(folder)]).stderr(Stdio::piped()).spawn().expect("the program runs");
    let stderr = child.stderr.take().expect("a pipe");
    let ready = BufReader::new(stderr).lines().map_while(Result::ok).any(|line| line.contains("server.ready"));
    assert!(ready, "it ended before it was ready");
    child
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn domain_is_set_up_served_and_stopped_and_keeps_its_keys() {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let data = folder.path().join("data");
    let domain = format!("one.localhost:{port}");
    let made = meshd(&["setup", "--domain", &domain, "--data", text(&data)]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = meshd(&["setup", "--domain", &domain, "--data", text(&data)]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("holds a domain already"));
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut child = serve(&data);
        assert!(get(port, "/readyz").contains("ready"));
        let body = get(port, "/.well-known/mesh");
        answers.push(body.split("\r\n\r\n").nth(1).expect("a body").to_owned());
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn second_server_on_one_folder_is_refused_with_words() {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let data = folder.path().join("data");
    assert!(meshd(&["setup", "--domain", &format!("one.localhost:{port}"), "--data", text(&data)]).status.success());
    let mut first = serve(&data);
    let second = meshd(&["serve", "--data", text(&data)]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("another meshd is using"), "{}", String::from_utf8_lossy(&second.stderr));
    first.kill().expect("killed");
    first.wait().expect("ended");
}

#[test]
fn local_domain_never_listens_beyond_loopback() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    assert!(meshd(&["setup", "--domain", "one.localhost:8001", "--data", text(&data)]).status.success());
    let path = data.join("mesh.toml");
    let config = std::fs::read_to_string(&path).expect("a file").replace("listen = []", "listen = [\"0.0.0.0:8001\"]");
    std::fs::write(&path, config).expect("written");
    let refused = meshd(&["serve", "--data", text(&data)]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("loopback only"));
}

#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    assert!(meshd(&["setup", "--domain", "one.localhost:8001", "--data", text(&data)]).status.success());
    std::fs::set_permissions(data.join("keys.toml"), std::fs::Permissions::from_mode(0o644)).expect("set");
    let refused = meshd(&["serve", "--data", text(&data)]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));
}

#[test]
fn operator_is_answered_whether_the_server_runs_or_not_and_nobody_else_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    // Longer than a socket's name may be.
    let data = folder.path().join("a".repeat(60)).join("b".repeat(60));
    assert!(meshd(&["setup", "--domain", &format!("one.localhost:{}", free_port()), "--data", text(&data)]).status.success());
    let ask = |words: &[&str]| {
        let answer = meshd(&[words, &["--json", "--data", text(&data)]].concat());
        assert!(answer.status.success(), "{words:?}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).expect("UTF-8")
    };
    let (before, invite) = (ask(&["status"]), ask(&["invite"]));
    let mut server = serve(&data);
    let run = data.join("run");
    assert_eq!(std::fs::metadata(&run).expect("a folder").permissions().mode() & 0o777, 0o700);
    let up = |status: &str| status.split("\"up_ms\"").next().map(str::to_owned);
    assert_eq!(up(&before), up(&ask(&["status"])));
    assert_ne!(invite, ask(&["invite"]));
    assert_eq!(ask(&["queue"]).trim(), r#"{"destinations":[]}"#);
    // Its socket stays behind, and is in nobody's way.
    server.kill().expect("killed");
    server.wait().expect("ended");
    assert!(run.join("meshd.sock").exists());
    ask(&["queue"]);
    let mut server = serve(&data);
    ask(&["queue"]);
    server.kill().expect("killed");
    server.wait().expect("ended");
}

#[test]
fn root_works_as_the_user_that_owns_the_folder() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nothing to look at");
        return;
    }
    let (folder, nobody) = (tempfile::tempdir().expect("a folder"), 65_534);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    chown(&data, Some(nobody), Some(nobody)).expect("given away");
    for words in [&["setup", "--domain", "one.localhost:8001"][..], &["invite"], &["status"]] {
        let said = meshd(&[words, &["--data", text(&data)]].concat());
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
    for entry in std::fs::read_dir(&data).expect("a folder").chain(std::fs::read_dir(data.join("store")).expect("a folder")) {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("known").uid(), nobody, "{}", entry.path().display());
    }
    // What that user may not do is said with what to do.
    let refused = meshd(&["backup", "--to", text(folder.path()), "--data", text(&data)]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("works as the user that owns"), "{said}");
}

#[test]
fn example_of_the_configuration_says_the_defaults() {
    use mesh_server::config::{Config, TlsMode};
    let example: Config = toml::from_str(include_str!("../../../../packaging/mesh.toml")).expect("a configuration");
    let mut expected = Config::new("example.org".parse().expect("a domain"));
    expected.tls = TlsMode::Acme { contact: vec!["you@example.org".into()], directory: None, roots: None };
    expected.listen = expected.listen();
    expected.redirect = vec![([0_u16; 8], 80).into()];
    expected.contact = Some("mailto:you@example.org".into());
    assert_eq!(format!("{example:?}"), format!("{expected:?}"));
}
