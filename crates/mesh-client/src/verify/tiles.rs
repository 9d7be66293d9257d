//! Inclusion from log tiles (C2SP tlog-tiles): which tiles a proof needs, where they are, what is in them.
//!
//! A tile of level L and index N holds the hashes of height 8·L numbered 256·N to 256·N + 255; the newest tile of a level is partial. What a
//! tile says is believed only once the root computed from it is the checkpoint's.

use mesh_proto::bytes::Hash;
use mesh_proto::limits::TILE_WIDTH;
use mesh_proto::log::{Nodes, node_hash};
use std::collections::BTreeMap;

/// Heights that one tile spans.
const TILE_HEIGHT: u32 = 8;

/// One tile of a log of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileId {
    /// Its level: hashes of height 8·level.
    pub level: u32,
    /// Which one of its level.
    pub index: u64,
    /// How many hashes it holds; 256 if it is full.
    pub width: u64,
}

impl TileId {
    /// The path below the log: `tile/<L>/<N>[.p/<W>]`, N in groups of three digits, all but the last with `x` before them.
    pub fn path(&self) -> String {
        let full = self.full_path();
        if self.width < TILE_WIDTH { format!("{full}.p/{}", self.width) } else { full }
    }

    /// The path of the tile once it is full: a server may drop partial tiles that have become full.
    pub fn full_path(&self) -> String {
        let mut path = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        format!("tile/{}/{path}", self.level)
    }
}

/// The tiles fetched so far for a log of `size` leaves.
#[derive(Debug, Clone)]
pub struct Tiles {
    size: u64,
    known: BTreeMap<(u32, u64), Vec<Hash>>,
}

/// The tile that has to be fetched before the proof can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted(pub TileId);

impl Tiles {
    /// No tiles yet of a log of `size` leaves.
    pub fn new(size: u64) -> Self {
        Self { size, known: BTreeMap::new() }
    }

    /// Adds a fetched tile: at least as many hashes as it must hold, 32 bytes each.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn add(&mut self, tile: TileId, bytes: &[u8]) -> Result<(), &'static str> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 > TILE_WIDTH || (hashes.len() as u64) < tile.width {
            return Err("a tile has the wrong size");
        }
        self.known.insert((tile.level, tile.index), hashes.iter().map(|hash| Hash(*hash)).collect());
        Ok(())
    }

    /// Number of tiles.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn tile(&self, level: u32, index: u64) -> TileId {
        let hashes = self.size.checked_shr(level * TILE_HEIGHT).unwrap_or(0);
        TileId { level, index, width: hashes.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH) }
    }
}

impl Nodes for Tiles {
    type Error = Wanted;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Wanted> {
        let (level, rise) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let first = index << rise;
        let tile = self.tile(level, first / TILE_WIDTH);
        let wanted = Wanted(tile);
        let hashes = self.known.get(&(level, tile.index)).ok_or(wanted)?;
        let start = usize::try_from(first % TILE_WIDTH).map_err(|_| wanted)?;
        let below = hashes.get(start..start + (1 << rise)).ok_or(wanted)?;
        subtree(below).ok_or(wanted)
    }
}

/// The root of a complete subtree over 2^n hashes, n ≤ 8.
fn subtree(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::log::{Tree, entry_hash, prove, verify};

    #[test]
    fn paths_are_those_of_c2sp() {
        let path = |level, index, width| TileId { level, index, width }.path();
        assert_eq!(path(0, 0, 256), "tile/0/000");
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 5, 44), "tile/1/005.p/44");
        assert_eq!(path(2, 1000, 256), "tile/2/x001/000");
    }

    /// All tiles of a log, as a server would have them.
    fn served(size: u64) -> (Tree, Vec<Hash>, BTreeMap<TileId, Vec<u8>>) {
        let mut tree = Tree::default();
        let mut rows: BTreeMap<u32, Vec<Hash>> = BTreeMap::new();
        let mut leaves = Vec::new();
        for number in 0..size {
            let mut entry = [0; 32];
            entry[..8].copy_from_slice(&number.to_be_bytes());
            let leaf = entry_hash(&Hash(entry));
            leaves.push(leaf);
            tree.push(leaf, |height, _, hash| {
                if height.is_multiple_of(TILE_HEIGHT) {
                    rows.entry(height / TILE_HEIGHT).or_default().push(*hash);
                }
            });
        }
        let mut tiles = BTreeMap::new();
        for (level, row) in rows {
            for (index, hashes) in row.chunks(256).enumerate() {
                let id = TileId { level, index: index as u64, width: hashes.len() as u64 };
                tiles.insert(id, hashes.iter().flat_map(|hash| hash.0).collect());
            }
        }
        (tree, leaves, tiles)
    }

    fn check_proof_from_tiles(size: u64, index: u64) {
        let (tree, leaves, served) = served(size);
        let mut tiles = Tiles::new(size);
        let proof = loop {
            match prove(&mut tiles, size, &[index]) {
                Ok(proof) => break proof.expect("a good index"),
                Err(Wanted(tile)) => {
                    let bytes = served.get(&tile).unwrap_or_else(|| panic!("{} of {size} is not served", tile.path()));
                    tiles.add(tile, bytes).expect("well-formed");
                }
            }
        };
        let leaf = (index, leaves[usize::try_from(index).expect("small")]);
        assert_eq!(verify(size, &tree.root(), &[leaf], &proof), Ok(()), "{index} of {size}");
        assert!(tiles.len() <= 8, "{} tiles", tiles.len());
    }

    #[test]
    fn leaves_of_logs_of_many_sizes_are_proven() {
        for size in [1, 2, 3, 255, 256, 257, 511, 512, 700, 65_536, 65_537, 66_000, 131_500] {
            for index in [0, size / 2, size - 1] {
                check_proof_from_tiles(size, index);
            }
        }
    }

    #[test]
    fn tile_of_the_wrong_size_is_refused() {
        let mut tiles = Tiles::new(10);
        let tile = TileId { level: 0, index: 0, width: 10 };
        assert!(tiles.add(tile, &[0; 319]).is_err());
        assert!(tiles.add(tile, &[0; 32 * 9]).is_err());
        assert!(tiles.add(tile, &[0; 32 * 257]).is_err());
        assert!(tiles.add(tile, &[0; 320]).is_ok());
    }
}
