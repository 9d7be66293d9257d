//! Opening an index: what lies in its folder is checked before it is believed.
//!
//! A folder holds `a` or `b`, and the file `current`, which names the one that counts. An index that is damaged, or made by another analysis, is built anew
//! in the other one while what can be read of it is still searched; then `current` is replaced, by rename, and the old one removed. A crash in between leaves both: the new one
//! knows how far it has come.

use crate::analysis::ANALYSER;
use crate::error::SearchError;
use crate::index::Index;
use crate::index::schema::Fields;
use crate::index::source::Source;
use crate::index::writer::{Stamp, Writer};
use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::index::SegmentComponent;
use tantivy::{IndexReader, ReloadPolicy};

const POINTER: &str = "current";
/// The files of a segment, but for the list of its removed documents.
const PARTS: [SegmentComponent; 6] = [
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::Terms,
    SegmentComponent::Store,
    SegmentComponent::FastFields,
    SegmentComponent::FieldNorms,
];
const NAMES: [&str; 2] = ["a", "b"];

/// An index that was opened.
pub struct Opened {
    /// To search.
    pub index: Index,
    /// To write.
    pub writer: Writer,
    /// How far the index has come ([`Writer::reached`]): feed from here on. 0 for a new one.
    pub upto: u64,
    /// Why the index is being built anew: when all is fed, call [`Writer::rebuilt`].
    pub rebuild: Option<Rebuild>,
}

/// Why an index is built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// Files are missing or are not what was written.
    Damaged,
    /// Another version of the analysis made it.
    OtherAnalyser,
}

impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the search index is damaged; it is built anew from the store, until then searches find what can be read",
            Self::OtherAnalyser => {
                "the search index is of another version; it is built anew from the store, until then searches use the old one"
            }
        })
    }
}

/// One of the two folders, open.
pub(crate) struct Folder {
    pub(crate) index: tantivy::Index,
    root: PathBuf,
    name: &'static str,
}

impl Index {
    /// Opens the index in this folder, or makes one.
    pub fn open(root: &Path) -> Result<Opened, SearchError> {
        fs::create_dir_all(root)?;
        let current = current(root);
        let other = if current == NAMES[0] { NAMES[1] } else { NAMES[0] };
        if !root.join(current).exists() {
            let folder = Folder::create(root, current)?;
            folder.take_place()?;
            return folder.open(None, 0, None);
        }
        let why = match Folder::sound(root, current) {
            Ok((folder, upto)) => {
                remove(&root.join(other))?;
                return folder.open(None, upto, None);
            }
            Err(why) => why,
        };
        tracing::warn!(why = %why, "search.index.rebuild");
        let (folder, upto) = match Folder::sound(root, other) {
            Ok(sound) => sound,
            Err(_) => {
                remove(&root.join(other))?;
                (Folder::create(root, other)?, 0)
            }
        };
        folder.open(readable(root, current), upto, Some(why))
    }
}

impl Folder {
    fn create(root: &Path, name: &'static str) -> Result<Self, SearchError> {
        fs::create_dir_all(root.join(name))?;
        let (schema, _) = Fields::schema();
        let index = tantivy::Index::create_in_dir(root.join(name), schema)?;
        Ok(Self { index, root: root.to_owned(), name })
    }

    /// The folder and how far it has come, if every byte of it is as it was written, by this analysis.
    fn sound(root: &Path, name: &'static str) -> Result<(Self, u64), Rebuild> {
        let damaged = |error: tantivy::TantivyError| {
            tracing::warn!(error = &error as &dyn std::error::Error, "search.index.damaged");
            Rebuild::Damaged
        };
        let index = tantivy::Index::open_in_dir(root.join(name)).map_err(damaged)?;
        let meta = index.load_metas().map_err(damaged)?;
        let stamp = match &meta.payload {
            Some(payload) => serde_json::from_str::<Stamp>(payload).map_err(|_| Rebuild::Damaged)?,
            None if meta.segments.is_empty() => Stamp { analyser: ANALYSER.to_owned(), upto: 0 },
            None => return Err(Rebuild::Damaged),
        };
        if stamp.analyser != ANALYSER || index.schema() != Fields::schema().0 {
            return Err(Rebuild::OtherAnalyser);
        }
        if !damaged_segments(&index).map_err(damaged)?.is_empty() {
            return Err(Rebuild::Damaged);
        }
        Ok((Self { index, root: root.to_owned(), name }, stamp.upto))
    }

