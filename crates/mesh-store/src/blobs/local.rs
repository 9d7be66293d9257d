//! Blobs as local files, `b/<2 hex>/<64 hex>`, through `object_store` with syncing switched on.
//!
//! An upload goes to `t/<random>` while it is hashed, is synced, and is then renamed to its hash; file and folders are synced before
//! `put` resolves. Renaming replaces: the content is the same by construction, and a copy that has rotted is healed. A crash leaves files
//! in `t/`, which [`Blobs::sweep_uploads`] removes. Runs no task of its own.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::{Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{BlobError, BlobHash, BlobInfo, BlobStream, Blobs};
use crate::limits::{BLOB_BYTES_MAX, BLOB_PART_BYTES};

const UPLOADS: &str = "t";

/// See the module.
#[derive(Debug)]
pub struct LocalBlobs {
    store: LocalFileSystem,
    folder: PathBuf,
    names: RandomState,
    uploads: AtomicU64,
}

impl LocalBlobs {
    /// Opens a folder of blobs, creating it if it is missing.
    ///
    /// # Errors
    /// `Storage` if the folder cannot be created or read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, BlobError> {
        let folder = folder.as_ref();
        let failed =
            |source: std::io::Error| storage("creating the folder of blobs")(Error::Generic { store: "local", source: source.into() });
        std::fs::create_dir_all(folder.join(UPLOADS)).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(storage("opening the folder of blobs"))?.with_fsync(true);
        Ok(Self { store, folder, names: RandomState::new(), uploads: AtomicU64::new(0) })
    }

    fn upload_path(&self) -> object_store::path::Path {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        object_store::path::Path::from(format!("{UPLOADS}/{:016x}", self.names.hash_one(number)))
    }

    async fn store(&self, mut content: BlobStream<'_, std::io::Error>, limit_bytes: u64) -> Result<BlobInfo, BlobError> {
        let limit_bytes = limit_bytes.min(BLOB_BYTES_MAX);
        let path = self.upload_path();
        let failed = storage("storing a blob");
        let mut upload = self.store.put_multipart(&path).await.map_err(&failed)?;
        let received = receive(&mut *upload, &mut content, limit_bytes).await;
        let (hash, size_bytes) = match received {
            Ok(received) => received,
            Err(error) => {
                // The first error says more; what stays behind is swept.
                let _ = upload.abort().await;
                return Err(error);
            }
        };
        upload.complete().await.map_err(&failed)?;
        self.store.rename(&path, &key(hash)).await.map_err(&failed)?;
        Ok(BlobInfo { hash, size_bytes, modified: SystemTime::now() })
    }

    async fn read(&self, hash: BlobHash, range: Option<Range<u64>>) -> Result<object_store::GetResult, BlobError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        self.store.get_opts(&key(hash), options).await.map_err(|error| read_error(error, hash))
    }
}

/// Sends a stream to an upload in parts, hashing it.
async fn receive(
    upload: &mut dyn MultipartUpload,
    content: &mut BlobStream<'_, std::io::Error>,
    limit_bytes: u64,
) -> Result<(BlobHash, u64), BlobError> {
    let failed = storage("storing a blob");
    let mut hasher = blake3::Hasher::new();
    let mut part = BytesMut::new();
    while let Some(chunk) = content.next().await {
        let chunk = chunk.map_err(|error| BlobError::Source(Arc::new(error)))?;
        hasher.update(&chunk);
        if hasher.count() > limit_bytes {
            return Err(BlobError::TooLarge { limit_bytes });
        }
        part.extend_from_slice(&chunk);
        if part.len() >= BLOB_PART_BYTES {
            upload.put_part(part.split().freeze().into()).await.map_err(&failed)?;
        }
    }
    if !part.is_empty() {
        upload.put_part(part.freeze().into()).await.map_err(&failed)?;
    }
    Ok((BlobHash(*hasher.finalize().as_bytes()), hasher.count()))
}

fn key(hash: BlobHash) -> object_store::path::Path {
    object_store::path::Path::from(format!("b/{:02x}/{hash}", hash.0[0]))
}

fn info(hash: BlobHash, meta: &ObjectMeta) -> BlobInfo {
    BlobInfo { hash, size_bytes: meta.size, modified: meta.last_modified.into() }
}

