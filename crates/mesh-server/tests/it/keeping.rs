//! Backing up, restoring and upgrading as processes: killed in the middle, on full disks, with damaged archives and in wrong places.

use crate::{free_port, get, serve, text};
use mesh_server::operator::restore::{self, GoOn};
use mesh_server::operator::{make_backup, upgrade};
use mesh_store::{Batch, FjallStore, Kv, Space};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Megabytes of a large domain: enough that what is killed when it has begun has not ended.
const LARGE_MB: u32 = 192;

/// A domain that was set up and never served.
struct Made {
    folder: TempDir,
    data: PathBuf,
    port: u16,
}

impl Made {
    fn new() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let data = folder.path().join("data");
        let made = Self { folder, data, port };
        made.says(&["setup", "--domain", &format!("one.localhost:{port}")]);
        made
    }

    /// With a store of so many megabytes, of rows that no step looks into.
    fn large(megabytes: u32) -> Self {
        let made = Self::new();
        let store = FjallStore::open(made.data.join("store"), mesh_store::Config::default()).expect("opens");
        for n in 0..megabytes * 10 {
            let value: Vec<u8> =
                (0..25_000_u32).flat_map(|i| (i ^ n).wrapping_mul(0x9e37_79b9).rotate_left(i % 31).to_be_bytes()).collect();
            let mut batch = Batch::new();
            batch.put(Space::Evidence, n.to_be_bytes(), value);
            store.commit(batch).wait().expect("written");
        }
        store.close().expect("closes");
        made
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshd"));
        command.args(words).args(["--data", text(&self.data)]);
        command
    }

    /// What a command answers that must succeed.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        let answer = self.command(words).output().expect("the program runs");
        assert!(answer.status.success(), "{words:?}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).expect("UTF-8")
    }

    /// What a command says that must fail.
    #[track_caller]
    fn refuses(&self, words: &[&str]) -> String {
        let answer = self.command(words).output().expect("the program runs");
        assert!(!answer.status.success(), "{words:?}: {}", String::from_utf8_lossy(&answer.stdout));
        String::from_utf8(answer.stderr).expect("UTF-8")
    }

    /// Starts a command, and kills it as soon as a state is there.
    fn kill_when(&self, words: &[&str], state: impl Fn() -> bool) {
        let mut child = self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program runs");
        while !state() {
            assert!(child.try_wait().expect("a child").is_none(), "{words:?} ended before it could be killed");
            std::thread::yield_now();
        }
        kill(&mut child);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn kill(child: &mut Child) {
    child.kill().expect("killed");
    child.wait().expect("ended");
}

/// The files in a folder whose names end so.
fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().ends_with(end)).collect()
}

