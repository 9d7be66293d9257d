//! Leaves, trees, proofs, checkpoints.

use super::{File, member, number, text};
use crate::fixture::{account, error_name, genesis, hex, key, key_id, origin, unhex};
use data_encoding::BASE64;
use mesh_proto::bytes::{Hash, Salt};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::limits::{CHECKPOINT_BYTES_MAX, LEAF_INDEX_MAX};
use mesh_proto::log::{BatchProof, Checkpoint, Nodes, Opening, Tree, entry_hash, name_id, prove, verify};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The log's key in all cases.
pub(super) const LOG_KEY: u8 = 0x10;
/// Sizes beyond the small ones, and the leaves that are proven in each.
const BIG: [(u64, &[u64]); 5] = [(255, &[0, 254]), (256, &[17]), (257, &[255, 256]), (1000, &[3, 4, 5, 511, 512, 998]), (4097, &[4096])];

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/leaf",
            about: "`opening` has the leaf entry `entry` (hex), whose leaf hash is `leaf_hash`. `address` has the name id `record`.",
            page: "spec/log.md",
            cases: leaves(),
            verify: verify_leaf,
        },
        File {
            path: "valid/tree",
            about: "The tree of `size` leaves has `root`. Entry i of the log is i in 8 bytes big-endian and 24 zero bytes. Each of `proofs` proves the leaves at `indexes`; hashes are base64url.",
            page: "spec/log.md",
            cases: trees(),
            verify: verify_tree,
        },
        File {
            path: "invalid/proof",
            about: "`proof` does not show that `leaves` (index, leaf hash) are in the tree of `size` leaves with `root`.",
            page: "spec/log.md",
            cases: bad_proofs(),
            verify: verify_bad_proof,
        },
        File {
            path: "valid/checkpoint",
            about: "`note` is a checkpoint of `origin`, signed by `key`, with `size` and `root`.",
            page: "spec/log.md",
            cases: checkpoints(),
            verify: verify_checkpoint,
        },
        File {
            path: "invalid/checkpoint",
            about: "`note` is refused as a checkpoint of `origin` by `key`. A case with `extension_bytes` is built: the first valid note's text with an extension line of that many `x`, signed again.",
            page: "spec/log.md",
            cases: bad_checkpoints(),
            verify: verify_bad_checkpoint,
        },
    ]
}

fn leaves() -> Vec<Value> {
    let opening = |kind, record| Opening { salt: Salt([0x11; 16]), record, account: account(), kind, received: 1_700_000_000_123 };
    let address: mesh_proto::address::Address = "neo@one.localhost:8001".parse().expect("an address");
    let mut cases: Vec<Value> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let opening = opening(kind, RecordId::from_hash([0x22; 32]));
            json!({ "opening": opening, "entry": hex(&opening.entry().0), "leaf_hash": hex(&entry_hash(&opening.entry()).0) })
        })
        .collect();
    for opening in
        [opening(Kind::Key, genesis().envelope.id()), Opening { received: 0, ..opening(Kind::Post, RecordId::from_hash([0; 32])) }]
    {
        cases.push(json!({ "opening": opening, "entry": hex(&opening.entry().0), "leaf_hash": hex(&entry_hash(&opening.entry()).0) }));
    }
    let named = opening(Kind::Name, name_id(&address));
    cases.push(
        json!({ "address": address, "opening": named, "entry": hex(&named.entry().0), "leaf_hash": hex(&entry_hash(&named.entry()).0) }),
    );
    cases
}

fn verify_leaf(case: &Value) {
    let opening: Opening = member(case, "opening");
    assert_eq!(hex(&opening.entry().0), text(case, "entry"));
    let entry: [u8; 32] = unhex(text(case, "entry")).try_into().expect("32 bytes");
    assert_eq!(hex(&entry_hash(&Hash(entry)).0), text(case, "leaf_hash"));
    if case["address"].is_string() {
        assert_eq!(name_id(&member(case, "address")), opening.record);
    }
}

