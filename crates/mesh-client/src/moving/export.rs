//! Making an export: page after page from a home, a former home or a mirror, or line after line from a file; each part is checked before it is kept.

use super::file::{End, Head, Item, Reader, Writer};
use super::part::check_part;
use super::{file_error, persist};
use crate::error::{ClientError, Result, words};
use crate::home::Home;
use crate::http::Signer;
use crate::limits::{EXPORT_PARTS_MAX, REFUSALS_TOLD_MAX};
use crate::verify::Verifying;
use mesh_proto::address::Domain;
use mesh_proto::api::Delivery;
use mesh_proto::key::KeyId;
use mesh_proto::keylog::KeyLog;
use mesh_proto::log::Origin;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Where the records come from.
pub enum Source<'a> {
    /// A domain that has them; one of the account's devices asks.
    Home(&'a Home, &'a Signer),
    /// A saved export.
    File(Box<Reader>, Domain),
}

/// What an export holds, and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What the file holds.
    #[serde(flatten)]
    pub holds: End,
    /// Records that their author does not stand by.
    pub disowned: u64,
    /// Records in logs for which nobody vouches: their domains do not answer, and their keys are not known here.
    pub unvouched: u64,
    /// Records whose signature does not hold. They are kept: the new home judges them again.
    pub unsigned: u64,
    /// Records that were left out, because their log does not have them as was said.
    pub left_out: u64,
    /// Why, a few of them.
    pub why: Vec<String>,
}

/// An export about to be made: whose, and with which key log.
pub struct Pack<'a> {
    /// Finds the keys of logs.
    pub verifying: &'a Verifying,
    /// The account's verified key log.
    pub keys: &'a KeyLog,
    /// When it is made.
    pub now_ms: u64,
}

impl Pack<'_> {
    /// Writes an export to a file, which is there whole or not at all.
    pub async fn save(&self, source: Source<'_>, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Summary> {
        let failed = |error| file_error(path, error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let summary = {
            let mut sink = BufWriter::new(file.as_file_mut());
            self.write(source, (&mut sink, path), progress).await?
        };
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        #[cfg(unix)]
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(summary)
    }

    /// Writes an export. `progress` is told how many records were written so far.
    pub async fn write(&self, mut source: Source<'_>, to: (&mut dyn Write, &Path), progress: &mut dyn FnMut(u64)) -> Result<Summary> {
        let head = Head::new(self.keys, source.domain(), self.now_ms);
        let mut writer = Writer::new(to.0, to.1, head)?;
        let mut summary = Summary::default();
        let mut log_keys: BTreeMap<Origin, Option<KeyId>> = BTreeMap::new();
        let mut place = Some(0);
        let (mut pages, mut records) = (0, 0);
        while let Some(from) = place {
            let page = source.page(self.keys, from).await?;
            place = page.next;
            pages += 1;
            if pages > EXPORT_PARTS_MAX {
                return Err(ClientError::malformed(&source.domain(), "its export does not end"));
            }
            writer.domains(page.domains)?;
            let Some(part) = page.part else { continue };
            if !log_keys.contains_key(&part.origin) {
                let key = self.verifying.known_log_key(&part.origin).await;
                log_keys.insert(part.origin.clone(), key);
            }
            let key = log_keys.get(&part.origin).copied().flatten();
            if summary.judge(&part, self.keys, key) {
                records += part.items.len() as u64;
                writer.part(part)?;
                progress(records);
            }
        }
        summary.holds = writer.finish()?;
        Ok(summary)
    }
}

impl Summary {
    /// Checks a part and counts what is found; whether it is worth keeping.
    fn judge(&mut self, part: &Delivery, keys: &KeyLog, key: Option<KeyId>) -> bool {
        let records = part.items.len() as u64;
        match check_part(part, keys, key.as_ref()) {
            Ok(found) => {
                self.disowned += found.disowned as u64;
                self.unsigned += found.refused.len() as u64;
                if !found.vouched {
                    self.unvouched += records;
                }
                found.refused.iter().for_each(|mistrust| self.tell(mistrust));
                true
            }
            Err(mistrust) => {
                self.left_out += records;
                self.tell(&mistrust);
                false
            }
        }
    }

    fn tell(&mut self, mistrust: &crate::verify::Mistrust) {
        if self.why.len() < REFUSALS_TOLD_MAX {
            self.why.push(words(mistrust));
        }
    }
}

/// Some of what a source has.
struct Page {
    part: Option<Delivery>,
    domains: Vec<Domain>,
    /// Where to go on, if there may be more.
    next: Option<u64>,
}

impl Source<'_> {
    /// Who handed the records out.
    fn domain(&self) -> Domain {
        match self {
            Self::Home(home, _) => home.domain().clone(),
            Self::File(_, from) => from.clone(),
        }
    }

    async fn page(&mut self, keys: &KeyLog, from: u64) -> Result<Page> {
        match self {
            Self::Home(home, signer) => {
                let page = persist(async || home.export(signer, &keys.account(), from).await).await?;
                if page.more && page.next <= from {
                    return Err(ClientError::malformed(home.domain(), "its export does not go on"));
                }
                Ok(Page { part: page.part, domains: page.domains, next: page.more.then_some(page.next) })
            }
            Self::File(reader, _) => Ok(match reader.next()? {
                Some(Item::Part(part)) => Page { part: Some(*part), domains: Vec::new(), next: Some(from) },
                Some(Item::Domain(domain)) => Page { part: None, domains: vec![domain], next: Some(from) },
                None => Page { part: None, domains: Vec::new(), next: None },
            }),
        }
    }
}