    fn open(self, old: Option<Arc<Source>>, upto: u64, rebuild: Option<Rebuild>) -> Result<Opened, SearchError> {
        let (_, fields) = Fields::schema();
        let source = Arc::new(Source::open(self.reader()?.searcher(), fields)?);
        let generation = self.index.load_metas()?.opstamp;
        let sources = [source].into_iter().chain(old).collect();
        let index = Index::new(fields, sources, generation);
        let writer = Writer::start(index.clone(), self, upto)?;
        Ok(Opened { index, writer, upto, rebuild })
    }

    pub(crate) fn reader(&self) -> Result<IndexReader, SearchError> {
        Ok(self.index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(0).try_into()?)
    }

    /// Makes this the folder that counts, and removes the other.
    pub(crate) fn take_place(&self) -> Result<(), SearchError> {
        let temporary = self.root.join("current.new");
        let mut file = fs::File::create(&temporary)?;
        file.write_all(self.name.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.root.join(POINTER))?;
        fs::File::open(&self.root)?.sync_all()?;
        for name in NAMES.into_iter().filter(|name| *name != self.name) {
            remove(&self.root.join(name))?;
        }
        Ok(())
    }
}

/// The folder that counts. Without a pointer, one that is there: it knows itself how far it has come.
fn current(root: &Path) -> &'static str {
    let named = fs::read_to_string(root.join(POINTER)).unwrap_or_default();
    let named = NAMES.into_iter().find(|name| *name == named.trim());
    named.or_else(|| NAMES.into_iter().find(|name| root.join(name).exists())).unwrap_or(NAMES[0])
}

/// Segments of which a file is missing or not as it was written.
fn damaged_segments(index: &tantivy::Index) -> tantivy::Result<HashSet<String>> {
    let mut damaged = HashSet::new();
    for segment in index.searchable_segment_metas()? {
        let deleted = segment.has_deletes().then_some(SegmentComponent::Delete);
        let mut files = PARTS.iter().cloned().chain(deleted).map(|part| segment.relative_path(part));
        let whole = files.all(|file| index.directory().validate_checksum(&file).unwrap_or(false));
        if !whole || tantivy::SegmentReader::open(&index.segment(segment.clone())).is_err() {
            damaged.insert(segment.id().uuid_string());
        }
    }
    Ok(damaged)
}

/// What can still be searched of a folder that is given up: its whole segments.
fn readable(root: &Path, name: &'static str) -> Option<Arc<Source>> {
    let (schema, fields) = Fields::schema();
    let path = root.join(name);
    let index = tantivy::Index::open_in_dir(&path).ok().filter(|index| index.schema() == schema)?;
    let damaged = damaged_segments(&index).ok()?;
    if !damaged.is_empty() {
        leave_out(&path, &damaged)?;
    }
    let index = tantivy::Index::open_in_dir(&path).ok()?;
    let reader = Folder { index, root: root.to_owned(), name }.reader().ok()?;
    Source::open(reader.searcher(), fields).ok().map(Arc::new)
}

/// Takes segments out of a folder's list.
fn leave_out(path: &Path, damaged: &HashSet<String>) -> Option<()> {
    let list = path.join("meta.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&fs::read(&list).ok()?).ok()?;
    let is_whole = |segment: &serde_json::Value| {
        let id = segment.get("segment_id").and_then(|id| id.as_str()).unwrap_or_default().replace('-', "");
        !damaged.contains(&id)
    };
    meta.get_mut("segments")?.as_array_mut()?.retain(is_whole);
    fs::write(&list, meta.to_string()).ok()
}

fn remove(folder: &Path) -> Result<(), SearchError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
