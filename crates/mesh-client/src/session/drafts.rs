//! Words that are not published yet.
//!
//! Each draft is a file of its own in `drafts/` beside the identity, readable by its owner only and replaced in one step: two programs that keep words at
//! the same moment take nothing from each other. What was signed is kept before it is sent, so that whoever sends it again sends the same record: it is
//! published once, however often its answer was lost.

use crate::error::{ClientError, Result};
use crate::keystore::{KeystoreError, read_capped, write_atomically};
use crate::limits::{DRAFT_BYTES_MAX, DRAFT_NAME_CHARS_MAX, DRAFTS_MAX};
use mesh_proto::envelope::Envelope;
use mesh_proto::record::Post;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The folder's name in that of the identity.
const FOLDER: &str = "drafts";
/// Held while a draft is published.
const LOCK_FILE: &str = ".lock";

/// What is to be said, as far as it is known without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Words {
    /// A post.
    Post {
        /// The post, but for its preview.
        post: Box<Post>,
        /// The link whose preview is fetched when it is published.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preview: Option<String>,
    },
    /// A comment.
    Comment {
        /// The link to what it answers.
        target: String,
        /// What it says.
        text: String,
        /// Its language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lang: Option<String>,
    },
    /// A new version of one's own post or comment.
    Edit {
        /// The link to it.
        target: String,
        /// What it says now.
        text: String,
        /// A new title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// New tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        /// A new language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lang: Option<String>,
    },
}

/// A draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What is to be said.
    pub words: Words,
    /// When it was kept last, milliseconds since the epoch.
    pub kept: u64,
    /// When the home is to publish it, milliseconds since the epoch; at once if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_at: Option<u64>,
    /// What was signed and perhaps sent: it may be published already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Envelope>,
}

/// The drafts of an identity.
#[derive(Debug, Clone)]
pub struct Drafts {
    folder: PathBuf,
}

/// While it lives, nobody else publishes a draft of this identity.
#[derive(Debug)]
pub struct Publishing {
    _lock: File,
}

impl Words {
    /// A post of nothing but this.
    pub fn post(post: Post) -> Self {
        Self::Post { post: Box::new(post), preview: None }
    }

    /// What they say.
    pub fn text(&self) -> &str {
        match self {
            Self::Post { post, .. } => &post.text,
            Self::Comment { text, .. } | Self::Edit { text, .. } => text,
        }
    }

    /// Lets them say something else.
    pub fn set_text(&mut self, new: String) {
        match self {
            Self::Post { post, .. } => post.text = new,
            Self::Comment { text, .. } | Self::Edit { text, .. } => *text = new,
        }
    }
}

impl Draft {
    /// Words that nobody has signed.
    pub fn new(words: Words, now_ms: u64) -> Self {
        Self { words, kept: now_ms, publish_at: None, signed: None }
    }
}

