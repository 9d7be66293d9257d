//! The export file: JSON lines, read and written one at a time. It holds what is public; no secret key is in it.
//!
//! First a `head`, then `part`s, `domain`s and `follow`s in any order, at the end an `end` that counts them: a file without it was cut off.

use super::file_error;
use crate::error::{ClientError, Result};
use crate::limits::{EXPORT_LINE_BYTES_MAX, EXPORT_NAMES_MAX, EXPORT_PARTS_MAX};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::Delivery;
use mesh_proto::envelope::RecordId;
use mesh_proto::key::AccountId;
use mesh_proto::keylog::LoggedOp;
use mesh_proto::record::{AccountRef, Content, Record};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// Whose export it is, and by which key log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format: 1.
    pub mesh_export: u32,
    /// The account.
    pub account: AccountId,
    /// Its address when the export was made.
    pub address: Address,
    /// Who handed the records out.
    pub from: Domain,
    /// When it was made, milliseconds since the epoch.
    pub made: u64,
    /// The key log, parents first.
    pub keys: Vec<LoggedOp>,
}

/// What the file holds, counted by who wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Number of parts.
    pub parts: u64,
    /// Number of records in them.
    pub records: u64,
    /// Number of domains to be told.
    pub domains: u64,
    /// Number of people followed.
    pub follows: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Head(Box<Head>),
    Part(Box<Delivery>),
    Domain(Domain),
    Follow(AccountRef),
    End(End),
}

impl Head {
    pub(super) fn new(keys: &mesh_proto::keylog::KeyLog, from: Domain, made: u64) -> Self {
        let (account, address) = (keys.account(), keys.view().address().clone());
        Self { mesh_export: FORMAT, account, address, from, made, keys: keys.ops().cloned().collect() }
    }
}

/// Writes an export.
pub(super) struct Writer<'a> {
    sink: &'a mut dyn Write,
    path: &'a Path,
    end: End,
    domains: BTreeSet<Domain>,
    follows: BTreeMap<RecordId, AccountRef>,
}

impl<'a> Writer<'a> {
    /// Begins an export; `path` is what errors name.
    pub(super) fn new(sink: &'a mut dyn Write, path: &'a Path, head: Head) -> Result<Self> {
        let mut writer = Self { sink, path, end: End::default(), domains: BTreeSet::new(), follows: BTreeMap::new() };
        writer.line(&Line::Head(Box::new(head)))?;
        Ok(writer)
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| ClientError::Input(error.to_string()))?;
        bytes.push(b'\n');
        self.sink.write_all(&bytes).map_err(|error| file_error(self.path, error))
    }

    pub(super) fn part(&mut self, part: Delivery) -> Result<()> {
        for record in part.items.iter().filter_map(|item| Record::open(&item.envelope).ok().map(|record| (item.envelope.id(), record))) {
            match record.1.content {
                Content::Subscribe(subscribe) => drop(self.follows.insert(record.0, subscribe.object)),
                Content::Retract(retract) => drop(self.follows.remove(&retract.object)),
                _ => {}
            }
        }
        self.end.parts += 1;
        self.end.records += part.items.len() as u64;
        self.line(&Line::Part(Box::new(part)))
    }

    pub(super) fn domains(&mut self, domains: Vec<Domain>) -> Result<()> {
        for domain in domains {
            if self.domains.len() < EXPORT_NAMES_MAX && self.domains.insert(domain.clone()) {
                self.line(&Line::Domain(domain))?;
            }
        }
        Ok(())
    }

    /// Writes whom the account follows and the end.
    pub(super) fn finish(mut self) -> Result<End> {
        let follows: BTreeMap<AccountId, AccountRef> =
            std::mem::take(&mut self.follows).into_values().map(|who| (who.actor, who)).collect();
        for who in follows.into_values().take(EXPORT_NAMES_MAX) {
            self.end.follows += 1;
            self.line(&Line::Follow(who))?;
        }
        self.end.domains = self.domains.len() as u64;
        self.line(&Line::End(self.end))?;
        self.sink.flush().map_err(|error| file_error(self.path, error))?;
        Ok(self.end)
    }
}

/// What a line of an export brings.
pub(super) enum Item {
    Part(Box<Delivery>),
    Domain(Domain),
}

/// Reads an export file line by line.
pub struct Reader {
    path: PathBuf,
    lines: BufReader<File>,
    number: u64,
    seen: End,
    ended: bool,
}

/// Whether a text names a file that is there, rather than a domain.
pub fn opens(text: &str) -> bool {
    Path::new(text).is_file() || text.contains('/')
}

