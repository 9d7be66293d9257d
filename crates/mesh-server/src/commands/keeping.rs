//! Commands that keep a domain's data: backing up, restoring, upgrading.

use super::{Place, folder};
use mesh_server::operator::restore::{self, GoOn};
use mesh_server::operator::{About, Progress, Taken, Told, check_backup, make_backup, upgrade};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two words on how far it is: on a terminal, where the line is overwritten, and elsewhere.
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// `meshd backup --to`.
pub(super) fn back_up(place: &Place, to: &Path) -> anyhow::Result<()> {
    let archive = folder::runtime()?.block_on(make_backup(&place.data, to, progress("backed up")))?;
    print(place, &archive, |archive| format!("{} is the backup: {}", archive.file.display(), words(&archive.about)))
}

/// `meshd backup --check`.
pub(super) fn check(place: &Place, file: &Path) -> anyhow::Result<()> {
    let archive = check_backup(file, progress("checked"))?;
    print(place, &archive, |archive| format!("{} is whole: {}", archive.file.display(), words(&archive.about)))
}

/// `meshd restore`.
pub(super) fn restore(place: &Place, from: &Path, go_on: GoOn) -> anyhow::Result<()> {
    let restored = restore::run(from, &place.data, go_on, progress("restored"))?;
    print(place, &restored, |restored| {
        let log = if restored.log_is_new { "begins the new log" } else { "goes on in its log" };
        format!(
            "{} is restored in {}: {} rows read, {} leaves of its log counted up.\nIt {log} {}. Start it with: {}",
            restored.about.domain,
            place.data.display(),
            restored.rows,
            restored.leaves,
            restored.log,
            folder::how_to_start(&place.data)
        )
    })
}

/// `meshd upgrade`.
pub(super) fn upgrade(place: &Place, backup_to: Option<&Path>) -> anyhow::Result<()> {
    let upgraded = upgrade::run(&place.data, backup_to, progress("backed up"))?;
    print(place, &upgraded, |upgraded| match &upgraded.backup {
        None if upgraded.from == upgraded.to => {
            format!("{} has format {} already: there is nothing to do", place.data.display(), upgraded.to)
        }
        None => format!("{} has format {} now; the backup was made when the upgrade began", place.data.display(), upgraded.to),
        Some(backup) => format!(
            "{} has format {} now. As it was before it is in {}: delete that when you are content",
            place.data.display(),
            upgraded.to,
            backup.display()
        ),
    })
}

/// Brings an older folder up to date before it is served.
pub(super) fn upgrade_if_older(data: &Path) -> anyhow::Result<()> {
    upgrade::run(data, None, progress("backed up")).map(drop)
}

fn print<T: Serialize>(place: &Place, answer: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    println!("{}", if place.json { serde_json::to_string(answer)? } else { words(answer) });
    Ok(())
}

fn words(about: &About) -> String {
    let taken = match about.taken {
        Taken::Running => "while the server ran",
        Taken::Stopped => "while no server ran",
    };
    format!("{}, {} files, {} MB, made {taken} by {}", about.domain, about.files, about.size_bytes.div_ceil(1024 * 1024), about.software)
}

/// Says on the standard error how far it is.
fn progress(what: &'static str) -> Told {
    let terminal = std::io::stderr().is_terminal();
    let pause = if terminal { TERMINAL_PAUSE } else { LINE_PAUSE };
    let mut said = Instant::now();
    Box::new(move |Progress { done_bytes, total_bytes }| {
        let last = terminal && done_bytes == total_bytes;
        if said.elapsed() < pause && !last {
            return;
        }
        said = Instant::now();
        let megabytes = |bytes: u64| bytes / (1024 * 1024);
        let (start, end) = if terminal { ("\r", if last { "\n" } else { "" }) } else { ("", "\n") };
        // Nobody may be watching.
        let _ = write!(std::io::stderr(), "{start}{what}: {} of {} MB{end}", megabytes(done_bytes), megabytes(total_bytes));
    })
}
