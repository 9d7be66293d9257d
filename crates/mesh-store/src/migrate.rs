//! The number of the stored format, and the steps from each number to the next.
//!
//! The file `format` holds the number in decimal. A step changes the folder and must be restartable: it is run again from its start if the
//! process dies before the new number is durable. The number is written atomically after each step, never before. Opening a store runs no step: `meshd upgrade`
//! does, after it made a backup; so the next format's program must still be able to capture a stopped store of this one.

use std::path::Path;

use crate::error::StoreError;
use crate::files::Files;

/// The format that this program writes.
pub const FORMAT: u32 = 1;

pub(crate) const FORMAT_FILE: &str = "format";

/// A step from format `from` to `from + 1`.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The format it reads.
    pub from: u32,
    /// What it does, for the log.
    pub what: &'static str,
    /// Does it. Must leave a folder that it can be run on again if it is interrupted.
    pub run: fn(&dyn Files, &Path) -> Result<(), StoreError>,
}

/// All steps, in order.
pub const STEPS: &[Step] = &[];

/// Gives a folder without stored data the newest format's number, and refuses one with another number.
///
/// # Errors
/// `WrongFormat`; `Corrupt` if the number is missing beside stored data, or unreadable.
pub(crate) fn check(files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
    match read(folder)? {
        None => {
            check_unused(folder)?;
            write(files, folder, FORMAT)
        }
        Some(FORMAT) => Ok(()),
        Some(found) => Err(StoreError::WrongFormat { found, known: FORMAT }),
    }
}

/// Brings a folder that nobody has open to the newest format; gives a folder without stored data that number.
///
/// # Errors
/// `WrongFormat` of one that is newer; `Corrupt` if the number is missing beside stored data, or unreadable; whatever a step fails with.
pub fn run(files: &dyn Files, folder: &Path, steps: &[Step]) -> Result<(), StoreError> {
    let newest = steps.iter().map(|step| step.from + 1).max().unwrap_or(FORMAT);
    let Some(mut format) = read(folder)? else {
        check_unused(folder)?;
        return write(files, folder, newest);
    };
    if format > newest {
        return Err(StoreError::WrongFormat { found: format, known: newest });
    }
    while format < newest {
        let step = steps.iter().find(|step| step.from == format).ok_or_else(|| StoreError::Corrupt {
            what: format!("no way is known from stored format {format} to {newest}"),
            advice: "Use the version of the program that wrote the folder",
        })?;
        tracing::info!(store.format = format, store.step = step.what, "migrating the store");
        (step.run)(files, folder)?;
        format += 1;
        write(files, folder, format)?;
    }
    Ok(())
}

/// The format number of a folder; none if it has none.
///
/// # Errors
/// `Corrupt` if the file is not a number, `Io`.
pub fn read(folder: &Path) -> Result<Option<u32>, StoreError> {
    let text = match std::fs::read_to_string(folder.join(FORMAT_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(StoreError::io("reading the format number", error)),
    };
    let number = text.trim().parse().map_err(|_| StoreError::Corrupt {
        what: "the file format holds no number".to_owned(),
        advice: "Restore it from a backup of the folder",
    })?;
    Ok(Some(number))
}

fn write(files: &dyn Files, folder: &Path, format: u32) -> Result<(), StoreError> {
    let text = format!("{format}\n");
    files.replace(&folder.join(FORMAT_FILE), text.as_bytes()).map_err(|error| StoreError::io("writing the format number", error))
}

/// Refuses to start anew in a folder that holds stored data but lacks a file that belongs to it.
pub(crate) fn check_unused(folder: &Path) -> Result<(), StoreError> {
    let used = ["checkpoint", "journal-mark"].iter().any(|name| folder.join(name).exists())
        || std::fs::read_dir(folder.join("trees")).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        return Err(StoreError::Corrupt {
            what: format!("{} holds data, but its file format or checkpoint is missing", folder.display()),
            advice: "Restore the missing file from a backup of the folder; do not create it by hand",
        });
    }
    Ok(())
}