impl Drafts {
    /// The drafts of the identity in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join(FOLDER) }
    }

    /// All drafts with their names, those kept last at the end.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub fn list(&self) -> Result<Vec<(String, Draft)>> {
        let mut drafts = Vec::new();
        for name in self.names()? {
            drafts.extend(self.load(&name)?.map(|draft| (name, draft)));
        }
        drafts.sort_by_key(|(_, draft)| draft.kept);
        Ok(drafts)
    }

    /// The draft of this name.
    ///
    /// # Errors
    /// A name that no draft can have, or a file that cannot be read or is damaged.
    pub fn load(&self, name: &str) -> Result<Option<Draft>> {
        let path = self.path(name)?;
        let Some(bytes) = read_capped(&path, DRAFT_BYTES_MAX)? else { return Ok(None) };
        if bytes.is_empty() {
            // The name was taken, and then the program ended.
            return Ok(None);
        }
        let damaged = |error: serde_json::Error| KeystoreError::Damaged { path: path.clone(), what: error.to_string() };
        Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
    }

    /// Keeps a new draft under this name, or under the next number.
    ///
    /// # Errors
    /// A name that is taken or that no draft can have, too many drafts, or a disk that does not take it.
    pub fn keep(&self, name: Option<&str>, draft: &Draft) -> Result<String> {
        let names = self.names()?;
        if names.len() >= DRAFTS_MAX {
            return Err(ClientError::Input(format!("at most {DRAFTS_MAX} drafts are kept: publish or delete some first")));
        }
        let name = match name {
            Some(name) if self.take(name)? => name.to_owned(),
            Some(name) => return Err(ClientError::Input(format!("there is a draft {name} already: edit it, or choose another name"))),
            None => {
                let mut number = names.iter().filter_map(|name| name.parse::<u64>().ok()).max().unwrap_or_default() + 1;
                while !self.take(&number.to_string())? {
                    number += 1;
                }
                number.to_string()
            }
        };
        self.save(&name, draft)?;
        Ok(name)
    }

    /// Replaces a draft in one step.
    ///
    /// # Errors
    /// A name that no draft can have, or a disk that does not take it.
    pub fn save(&self, name: &str, draft: &Draft) -> Result<()> {
        let path = self.path(name)?;
        let damaged = |error: serde_json::Error| KeystoreError::Damaged { path: path.clone(), what: error.to_string() };
        let bytes = serde_json::to_vec_pretty(draft).map_err(damaged)?;
        if bytes.len() as u64 > DRAFT_BYTES_MAX {
            return Err(ClientError::Input(format!("a draft has at most {DRAFT_BYTES_MAX} bytes with all that belongs to it")));
        }
        Ok(write_atomically(&path, &bytes)?)
    }

    /// Forgets a draft; forgetting one that is not there is no error.
    ///
    /// # Errors
    /// A name that no draft can have, or a disk that refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeystoreError::File { path, source }.into()),
            _ => Ok(()),
        }
    }

    /// Waits until nobody else publishes a draft.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn publishing(&self) -> Result<Publishing> {
        let path = self.folder.join(LOCK_FILE);
        let locked = make_folder(&self.folder).and_then(|()| lock(&path));
        Ok(Publishing { _lock: locked.map_err(|source| KeystoreError::File { path, source })? })
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > DRAFT_NAME_CHARS_MAX || !name.chars().all(is_word) || name.starts_with('-') {
            return Err(ClientError::Input(format!("a draft's name has 1 to {DRAFT_NAME_CHARS_MAX} of a-z, 0-9 and -")));
        }
        Ok(self.folder.join(format!("{name}.json")))
    }

    /// Takes a name; answers whether it was free.
    fn take(&self, name: &str) -> Result<bool> {
        let path = self.path(name)?;
        let taken = make_folder(&self.folder).and_then(|()| {
            let mut options = File::options();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&path).map(drop)
        });
        match taken {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(KeystoreError::File { path, source }.into()),
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KeystoreError::File { path: self.folder.clone(), source }.into()),
            Ok(entries) => entries,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned));
        Ok(names.filter(|name| self.path(name).is_ok()).collect())
    }
}

/// Waits until nobody else holds the file.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    file.lock()?;
    Ok(file)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str, kept: u64) -> Draft {
        Draft::new(Words::post(Post::free(text)), kept)
    }

    #[test]
    fn drafts_get_numbers_or_names_and_are_there_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let drafts = Drafts::new(folder.path());
        assert!(drafts.list().expect("nothing").is_empty());
        assert_eq!(drafts.keep(None, &draft("one", 1)).expect("kept"), "1");
        assert_eq!(drafts.keep(Some("beans"), &draft("two", 3)).expect("kept"), "beans");
        assert_eq!(drafts.keep(None, &draft("three", 2)).expect("kept"), "2");
        assert!(drafts.keep(Some("beans"), &draft("four", 4)).is_err());
        let names: Vec<String> = drafts.list().expect("there").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["1", "2", "beans"]);
        assert_eq!(drafts.load("beans").expect("there").expect("there").words.text(), "two");
        drafts.remove("1").expect("gone");
        assert_eq!(drafts.load("1").expect("readable"), None);
        // A number is not used again while a higher one is in use.
        assert_eq!(drafts.keep(None, &draft("five", 5)).expect("kept"), "3");
    }

    #[test]
    fn names_lead_nowhere_else_and_damaged_drafts_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let drafts = Drafts::new(folder.path());
        for name in ["", "../identity", "A", "-x", "a.b", &"a".repeat(65)] {
            assert!(drafts.load(name).is_err(), "{name}");
        }
        drafts.keep(Some("a"), &draft("one", 1)).expect("kept");
        std::fs::write(folder.path().join("drafts/a.json"), "{\"words\":").expect("written");
        assert!(drafts.load("a").is_err());
        // What a program left behind that ended when it had taken a name.
        std::fs::write(folder.path().join("drafts/b.json"), "").expect("written");
        assert_eq!(drafts.load("b").expect("readable"), None);
    }

    #[test]
    fn full_folder_and_huge_draft_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let drafts = Drafts::new(folder.path());
        assert!(drafts.keep(None, &draft(&"x".repeat(DRAFT_BYTES_MAX as usize), 1)).is_err());
        for number in drafts.names().expect("there").len()..DRAFTS_MAX {
            std::fs::write(folder.path().join(format!("drafts/n{number}.json")), "").expect("written");
        }
        assert!(drafts.keep(None, &draft("one too many", 1)).is_err());
    }
}
