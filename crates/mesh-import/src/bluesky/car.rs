//! CAR files, version 1: a header that names the root, then blocks, each led by its length and its content id.

use super::broken;
use crate::{ImportError, limits};
use ipld_core::cid::Cid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The code of SHA-256 among multihashes, which is what repositories use.
const SHA2_256: u64 = 0x12;

#[derive(Deserialize)]
struct Header {
    version: u64,
    roots: Vec<Cid>,
}

/// The blocks of a file by their content id, each checked against it.
pub(super) struct Blocks<'a> {
    pub(super) root: Cid,
    blocks: HashMap<Cid, &'a [u8]>,
}

/// Whether a file begins like a CAR file of version 1.
pub(crate) fn is_car(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    piece(bytes, &mut rest).is_ok_and(|header| serde_ipld_dagcbor::from_slice::<Header>(header).is_ok())
}

impl<'a> Blocks<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut rest = bytes;
        let header: Header =
            serde_ipld_dagcbor::from_slice(piece(bytes, &mut rest)?).map_err(|error| broken("byte 0", format!("the header: {error}")))?;
        let [root] = header.roots.as_slice() else { return Err(broken("byte 0", "the header does not name one root")) };
        if header.version != 1 {
            return Err(broken("byte 0", format!("version {} of the format is not known", header.version)));
        }
        let mut blocks = HashMap::new();
        while !rest.is_empty() {
            let at = format!("byte {}", bytes.len() - rest.len());
            let mut block = piece(bytes, &mut rest)?;
            let cid = Cid::read_bytes(&mut block).map_err(|error| broken(&at, error))?;
            if cid.hash().code() != SHA2_256 {
                return Err(broken(&at, format!("the block {cid} has a hash that repositories do not use")));
            }
            if cid.hash().digest() != Sha256::digest(block).as_slice() {
                return Err(broken(&at, format!("the block {cid} is not what its hash says: the file is damaged")));
            }
            if blocks.len() >= 2 * limits::RECORDS_MAX {
                return Err(ImportError::TooMany(crate::Network::Bluesky));
            }
            blocks.insert(cid, block);
        }
        Ok(Self { root: *root, blocks })
    }

    /// What a block says. `what`: for the error.
    pub(super) fn decode<T: DeserializeOwned>(&self, cid: &Cid, what: &str) -> Result<T, ImportError> {
        let block = self.blocks.get(cid).ok_or_else(|| broken(what, format!("the block {cid} is missing: the file is not whole")))?;
        serde_ipld_dagcbor::from_slice(block).map_err(|error| broken(what, error))
    }
}

/// Takes a piece with its length before it from the front of `rest`, which ends where `whole` does.
fn piece<'a>(whole: &[u8], rest: &mut &'a [u8]) -> Result<&'a [u8], ImportError> {
    let at = || format!("byte {}", whole.len() - rest.len());
    let (length, after) = unsigned_varint::decode::usize(rest).map_err(|error| broken(at(), error))?;
    if length > limits::BLOCK_BYTES_MAX {
        return Err(broken(at(), format!("a block of {length} bytes is larger than any honest one")));
    }
    let (piece, after) = after.split_at_checked(length).ok_or_else(|| broken(at(), "the file ends in the middle of a block"))?;
    *rest = after;
    Ok(piece)
}
