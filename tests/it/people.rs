//! People with the real `mesh` program, and with browsers, against real servers.

mod doctor;
mod drafts;
mod importing;
mod pages;
mod polls;
mod private;
mod scheduled;
mod terminal;
mod versions;

use crate::network::Home;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The program beside this test's own, as a build of the workspace leaves it.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let program = own.ancestors().nth(2).expect("a target folder").join("mesh");
    assert!(program.exists(), "build the client first: cargo build --package mesh-cli");
    program
}

/// Someone at a terminal, with a folder of their own.
pub(crate) struct Terminal {
    pub(crate) folder: tempfile::TempDir,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env("MESH_HOME", self.folder.path().join("home")).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command; answers its exit code and what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().await.expect("the program runs");
        let words = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), if printed.is_empty() { words.into_owned() } else { printed })
    }

    /// Runs a command with a text editor; answers its exit code and all that it said.
    async fn run_with_editor(&self, editor: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).env("VISUAL", "").env("EDITOR", editor).output().await.expect("the program runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    /// Runs a command; answers its exit code and all that it said.
    pub(crate) async fn run_all(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().await.expect("the program runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    /// Runs a command that must succeed and reads its JSON, one value a line.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> impl Future<Output = Vec<Value>> {
        let arguments: Vec<String> = ["--json"].iter().chain(arguments).map(|&word| word.to_owned()).collect();
        async move {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let (code, printed) = self.run(&words).await;
            assert_eq!(code, 0, "{words:?}: {printed}");
            printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        }
    }

    pub(crate) async fn one(&self, arguments: &[&str]) -> Value {
        self.json(arguments).await.remove(0)
    }

    pub(crate) fn phrase_file(&self) -> String {
        self.folder.path().join("phrase").to_str().expect("plain").to_owned()
    }

    pub(crate) async fn join(&self, address: &str) {
        self.one(&["init", "--address", address, "--yes", "--phrase-file", &self.phrase_file()]).await;
    }
}

/// A command that goes on, with what it prints.
struct Running {
    out: Lines<BufReader<ChildStdout>>,
    talk: Lines<BufReader<ChildStderr>>,
    child: Child,
}

impl Running {
    fn start(terminal: &Terminal, arguments: &[&str]) -> Self {
        let mut command = terminal.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let talk = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { out, talk, child }
    }

    /// Waits for a printed line that has `words`.
    async fn until(&mut self, words: &str) -> String {
        let found = async {
            loop {
                let line = tokio::select! {
                    Ok(Some(line)) = self.out.next_line() => line,
                    Ok(Some(line)) = self.talk.next_line() => line,
                    else => panic!("it ended without saying {words:?}"),
                };
                if line.contains(words) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("it did not say {words:?}"))
    }
}

pub(crate) fn uri(value: &Value) -> &str {
    value["uri"].as_str().expect("a uri")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_follow_like_comment_and_verify_across_domains() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    let mut feed = Running::start(&neo, &["--json", "feed", "--follow"]);
    let first = ada.one(&["post", "the first words"]).await;
    feed.until("the first words").await;
    feed.child.kill().await.expect("killed");

    neo.one(&["like", uri(&first)]).await;
    let comment = neo.one(&["comment", uri(&first), "well said"]).await;
    let id = first["id"].as_str().expect("an id").parse().expect("a record id");
    one.until_count(&id, mesh_proto::envelope::Kind::Comment, 1).await;
    let (code, thread) = ada.run(&["thread", uri(&first)]).await;
    assert_eq!(code, 0);
    assert!(thread.contains("well said") && thread.contains("1 like"), "{thread}");

    // Whoever reads needs no account.
    let stranger = Terminal::new();
    for target in [uri(&first), uri(&comment)] {
        let proof = stranger.one(&["verify", target]).await;
        assert_eq!(proof["standing"], "good", "{proof}");
    }
    let (code, words) =
        stranger.run(&["verify", &format!("mesh://{}/{}", one.address("ada"), comment["id"].as_str().expect("an id"))]).await;
    assert_ne!(code, 0, "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn phrase_and_pairing_bring_the_account_to_other_machines() {
    let two = Home::start("two").await;
    let (old, lost, tablet) = (Terminal::new(), Terminal::new(), Terminal::new());
    let address = two.address("neo");
    old.join(&address).await;
    let phrase = old.phrase_file();
    lost.one(&["init", "--recover", "--address", &address, "--phrase-file", &phrase, "--yes"]).await;
    let back = lost.one(&["post", "I am back"]).await;
    assert!(uri(&back).contains(&address));

    let mut waiting = Running::start(&tablet, &["init", "--pair", "--address", &address, "--yes"]);
    let line = waiting.until("mesh id pair").await;
    let code = line.rsplit(' ').next().expect("a code").to_owned();
    let (exit, words) = old.run(&["id", "pair", "aaaa-aaaa-aaaa"]).await;
    assert_eq!(exit, 3, "{words}");
    old.one(&["id", "pair", &code]).await;
    assert!(waiting.child.wait().await.expect("it ends").success());
    tablet.one(&["post", "from the tablet"]).await;

    let devices = old.json(&["id", "devices"]).await;
    assert_eq!(devices.iter().filter(|device| device["live"] == true).count(), 3);
    let paired = devices.iter().find(|device| device["added_by"].is_string()).expect("the tablet");
    old.one(&["id", "revoke", paired["device"].as_str().expect("a key")]).await;
    let (exit, words) = tablet.run(&["post", "not any more"]).await;
    assert_eq!(exit, 6, "{words}");
}