fn begun(folder: &Path) -> bool {
    ending(folder, ".unfinished").iter().any(|path| std::fs::metadata(path).is_ok_and(|data| data.len() > 1 << 20))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn backups_are_private_checked_and_made_whether_the_server_runs_or_not() {
    let made = Made::new();
    let (stopped, folder) = (made.path("stopped"), made.path("kept"));
    std::fs::create_dir(&folder).expect("made");
    assert!(made.says(&["backup", "--to", text(&stopped)]).contains("while no server ran"));
    assert_eq!(mode(&stopped), 0o600);
    let mut server = serve(&made.data);
    assert!(made.says(&["backup", "--to", text(&folder)]).contains("while the server ran"));
    let running = ending(&folder, ".meshbackup").pop().expect("named after domain and time");
    assert!(running.to_string_lossy().contains(&format!("one.localhost_{}-2", made.port)), "{}", running.display());
    assert!(ending(&folder, ".unfinished").is_empty());
    for file in [&stopped, &running] {
        assert!(made.says(&["backup", "--check", text(file)]).contains("is whole"));
    }
    let as_json: serde_json::Value = serde_json::from_str(&made.says(&["backup", "--json", "--check", text(&running)])).expect("JSON");
    assert_eq!((as_json["taken"].as_str(), as_json["format"].as_u64()), (Some("running"), Some(2)));

    assert!(made.refuses(&["backup", "--to", text(&running)]).contains("is there already"));
    assert!(made.refuses(&["backup", "--to", text(&made.data)]).contains("lies in the data folder"));
    assert!(made.refuses(&["backup", "--to", text(&made.data.join("store/x"))]).contains("lies in the data folder"));
    assert!(made.refuses(&["backup", "--to", text(&made.path("no/such/folder/x"))]).contains("make it first"));
    assert!(made.refuses(&["restore", "--from", text(&running)]).contains("is not empty"));
    kill(&mut server);
    std::fs::set_permissions(made.data.join("keys.toml"), PermissionsExt::from_mode(0o644)).expect("set");
    assert!(made.refuses(&["backup", "--to", text(&made.path("y"))]).contains("chmod 600"));
}

#[test]
fn damaged_archives_make_no_folder_that_can_be_used() {
    let made = Made::new();
    let mut server = serve(&made.data);
    let good = made.path("good");
    made.says(&["backup", "--to", text(&good)]);
    kill(&mut server);
    let whole = std::fs::read(&good).expect("read");
    let (bad, data) = (made.path("bad"), made.path("restored"));
    let restored = Made { folder: tempfile::tempdir().expect("a folder"), data: data.clone(), port: made.port };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 16;
    for (bytes, words) in [
        (&whole[..whole.len() / 2], "cut off after byte"),
        (&flipped, "damaged at byte"),
        (b"hello", "cut off"),
        (b"something else", "no backup"),
    ] {
        std::fs::write(&bad, bytes).expect("written");
        for refused in [made.refuses(&["backup", "--check", text(&bad)]), restored.refuses(&["restore", "--from", text(&bad)])] {
            assert!(refused.contains(words), "{refused}");
        }
        if data.exists() {
            for command in [
                &["serve"][..],
                &["status"],
                &["upgrade"],
                &["setup", "--domain", "one.localhost:1"],
                &["backup", "--to", text(&made.path("z"))],
            ] {
                let refused = restored.refuses(command);
                assert!(refused.contains("run `meshd restore` again") || refused.contains("not the data folder"), "{command:?}: {refused}");
            }
        }
    }
    assert!(restored.refuses(&["restore", "--as-it-was", "--from", text(&good)]).contains("while the server ran"));
    restored.says(&["restore", "--from", text(&good)]);
    assert_eq!((mode(&data), mode(&data.join("keys.toml"))), (0o700, 0o600));
    let mut server = serve(&data);
    assert!(get(made.port, "/readyz").contains("ready"));
    kill(&mut server);
}

#[test]
fn killed_backup_leaves_nothing_under_its_name_and_the_next_one_cleans_up() {
    let made = Made::large(LARGE_MB);
    let folder = made.path("kept");
    std::fs::create_dir(&folder).expect("made");
    made.kill_when(&["backup", "--to", text(&folder)], || begun(&folder));
    assert!(ending(&folder, ".meshbackup").is_empty());
    assert_eq!(ending(&folder, ".unfinished").len(), 1);
    // The same while the server runs; it goes on when whoever reads is gone, and when it is killed itself the reader says so.
    let mut server = serve(&made.data);
    made.kill_when(&["backup", "--to", text(&folder)], || begun(&folder));
    for left in ending(&folder, ".unfinished") {
        std::fs::remove_file(left).expect("removed");
    }
    let child = made.command(&["backup", "--to", text(&folder)]).stderr(Stdio::piped()).spawn().expect("the program runs");
    while !begun(&folder) {
        std::thread::yield_now();
    }
    let signal =
        |signal: &str| assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs").success());
    signal("-STOP");
    kill(&mut server);
    signal("-CONT");
    let refused = child.wait_with_output().expect("ended");
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("the archive"),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert!(ending(&folder, ".unfinished").is_empty() && ending(&folder, ".meshbackup").is_empty());
    made.says(&["backup", "--to", text(&folder)]);
    assert!(ending(&folder, ".unfinished").is_empty());
    assert_eq!(ending(&folder, ".meshbackup").len(), 1);
}

#[test]
fn killed_restore_is_refused_until_it_is_run_again() {
    let made = Made::large(LARGE_MB);
    let archive = made.path("archive");
    made.says(&["backup", "--to", text(&archive)]);
    let data = made.path("restored");
    let restored = Made { folder: tempfile::tempdir().expect("a folder"), data: data.clone(), port: made.port };
    restored.kill_when(&["restore", "--from", text(&archive)], || data.join("store/trees/evidence/tables").exists());
    assert!(restored.refuses(&["serve"]).contains("run `meshd restore` again"));
    std::fs::write(data.join("store/left-over"), "x").expect("written");
    restored.says(&["restore", "--from", text(&archive)]);
    assert!(!data.join("store/left-over").exists());
    let mut server = serve(&data);
    kill(&mut server);
}

#[test]
fn killed_upgrade_goes_on_and_a_newer_folder_is_refused() {
    let made = Made::large(LARGE_MB);
    let (stamp, backups) = (made.data.join("version.toml"), made.data.join("before-upgrade"));
    std::fs::remove_file(&stamp).expect("a folder without a stamp has format 1");
    assert!(made.refuses(&["status"]).contains("meshd upgrade"));
    made.kill_when(&["upgrade"], || begun(&backups));
    assert!(!stamp.exists() && !made.data.join("upgrading").exists(), "nothing was changed before the backup was whole");
    // As if it was killed after the backup, and after the last step.
    for stamped in ["", "format = 2\nwritten_by = \"meshd\"\n"] {
        std::fs::write(made.data.join("upgrading"), "").expect("written");
        if !stamped.is_empty() {
            std::fs::write(&stamp, stamped).expect("written");
        }
        assert!(made.refuses(&["status"]).contains("meshd upgrade"));
        assert!(made.says(&["upgrade"]).contains("has format 2"));
        assert!(ending(&backups, ".meshbackup").is_empty(), "it was made before, and is not made of a folder that is half changed");
        made.says(&["status"]);
    }
    // Whoever starts the server of an older folder has it upgraded.
    std::fs::remove_file(&stamp).expect("removed");
    let mut server = serve(&made.data);
    assert!(made.refuses(&["restore", "--from", text(&ending(&backups, ".meshbackup")[0])]).contains("not empty"));
    kill(&mut server);
    assert!(ending(&backups, ".unfinished").is_empty());

    std::fs::write(&stamp, "format = 3\nwritten_by = \"meshd 7.0.0\"\n").expect("written");
    for words in [&["serve"][..], &["status"], &["upgrade"], &["backup", "--to", text(&made.path("x"))]] {
        let refused = made.refuses(words);
        assert!(refused.contains("written by meshd 7.0.0") && refused.contains("use the newer program"), "{refused}");
    }
}

/// A small file system of its own, gone when dropped.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    /// Takes all that is left of it.
    fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.0.path().join("ballast")).expect("made");
        while ballast.write_all(&[7; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).expect("removed");
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // Nobody is in it any more.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn disk_that_fills_up_in_the_middle_loses_nothing() {
    let (Some(small), Some(large)) = (TinyDisk::mount("4m"), TinyDisk::mount("400m")) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let made = Made::large(24);
    assert!(made.refuses(&["backup", "--to", text(small.0.path())]).contains("make room"));
    assert!(ending(small.0.path(), "").is_empty());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let disk = std::sync::Arc::new(large);
    let filling = |disk: &std::sync::Arc<TinyDisk>| {
        let (disk, mut full) = (std::sync::Arc::clone(disk), false);
        Box::new(move |_| {
            if !std::mem::replace(&mut full, true) {
                disk.fill();
            }
        })
    };
    let path = |name: &str| disk.0.path().join(name);
    let refused = runtime.block_on(make_backup(&made.data, &path("backup"), filling(&disk))).expect_err("it is full");
    assert!(format!("{refused:#}").contains("the disk is full"), "{refused:#}");
    disk.empty();
    assert!(ending(disk.0.path(), "").is_empty(), "what was written is removed");

    let archive = made.path("archive");
    made.says(&["backup", "--to", text(&archive)]);
    let refused = restore::run(&archive, &path("restored"), GoOn::AsItWas, filling(&disk)).expect_err("it is full");
    assert!(format!("{refused:#}").contains("the disk is full"), "{refused:#}");
    disk.empty();
    let restored = Made { folder: tempfile::tempdir().expect("a folder"), data: path("restored"), port: made.port };
    assert!(restored.refuses(&["serve"]).contains("run `meshd restore` again"));
    restored.says(&["restore", "--from", text(&archive)]);
    restored.says(&["status"]);

    std::fs::remove_file(restored.data.join("version.toml")).expect("removed");
    let refused = upgrade::run(&restored.data, None, filling(&disk)).expect_err("it is full");
    assert!(format!("{refused:#}").contains("nothing was changed"), "{refused:#}");
    disk.empty();
    restored.says(&["upgrade"]);
    restored.says(&["status"]);
}