/// Wraps an error of the storage, telling a full disk from the rest.
fn storage(doing: &'static str) -> impl Fn(Error) -> BlobError {
    move |error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if inner.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull) {
                return BlobError::Full;
            }
            cause = inner.source();
        }
        BlobError::Storage { doing, source: Arc::new(error) }
    }
}

fn read_error(error: Error, hash: BlobHash) -> BlobError {
    match error {
        Error::NotFound { .. } => BlobError::NotFound(hash),
        other => storage("reading a blob")(other),
    }
}

impl Blobs for LocalBlobs {
    fn put<'a>(&'a self, content: BlobStream<'a, std::io::Error>, limit_bytes: u64) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.store(content, limit_bytes))
    }

    fn get(&self, hash: BlobHash, limit_bytes: u64) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        Box::pin(async move {
            let found = self.read(hash, None).await?;
            if found.meta.size > limit_bytes {
                return Err(BlobError::TooLarge { limit_bytes });
            }
            let content = found.bytes().await.map_err(|error| read_error(error, hash))?;
            if BlobHash::of(&content) == hash { Ok(content) } else { Err(BlobError::Corrupt(hash)) }
        })
    }

    fn get_range(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<BlobStream<'static, BlobError>, BlobError>> {
        Box::pin(async move {
            let bad = BlobError::BadRange { start: range.start, end: range.end };
            let info = self.head(hash).await?.ok_or(BlobError::NotFound(hash))?;
            let range = range.start..range.end.min(info.size_bytes);
            if range.is_empty() {
                return Err(bad);
            }
            let found = self.read(hash, Some(range)).await?;
            Ok(found.into_stream().map_err(move |error| read_error(error, hash)).boxed())
        })
    }

    fn verify(&self, hash: BlobHash) -> BoxFuture<'_, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let found = self.read(hash, None).await?;
            let info = info(hash, &found.meta);
            let mut content = found.into_stream();
            let mut hasher = blake3::Hasher::new();
            while let Some(chunk) = content.next().await {
                hasher.update(&chunk.map_err(|error| read_error(error, hash))?);
            }
            if hasher.finalize() == blake3::Hash::from_bytes(hash.0) { Ok(info) } else { Err(BlobError::Corrupt(hash)) }
        })
    }

    fn head(&self, hash: BlobHash) -> BoxFuture<'_, Result<Option<BlobInfo>, BlobError>> {
        Box::pin(async move {
            match self.store.head(&key(hash)).await {
                Ok(meta) => Ok(Some(info(hash, &meta))),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(read_error(error, hash)),
            }
        })
    }

    fn delete(&self, hash: BlobHash) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            match self.store.delete(&key(hash)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(storage("deleting a blob")(error)),
            }
        })
    }

    fn list(&self, first_byte: u8) -> BoxFuture<'_, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            let prefix = object_store::path::Path::from(format!("b/{first_byte:02x}"));
            let found: Vec<ObjectMeta> = self.store.list(Some(&prefix)).try_collect().await.map_err(storage("listing blobs"))?;
            let mut blobs: Vec<BlobInfo> =
                found.iter().filter_map(|meta| meta.location.filename()?.parse().ok().map(|hash| info(hash, meta))).collect();
            blobs.sort_unstable_by_key(|blob| blob.hash);
            Ok(blobs)
        })
    }

    fn local_file(&self, hash: BlobHash) -> Option<PathBuf> {
        self.store.path_to_filesystem(&key(hash)).ok()
    }

    fn sweep_uploads(&self, older_than: Duration) -> BoxFuture<'_, Result<usize, BlobError>> {
        let folder = self.folder.join(UPLOADS);
        Box::pin(async move {
            // `object_store` hides unfinished uploads from its lists, so this reads the folder itself.
            let sweep = tokio::task::spawn_blocking(move || sweep(&folder, older_than)).await;
            let outcome = sweep.map_err(std::io::Error::other).and_then(|swept| swept);
            outcome.map_err(|source| storage("sweeping uploads")(Error::Generic { store: "local", source: source.into() }))
        })
    }
}

fn sweep(folder: &Path, older_than: Duration) -> std::io::Result<usize> {
    let now = SystemTime::now();
    let mut swept = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|data| data.modified()).map(|modified| now.duration_since(modified).unwrap_or_default());
        // A file that vanished meanwhile was an upload that ended.
        if age.is_ok_and(|age| age >= older_than) && std::fs::remove_file(entry.path()).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}