impl Reader {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// With the line's number, if it is not an export.
    pub fn open(path: &Path) -> Result<(Self, Head)> {
        let file = File::open(path).map_err(|error| file_error(path, error))?;
        let mut reader = Self { path: path.to_owned(), lines: BufReader::new(file), number: 0, seen: End::default(), ended: false };
        match reader.line()? {
            Some(Line::Head(head)) if head.mesh_export == FORMAT => Ok((reader, *head)),
            Some(Line::Head(head)) => {
                Err(reader.broken(format!("it is an export of format {}: this mesh reads format {FORMAT}", head.mesh_export)))
            }
            _ => Err(reader.broken("this is not an export: it does not begin with a head")),
        }
    }

    fn broken(&self, what: impl std::fmt::Display) -> ClientError {
        ClientError::Input(format!("{}, line {}: {what}", self.path.display(), self.number.max(1)))
    }

    fn line(&mut self) -> Result<Option<Line>> {
        let mut bytes = Vec::new();
        let read = (&mut self.lines).take(EXPORT_LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes);
        read.map_err(|error| file_error(&self.path, error))?;
        self.number += 1;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() as u64 > EXPORT_LINE_BYTES_MAX {
            return Err(self.broken(format!("it is longer than {EXPORT_LINE_BYTES_MAX} bytes")));
        }
        if bytes.last() != Some(&b'\n') {
            return Err(self.broken("the file breaks off in the middle of this line"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.broken(format!("this is not a line of an export: {error}")))
    }

    /// The next part or domain; `None` after the end.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        loop {
            let Some(line) = self.line()? else {
                return if self.ended { Ok(None) } else { Err(self.broken("the file ends before its end line: it was cut off")) };
            };
            if self.ended {
                return Err(self.broken("there is something after the end line"));
            }
            match line {
                Line::Head(_) => return Err(self.broken("a second head")),
                Line::Part(part) => {
                    self.seen.parts += 1;
                    self.seen.records += part.items.len() as u64;
                    if self.seen.parts > EXPORT_PARTS_MAX {
                        return Err(self.broken(format!("more than {EXPORT_PARTS_MAX} parts")));
                    }
                    return Ok(Some(Item::Part(part)));
                }
                Line::Domain(domain) => {
                    self.seen.domains += 1;
                    return Ok(Some(Item::Domain(domain)));
                }
                Line::Follow(_) => self.seen.follows += 1,
                Line::End(end) if end == self.seen => self.ended = true,
                Line::End(end) => {
                    let (seen, named) = (self.seen, end);
                    return Err(self.broken(format!(
                        "the file has {} parts with {} records, and its end says {} with {}: lines are missing or were added",
                        seen.parts, seen.records, named.parts, named.records
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_testkit::TestAccount;

    fn text() -> String {
        let neo = TestAccount::new("neo@one.localhost:8001", 1);
        let domain: Domain = "one.localhost:8001".parse().expect("a domain");
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Path::new("x"), Head::new(&neo.keys, domain.clone(), 5)).expect("written");
        writer.domains(vec![domain.clone(), domain]).expect("written");
        assert_eq!(writer.finish().expect("written"), End { domains: 1, ..End::default() });
        String::from_utf8(bytes).expect("text")
    }

    fn check(text: &str, expected: Result<usize, &str>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("export");
        std::fs::write(&path, text).expect("written");
        let read = Reader::open(&path).and_then(|(mut reader, _)| {
            let mut items = 0;
            while reader.next()?.is_some() {
                items += 1;
            }
            Ok(items)
        });
        match (read, expected) {
            (Ok(items), Ok(wanted)) => assert_eq!(items, wanted),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (read, _) => panic!("{read:?} for {text}"),
        }
    }

    #[test]
    fn whole_file_is_read_and_a_broken_one_is_refused_with_the_line() {
        let whole = text();
        check(&whole, Ok(1));
        let lines: Vec<&str> = whole.lines().collect();
        check(&format!("{}\n{}\n", lines[0], lines[1]), Err("line 3: the file ends before its end line"));
        check(whole.trim_end(), Err("line 3: the file breaks off"));
        check(&format!("{}\n{}\n", lines[0], lines[2]), Err("line 2: the file has 0 parts"));
        check(&format!("{whole}{}\n", lines[1]), Err("line 4: there is something after"));
        check(&format!("{}\nnonsense\n", lines[0]), Err("line 2: this is not a line of an export"));
        check(lines[1], Err("line 1"));
        check("", Err("line 1: this is not an export"));
        check(&whole.replacen("\"mesh_export\":1", "\"mesh_export\":2", 1), Err("format 2"));
    }

    #[test]
    fn line_is_bounded() {
        let long = "x".repeat(EXPORT_LINE_BYTES_MAX as usize + 10);
        check(&long, Err("line 1: it is longer than"));
    }
}
