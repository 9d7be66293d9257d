//! The person's own editor.

use crate::safe;
use mesh_proto::limits::TEXT_BYTES_MAX;
use std::io::{Read, Write};
use std::process::Command;

/// Runs `$VISUAL` or `$EDITOR` on a file that only this person can read.
pub(crate) fn edit(text: &str) -> Result<String, String> {
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let told = |error: std::io::Error| error.to_string();
    let mut file = tempfile::Builder::new().prefix("mesh-").suffix(".txt").tempfile().map_err(told)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(told)?;
    let status = Command::new(program).args(words).arg(file.path()).status();
    let status = status.map_err(|error| format!("{}: {error}; set EDITOR", safe::line(program)))?;
    if !status.success() {
        return Err(format!("{} failed, nothing was sent", safe::line(program)));
    }
    // Editors put a new file in the place of the old one: it is opened by its name again.
    let mut written = String::new();
    let file = std::fs::File::open(file.path()).map_err(told)?;
    file.take(TEXT_BYTES_MAX as u64 + 2).read_to_string(&mut written).map_err(told)?;
    Ok(written.replace("\r\n", "\n").trim_end().to_owned())
}