pub(super) struct Grown {
    pub(super) tree: Tree,
    nodes: BTreeMap<(u32, u64), Hash>,
}

impl Nodes for &Grown {
    type Error = Infallible;
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.nodes[&(height, index)])
    }
}

impl Grown {
    pub(super) fn new(size: u64) -> Self {
        let mut grown = Self { tree: Tree::default(), nodes: BTreeMap::new() };
        for index in 0..size {
            let nodes = &mut grown.nodes;
            grown.tree.push(leaf_hash(index), |height, index, hash| {
                nodes.insert((height, index), *hash);
            });
        }
        grown
    }

    fn prove(&self, indexes: &[u64]) -> BatchProof {
        let Ok(proof) = prove(&mut &*self, self.tree.size(), indexes);
        proof.expect("good indexes")
    }
}

fn leaf_hash(index: u64) -> Hash {
    let mut entry = [0; 32];
    entry[..8].copy_from_slice(&index.to_be_bytes());
    entry_hash(&Hash(entry))
}

fn trees() -> Vec<Value> {
    let mut cases = Vec::new();
    for size in 0..=20u64 {
        let mut picks: Vec<Vec<u64>> = (0..size).map(|index| vec![index]).collect();
        if size > 1 {
            picks.push((0..size).collect());
            picks.push(vec![0, size - 1]);
            picks.push((0..size).step_by(3).collect());
        }
        cases.push(tree_case(size, &picks));
    }
    for (size, indexes) in BIG {
        cases.push(tree_case(size, &[indexes.to_vec()]));
    }
    cases
}

fn tree_case(size: u64, picks: &[Vec<u64>]) -> Value {
    let grown = Grown::new(size);
    let proofs: Vec<Value> = picks.iter().map(|indexes| json!({ "indexes": indexes, "hashes": grown.prove(indexes).hashes })).collect();
    json!({ "size": size, "root": grown.tree.root(), "proofs": proofs })
}

fn verify_tree(case: &Value) {
    let (size, root): (u64, Hash) = (number(case, "size"), member(case, "root"));
    let grown = Grown::new(size);
    assert_eq!(grown.tree.root(), root);
    for proof in case["proofs"].as_array().expect("proofs") {
        let leaves: Vec<(u64, Hash)> = member::<Vec<u64>>(proof, "indexes").into_iter().map(|index| (index, leaf_hash(index))).collect();
        assert_eq!(verify(size, &root, &leaves, &BatchProof { hashes: member(proof, "hashes") }), Ok(()));
    }
}

