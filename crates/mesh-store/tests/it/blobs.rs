//! Blobs in local files.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use mesh_store::blobs::{BlobError, BlobStream};
use mesh_store::limits::BLOB_PART_BYTES;
use mesh_store::{BlobHash, Blobs, LocalBlobs};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn stream(bytes: &[u8], chunk: usize) -> BlobStream<'_, io::Error> {
    stream::iter(bytes.chunks(chunk).map(|part| Ok(Bytes::copy_from_slice(part)))).boxed()
}

fn open() -> (tempfile::TempDir, Box<dyn Blobs>) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(folder.path()).unwrap();
    (folder, Box::new(blobs))
}

fn uploads(folder: &tempfile::TempDir) -> usize {
    std::fs::read_dir(folder.path().join("t")).unwrap().count()
}

#[tokio::test]
async fn a_blob_is_found_under_its_hash() {
    let (folder, blobs) = open();
    for length in [0, 1, 1000, BLOB_PART_BYTES, 3 * BLOB_PART_BYTES + 17] {
        let bytes = content(length);
        let put = blobs.put(stream(&bytes, 70_001), u64::MAX).await.unwrap();
        assert_eq!((put.hash, put.size_bytes), (BlobHash::of(&bytes), length as u64));
        assert_eq!(blobs.get(put.hash, length as u64).await.unwrap(), bytes);
        assert_eq!(blobs.head(put.hash).await.unwrap().unwrap().size_bytes, length as u64);
        assert_eq!(blobs.verify(put.hash).await.unwrap().hash, put.hash);
        let file = blobs.local_file(put.hash).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
        let hex = put.hash.to_string();
        assert!(file.ends_with(format!("b/{}/{hex}", &hex[..2])), "{file:?}");
        assert_eq!(hex.parse::<BlobHash>().unwrap(), put.hash);
        assert!(hex.to_uppercase().parse::<BlobHash>().is_err() || hex.bytes().all(|digit| digit.is_ascii_digit()));
    }
    assert_eq!(uploads(&folder), 0);
}

#[tokio::test]
async fn putting_twice_keeps_one_and_heals_damage() {
    let (_folder, blobs) = open();
    let bytes = content(5000);
    let first = blobs.put(stream(&bytes, 999), 5000).await.unwrap();
    std::fs::write(blobs.local_file(first.hash).unwrap(), &bytes[..4000]).unwrap();
    assert!(matches!(blobs.get(first.hash, 9999).await, Err(BlobError::Corrupt(_))));
    assert!(matches!(blobs.verify(first.hash).await, Err(BlobError::Corrupt(_))));
    let second = blobs.put(stream(&bytes, 100), 5000).await.unwrap();
    assert_eq!(first.hash, second.hash);
    assert_eq!(blobs.get(first.hash, 5000).await.unwrap(), bytes);
    let all: Vec<_> = blobs.list(first.hash.0[0]).await.unwrap().iter().map(|blob| (blob.hash, blob.size_bytes)).collect();
    assert_eq!(all, [(first.hash, 5000)]);
    assert_eq!(blobs.list(first.hash.0[0].wrapping_add(1)).await.unwrap(), []);
}

#[tokio::test]
async fn too_much_or_broken_content_leaves_nothing() {
    let (folder, blobs) = open();
    let bytes = content(2 * BLOB_PART_BYTES);
    let limit_bytes = bytes.len() as u64 - 1;
    let outcome = blobs.put(stream(&bytes, 4096), limit_bytes).await;
    assert!(matches!(outcome, Err(BlobError::TooLarge { .. })), "{outcome:?}");
    let broken = stream::iter([Ok(Bytes::from_static(b"abc")), Err(io::Error::other("gone"))]).boxed();
    let outcome = blobs.put(broken, 100).await;
    assert!(matches!(outcome, Err(BlobError::Source(_))), "{outcome:?}");
    assert_eq!(blobs.head(BlobHash::of(&bytes)).await.unwrap(), None);
    assert_eq!(uploads(&folder), 0);
    assert!(matches!(blobs.get(BlobHash::of(b"x"), 9).await, Err(BlobError::NotFound(_))));
}

#[tokio::test]
async fn ranges_are_cut_at_the_end_and_refused_outside() {
    let (_folder, blobs) = open();
    let bytes = content(10_000);
    let hash = blobs.put(stream(&bytes, 10_000), 10_000).await.unwrap().hash;
    for (start, end) in [(0, 10_000), (5, 6), (9_000, 20_000), (9_999, u64::MAX)] {
        let parts: Vec<Bytes> = blobs.get_range(hash, start..end).await.unwrap().try_collect().await.unwrap();
        assert_eq!(parts.concat(), &bytes[start as usize..(end as usize).min(10_000)]);
    }
    for range in [3..3, 10_000..10_001, std::ops::Range { start: 9, end: 3 }] {
        let outcome = blobs.get_range(hash, range.clone()).await.map(|_| ());
        assert!(matches!(outcome, Err(BlobError::BadRange { .. })), "{range:?}: {outcome:?}");
    }
    assert!(matches!(blobs.get_range(BlobHash::of(b"x"), 0..1).await.map(|_| ()), Err(BlobError::NotFound(_))));
}

#[tokio::test]
async fn deleting_is_repeatable() {
    let (_folder, blobs) = open();
    let hash = blobs.put(stream(b"abc", 2), 3).await.unwrap().hash;
    blobs.delete(hash).await.unwrap();
    assert_eq!(blobs.head(hash).await.unwrap(), None);
    blobs.delete(hash).await.unwrap();
}

#[tokio::test]
async fn uploads_of_a_dead_process_are_swept() {
    let (folder, blobs) = open();
    std::fs::write(folder.path().join("t/0123456789abcdef#1"), "half").unwrap();
    std::fs::write(folder.path().join("t/fedcba9876543210"), "whole, not renamed").unwrap();
    assert_eq!(blobs.sweep_uploads(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(blobs.sweep_uploads(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(uploads(&folder), 0);
}
