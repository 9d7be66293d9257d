//! Bytes on disk for each reference, once compacted; the cache of bodies and the journal do not count.

use crate::Options;
use crate::prefill::Prefill;
use crate::report::{Bound, Report};
use mesh_store::{Config, FjallStore, Kv, Space};
use std::path::Path;

/// What may be lost and is fetched again.
const CACHES: [Space; 2] = [Space::Cache, Space::CachePlace];

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let prefill = Prefill::get(options).await?;
    let data = prefill.copy()?;
    let folder = data.path().join("store");
    let status = tokio::task::block_in_place(|| {
        let store = FjallStore::open(&folder, Config::default())?;
        store.compact()?;
        store.close()?;
        anyhow::Ok(store.status())
    })?;
    let references = prefill.manifest.references;
    let mut report = Report::new("disk");
    report.condition(format!("{references} references, compacted; the spaces that take most, bytes for each reference:"));
    let mut spaces = Vec::new();
    for space in Space::ALL {
        spaces.push((space_bytes(&folder.join("trees").join(space.name()))?, *space));
    }
    spaces.sort_unstable_by(|a, b| b.cmp(a));
    for (bytes, space) in spaces.iter().filter(|(bytes, _)| *bytes > references / 10) {
        let note = if CACHES.contains(space) { " (does not count)" } else { "" };
        report.condition(format!("  {:<16} {:>8.1}{note}", space.name(), *bytes as f64 / references as f64));
    }
    let counted: u64 = spaces.iter().filter(|(_, space)| !CACHES.contains(space)).map(|(bytes, _)| bytes).sum();
    let meaning = "bytes of all spaces but the cache, of own posts and accounts too";
    report.figure("bytes_per_reference", counted as f64 / references as f64, Bound::Most(200.0), meaning);
    report.figure("references", references as f64, Bound::None, "references in the store");
    report.figure("data_mb", status.data_bytes as f64 / 1e6, Bound::None, "what the store says that its spaces take, cache and all");
    Ok(report)
}

/// The bytes of all files of a tree.
fn space_bytes(folder: &Path) -> anyhow::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { space_bytes(&entry.path())? } else { data.len() };
    }
    Ok(bytes)
}
