//! Secrets in files: folder 0700, file 0600, replaced in one step.

use super::{KeystoreError, SecretStore};
use mesh_proto::bytes::{array_from_base64url, base64url};
use mesh_proto::key::{KeyId, SecretKey};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Mode of folders that hold secrets.
const FOLDER_MODE: u32 = 0o700;
/// Mode of files that hold secrets.
const FILE_MODE: u32 = 0o600;
/// Largest key file, bytes: 43 characters and a line feed.
const KEY_BYTES_MAX: u64 = 64;

/// One file per key under `keys/`.
pub(super) struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("keys") }
    }

    fn path(&self, device: &KeyId) -> PathBuf {
        self.folder.join(format!("{device}.key"))
    }
}

impl SecretStore for FileStore {
    fn save(&self, key: &SecretKey) -> Result<(), KeystoreError> {
        let text = Zeroizing::new(format!("{}\n", base64url(&*key.seed())));
        write_atomically(&self.path(&key.id()), text.as_bytes())
    }

    fn load(&self, device: &KeyId) -> Result<Option<SecretKey>, KeystoreError> {
        let path = self.path(device);
        check_mode(&self.folder, FOLDER_MODE)?;
        check_mode(&path, FILE_MODE)?;
        let Some(bytes) = read_capped(&path, KEY_BYTES_MAX)? else {
            return Ok(None);
        };
        let damaged = |what: &str| KeystoreError::Damaged { path: path.clone(), what: what.to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
        let seed = array_from_base64url::<32>(text.trim_end(), "seed").map_err(|_| damaged("it does not hold a seed"))?;
        let key = SecretKey::from_seed(&Zeroizing::new(seed));
        if key.id() == *device { Ok(Some(key)) } else { Err(damaged("it holds the seed of another key")) }
    }

    fn remove(&self, device: &KeyId) -> Result<(), KeystoreError> {
        let path = self.path(device);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeystoreError::File { path, source }),
            _ => Ok(()),
        }
    }
}

/// Reads a file of at most `bytes_max` bytes; `None` if there is none.
pub(crate) fn read_capped(path: &Path, bytes_max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, KeystoreError> {
    let file_error = |source| KeystoreError::File { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(file_error)?,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(file_error)?;
    if bytes.len() as u64 > bytes_max {
        return Err(KeystoreError::Damaged { path: path.to_owned(), what: format!("it has more than {bytes_max} bytes") });
    }
    Ok(Some(bytes))
}

/// Replaces a file in one step: written beside it (0600, in a folder of 0700 if that has to be made), synced, renamed, the folder synced.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(|source| KeystoreError::File { path: folder.to_owned(), source })?;
    replace(path, folder, bytes).map_err(|source| KeystoreError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, FOLDER_MODE);
    builder.create(folder)
}

/// Refuses what others than the owner may use. Elsewhere than on Unix the profile folder's own protection has to do.
#[cfg(unix)]
fn check_mode(path: &Path, wanted: u32) -> Result<(), KeystoreError> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeystoreError::Exposed { path: path.to_owned(), mode, wanted }) }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _wanted: u32) -> Result<(), KeystoreError> {
    Ok(())
}
