//! The interface of `mesh feed` and `mesh thread`: the real program in a pseudo-terminal, against real servers.

use super::importing::outbox;
use super::{Terminal, program, uri};
use crate::network::{Home, PATIENCE, until};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program at a terminal, as a person sees it.
pub(super) struct Seen {
    screen: Arc<Mutex<vt100::Parser>>,
    /// All bytes that came, for what must never come.
    raw: Arc<Mutex<Vec<u8>>>,
    keys: Box<dyn Write + Send>,
    terminal: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Seen {
    pub(super) fn start(person: &Terminal, arguments: &[&str], columns: u16, environment: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(size(columns, 24)).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program());
        command.args(arguments);
        command.env("MESH_HOME", person.folder.path().join("home"));
        command.env("TERM", "xterm-256color");
        environment.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("the program runs");
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(24, columns, 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let (shown, kept) = (screen.clone(), raw.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = output.read(&mut bytes)
                && length > 0
            {
                shown.lock().expect("not poisoned").process(&bytes[..length]);
                kept.lock().expect("not poisoned").extend_from_slice(&bytes[..length]);
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        Self { screen, raw, keys, terminal: pair.master, child }
    }

    fn text(&self) -> String {
        self.screen.lock().expect("not poisoned").screen().contents()
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("the program reads keys");
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().expect("not poisoned").screen_mut().set_size(rows, columns);
        self.terminal.resize(size(columns, rows)).expect("resized");
    }

    /// Waits until the screen is as wanted.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < end, "never: {what}; the screen:\n{text}");
            tick.tick().await;
        }
    }

    pub(super) async fn until_it_says(&self, words: &str) -> String {
        self.until(words, |text| text.contains(words)).await
    }

    /// Waits for the end; whether it was a good one. The terminal must be as it was.
    pub(super) async fn ends(&mut self) -> bool {
        let status = Mutex::new(None);
        let child = Mutex::new(&mut self.child);
        until("the end of the program", async || {
            let ended = child.lock().expect("not poisoned").try_wait().expect("a child");
            *status.lock().expect("not poisoned") = ended.clone();
            ended.is_some()
        })
        .await;
        let status = status.into_inner().expect("not poisoned").expect("it ended");
        self.until("the screen of before is back", |_| !self.screen.lock().expect("not poisoned").screen().alternate_screen()).await;
        let cursor_is_hidden = self.screen.lock().expect("not poisoned").screen().hide_cursor();
        assert!(!cursor_is_hidden);
        status.success()
    }
}

/// The line of the screen that has these words.
fn line<'a>(text: &'a str, words: &str) -> &'a str {
    text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words:?} in\n{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_is_read_followed_liked_answered_and_undone_with_keys() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    let first = ada.one(&["post", "the first words"]).await;
    until("the post in the feed", async || neo.run(&["feed"]).await.1.contains("the first words")).await;

    let mut seen = Seen::start(&neo, &["feed"], 80, &[]);
    let text = seen.until_it_says("the first words").await;
    assert!(line(&text, &one.address("ada")).contains('✓'), "{text}");
    // What is said now appears by itself, above, and the cursor stays where it was.
    ada.one(&["post", "the second words"]).await;
    let text = seen.until_it_says("the second words").await;
    assert!(text.contains("1 new"), "{text}");
    assert!(line(&text, "the first words").contains('▌') && !line(&text, "the second words").contains('▌'), "{text}");

    seen.press("l");
    seen.until_it_says("your like is signed").await;
    let id = first["id"].as_str().expect("an id").parse().expect("a record id");
    one.until_count(&id, mesh_proto::envelope::Kind::Like, 1).await;
    seen.press("/second");
    seen.until("only what matches", |text| text.contains("the second words") && !text.contains("the first words")).await;
    seen.press("\u{1b}");
    seen.until_it_says("the first words").await;
    seen.press("j");
    seen.until("the cursor on the first words", |text| text.lines().any(|line| line.contains('▌') && line.contains("the first words")))
        .await;

    seen.press("\r");
    seen.until_it_says("thread of").await;
    seen.press("c");
    seen.until_it_says("comment:").await;
    seen.press("well said, Ada\r");
    let text = seen.until("the comment below the post", |text| text.contains("  well said, Ada") && text.contains("1 comment")).await;
    assert!(line(&text, &two.address("neo")).contains('✓'), "{text}");
    one.until_count(&id, mesh_proto::envelope::Kind::Comment, 1).await;
    // Folded and unfolded.
    seen.press("\r");
    seen.until("folded", |text| text.contains("+1 folded") && !text.contains("well said")).await;
    seen.press("\r");
    seen.until_it_says("well said, Ada").await;
    // The like is taken back.
    seen.press("u");
    seen.until_it_says("undone").await;
    one.until_count(&id, mesh_proto::envelope::Kind::Like, 0).await;
    seen.press("q");
    seen.until_it_says("feed of").await;
    seen.press("?");
    seen.until_it_says("comment in $EDITOR").await;
    seen.press("?q");
    assert!(seen.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_said_from_now_on_counts_as_new_in_a_long_feed() {
    const POSTS: usize = 70;
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    let file = ada.folder.path().join("outbox.json");
    std::fs::write(&file, outbox(POSTS).to_string()).expect("written");
    ada.json(&["import", file.to_str().expect("plain")]).await;
    until("all in the feed", async || neo.json(&["feed", "--limit", "100"]).await.len() == POSTS).await;

    let mut seen = Seen::start(&neo, &["feed"], 80, &[]);
    seen.until_it_says("number 69").await;
    ada.one(&["post", "said now"]).await;
    let text = seen.until_it_says("said now").await;
    assert!(text.contains(" 1 new (g)"), "{text}");
    seen.press("G");
    seen.until("the oldest", |text| text.lines().any(|line| line.trim_end().ends_with("number 0"))).await;
    seen.press("g");
    seen.until("nothing is new any more", |text| text.contains("said now") && !text.contains("new (g)")).await;
    seen.press("q");
    assert!(seen.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_narrow_screens_and_ends_from_outside_leave_the_terminal_whole() {
    let one = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    let hostile = format!("look user\u{202e}gpj.exe and {}", "very long ".repeat(60));
    let post = ada.one(&["post", &hostile]).await;
    let mut seen = Seen::start(&ada, &["thread", uri(&post)], 40, &[("NO_COLOR", "1")]);
    let text = seen.until_it_says("look user").await;
    assert!(text.contains("\\u{202e}"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    let raw = seen.raw.lock().expect("not poisoned").clone();
    let raw = String::from_utf8_lossy(&raw).into_owned();
    assert!(!raw.contains('\u{202e}') && !raw.contains("\u{1b}[32m") && !raw.contains("\u{1b}[38;"), "{raw:?}");
    // A long text is scrolled to its end before the cursor leaves it.
    seen.resize(40, 12);
    seen.until("smaller", |text| text.lines().count() <= 12 && text.contains("look user")).await;
    seen.press("jjjjjjjj");
    seen.until("the end of the text", |text| text.contains("very long") && !text.contains("look user")).await;
    seen.resize(100, 30);
    seen.until("wider", |text| text.lines().any(|line| line.chars().count() > 60)).await;
    seen.press("\u{3}");
    assert!(seen.ends().await);

    let mut seen = Seen::start(&ada, &["feed"], 60, &[]);
    seen.until_it_says("feed of").await;
    let pid = seen.child.process_id().expect("a process").to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert!(seen.ends().await);

    let mut seen = Seen::start(&ada, &["thread", uri(&post), "--plain"], 80, &[]);
    seen.until_it_says("mesh://").await;
    assert!(seen.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_is_written_in_the_editor_and_links_open_in_the_desktops_program() {
    let one = Home::start("one").await;
    let ada = Terminal::new();
    ada.join(&one.address("ada")).await;
    let post = ada.one(&["post", "see https://example.org/beans."]).await;
    let tools = ada.folder.path().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    let opened = ada.folder.path().join("opened");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("a path"));
    script(&tools.join("editor"), "printf 'from the editor\\nsecond line\\n' > \"$1\"");
    script(&tools.join("xdg-open"), &format!("printf '%s' \"$1\" > '{}'", opened.display()));
    let mut seen = Seen::start(&ada, &["thread", uri(&post)], 80, &[("PATH", &path), ("EDITOR", "editor"), ("VISUAL", "")]);
    seen.until_it_says("see https://example.org/beans").await;
    seen.press("C");
    seen.until("what the editor wrote, in the thread", |text| text.contains("from the editor") && text.contains("second line")).await;
    seen.press("o");
    seen.until_it_says("opened https://example.org/beans").await;
    seen.until("the link reached the program", |_| std::fs::read_to_string(&opened).is_ok_and(|link| link == "https://example.org/beans"))
        .await;
    // One's own record is withdrawn only after a question.
    seen.press("u");
    seen.until_it_says("withdraw this for ever").await;
    seen.press("n");
    seen.press("q");
    assert!(seen.ends().await);
}

fn script(path: &std::path::Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}