/// What the case is, size, root, leaves, hashes of the proof.
type BadProof = (&'static str, u64, Hash, Vec<(u64, Hash)>, Vec<Hash>);

fn bad_proofs() -> Vec<Value> {
    let grown = Grown::new(11);
    let root = grown.tree.root();
    let good = grown.prove(&[2, 7]).hashes;
    let leaves = |indexes: &[u64]| -> Vec<(u64, Hash)> { indexes.iter().map(|index| (*index, leaf_hash(*index))).collect() };
    let with = |change: &dyn Fn(&mut Vec<Hash>)| {
        let mut hashes = good.clone();
        change(&mut hashes);
        hashes
    };
    let pair = leaves(&[2, 7]);
    let many: Vec<u64> = (0..101).collect();
    let cases: Vec<BadProof> = vec![
        ("one hash too few", 11, root, pair.clone(), with(&|hashes| hashes.truncate(hashes.len() - 1))),
        ("one hash too many", 11, root, pair.clone(), with(&|hashes| hashes.push(Hash([0; 32])))),
        ("no hashes", 11, root, pair.clone(), Vec::new()),
        ("two hashes swapped", 11, root, pair.clone(), with(&|hashes| hashes.swap(0, 1))),
        ("another leaf", 11, root, vec![(2, leaf_hash(3)), (7, leaf_hash(7))], good.clone()),
        ("the leaves at each other's index", 11, root, vec![(2, leaf_hash(7)), (7, leaf_hash(2))], good.clone()),
        ("another index", 11, root, leaves(&[3, 7]), good.clone()),
        ("a leaf that the proof does not cover", 11, root, leaves(&[2]), good.clone()),
        ("another size, of another shape", 17, root, pair.clone(), good.clone()),
        ("another root", 11, Hash([9; 32]), pair.clone(), good.clone()),
        ("leaves in descending order", 11, root, leaves(&[7, 2]), good.clone()),
        ("a leaf twice", 11, root, leaves(&[2, 2]), good.clone()),
        ("a leaf beyond the tree", 11, root, leaves(&[2, 11]), good.clone()),
        ("no leaves", 11, root, Vec::new(), vec![root]),
        ("no leaves of an empty tree", 0, Grown::new(0).tree.root(), Vec::new(), Vec::new()),
        ("101 leaves", 101, Grown::new(101).tree.root(), leaves(&many), Vec::new()),
        ("the entry in the place of its leaf hash", 1, leaf_hash(0), vec![(0, Hash([0; 32]))], Vec::new()),
    ];
    let case = |(name, size, root, leaves, hashes): BadProof| {
        let proof = BatchProof { hashes };
        let error = error_name(&verify(size, &root, &leaves, &proof).expect_err(name));
        let leaves: Vec<Value> = leaves.iter().map(|(index, hash)| json!({ "index": index, "hash": hash })).collect();
        json!({ "name": name, "size": size, "root": root, "leaves": leaves, "proof": proof, "error": error })
    };
    cases.into_iter().map(case).collect()
}

fn verify_bad_proof(case: &Value) {
    let leaf = |leaf: &Value| (number(leaf, "index"), member::<Hash>(leaf, "hash"));
    let leaves: Vec<(u64, Hash)> = case["leaves"].as_array().expect("leaves").iter().map(leaf).collect();
    let error = verify(number(case, "size"), &member(case, "root"), &leaves, &member(case, "proof")).expect_err(text(case, "name"));
    assert_eq!(error_name(&error), text(case, "error"), "{case}");
}

pub(super) fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: origin(), size, root: Hash([3; 32]) }
}

/// A note over any text, signed as the log signs.
pub(super) fn note(body: &str) -> String {
    // A checkpoint's own signature line tells name and key hash; only the signature is over another text.
    let line = checkpoint(1).sign(&key(LOG_KEY));
    let blob = BASE64.decode(line.trim_end().rsplit(' ').next().expect("a word").as_bytes()).expect("base64");
    let blob = [&blob[..4], &key(LOG_KEY).sign(body.as_bytes()).0].concat();
    format!("{body}\n\u{2014} {} {}\n", origin(), BASE64.encode(&blob))
}

fn checkpoints() -> Vec<Value> {
    let plain = checkpoint(12).sign(&key(LOG_KEY));
    let lines = [
        ("one signature", 12, plain.clone()),
        ("an empty log", 0, Checkpoint { root: Tree::default().root(), ..checkpoint(0) }.sign(&key(LOG_KEY))),
        ("the largest log", LEAF_INDEX_MAX + 1, checkpoint(LEAF_INDEX_MAX + 1).sign(&key(LOG_KEY))),
        ("a cosignature after it", 12, format!("{plain}\u{2014} witness.example AAAAAAAAAAA=\n")),
        ("a cosignature before it", 12, plain.replace("\n\n", "\n\n\u{2014} witness.example AAAAAAAAAAA=\n")),
        ("an extension line", 12, note(&format!("{}extension 1\n", checkpoint(12).body()))),
    ];
    let case = |(name, size, note): (&str, u64, String)| {
        let root = if size == 0 { Tree::default().root() } else { Hash([3; 32]) };
        json!({ "name": name, "origin": origin(), "key": key_id(LOG_KEY), "note": note, "size": size, "root": root })
    };
    lines.into_iter().map(case).collect()
}

fn open(case: &Value, note: &str) -> Result<Checkpoint, mesh_proto::log::NoteError> {
    let key: mesh_proto::key::KeyId = member(case, "key");
    Checkpoint::open(note, &member(case, "origin"), &key.verifier().expect("a good key"))
}

fn verify_checkpoint(case: &Value) {
    let expected = Checkpoint { origin: member(case, "origin"), size: number(case, "size"), root: member(case, "root") };
    assert_eq!(open(case, text(case, "note")), Ok(expected), "{case}");
}

fn bad_checkpoints() -> Vec<Value> {
    let good = checkpoint(12).sign(&key(LOG_KEY));
    let body = checkpoint(12).body();
    let other: mesh_proto::log::Origin = "one.localhost:8001/log/2".parse().expect("an origin");
    let changed = |from: &str, to: &str| note(&body.replace(from, to));
    let root = BASE64.encode(&[3; 32]);
    let cases = [
        ("signed by another key", checkpoint(12).sign(&key(0x11))),
        ("of another log", Checkpoint { origin: other, ..checkpoint(12) }.sign(&key(LOG_KEY))),
        ("changed size", good.replace("\n12\n", "\n13\n")),
        ("size with a leading zero", changed("\n12\n", "\n012\n")),
        ("size with a sign", changed("\n12\n", "\n+12\n")),
        ("size with a space", changed("\n12\n", "\n12 \n")),
        ("size beyond 40 bits", changed("\n12\n", "\n1099511627777\n")),
        ("size beyond 64 bits", changed("\n12\n", "\n18446744073709551616\n")),
        ("root of 31 bytes", changed(&root, &BASE64.encode(&[3; 31]))),
        ("root in base64url", changed(&root, &mesh_proto::bytes::base64url(&[0xfb; 32]))),
        ("root with stray bits", changed(&root, &root.replace("M=", "N="))),
        ("no root", changed(&format!("{root}\n"), "")),
        ("origin not canonical", changed("/log/1", "/log/01")),
        ("no blank line", good.replace("\n\n", "\n")),
        ("two blank lines", good.replace("\n\n", "\n\n\n")),
        ("no signature", format!("{body}\n")),
        ("no line feed at the end", good.trim_end().to_owned()),
        ("blank line at the end", format!("{good}\n")),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("a carriage return after the signature", format!("{}\r\n", good.trim_end())),
        ("a hyphen instead of the dash", good.replace('\u{2014}', "-")),
        ("a line that is no signature", format!("{good}hello\n")),
        ("a signature line without name", format!("{good}\u{2014}  AAAAAAAAAAA=\n")),
        ("another key name", good.replace(&format!("\u{2014} {}", origin()), "\u{2014} one.localhost:8001")),
        ("a wrong key hash", good.replace(&signature_start(&good), "AAAAA")),
        ("signature without padding", good.replace("=\n", "\n").replace(&root.replace('=', ""), &root)),
        ("empty", String::new()),
    ];
    let case = |(name, note): (&str, String)| {
        let mut case = json!({ "name": name, "origin": origin(), "key": key_id(LOG_KEY), "note": note });
        let error = error_name(&open(&case, &note).expect_err(name));
        case["error"] = error.into();
        case
    };
    let mut cases: Vec<Value> = cases.into_iter().map(case).collect();
    cases.push(json!({ "name": "too large", "origin": origin(), "key": key_id(LOG_KEY), "extension_bytes": CHECKPOINT_BYTES_MAX, "error": "Malformed" }));
    cases
}

/// The first five characters of the base64 of a signature line.
fn signature_start(note: &str) -> String {
    note.trim_end().rsplit(' ').next().expect("a word").chars().take(5).collect()
}

fn verify_bad_checkpoint(case: &Value) {
    let built = || note(&format!("{}{}\n", checkpoint(12).body(), "x".repeat(number(case, "extension_bytes") as usize)));
    let note = case["note"].as_str().map_or_else(built, str::to_owned);
    assert_eq!(error_name(&open(case, &note).expect_err(text(case, "name"))), text(case, "error"), "{case}");
}
