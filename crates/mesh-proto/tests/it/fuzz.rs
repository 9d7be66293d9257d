//! Fuzz bodies: each takes any bytes, must not panic, and checks what holds for every input that is accepted. proptest runs them on
//! random bytes and on mutated good input, then on the stored corpus of `fuzz/corpus`; any fuzzer can call them as they are.

use crate::fixture::{T0, add, genesis, key, log, object, op, origin, repository, rotate, signed};
use mesh_proto::address::{Address, Domain};
use mesh_proto::api::{Delivery, KeysPush};
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::json;
use mesh_proto::key::KeyId;
use mesh_proto::keylog::{KeyLog, KeyOp, LoggedOp};
use mesh_proto::log::{BatchProof, Checkpoint, ConsistencyProof, Cosignature, Origin, cosignatures, verify, verify_consistency};
use mesh_proto::phrase::Phrase;
use mesh_proto::record::{Content, Like, Post, Record};
use mesh_proto::uri::Target;
use proptest::prelude::*;
use std::fs;
use std::str::from_utf8;

/// A fuzz body.
type Body = fn(&[u8]);

/// All bodies by name; the name is also that of its folder in `fuzz/corpus`.
const BODIES: [(&str, Body); 9] = [
    ("envelope", envelope),
    ("json", strict_json),
    ("record", record),
    ("key_op", key_op),
    ("checkpoint", checkpoint),
    ("text", text),
    ("api", api),
    ("proof", proof),
    ("signature", signature),
];

fn envelope(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::from_json(bytes) {
        assert_eq!(Envelope::from_json(&envelope.to_json()).as_ref(), Ok(&envelope));
        let _ = Record::open(&envelope);
        let _ = KeyOp::open(&envelope);
    }
}

fn strict_json(bytes: &[u8]) {
    if json::check(bytes).is_ok() {
        let value: serde_json::Value = json::parse_checked(bytes).expect("strict JSON is JSON");
        let again = serde_json::to_vec(&value).expect("a value is JSON");
        assert!(json::check(&again).is_ok(), "what was read is strict when written");
    }
}

/// The first byte chooses the kind.
fn record(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let Ok(envelope) = Envelope::new(kind, body.to_vec(), mesh_proto::bytes::Signature([0; 64])) else {
        return;
    };
    if let Ok(record) = Record::open(&envelope) {
        let again = Envelope::sign(kind, record.body(), &key(2));
        assert_eq!(Record::open(&again), Ok(record));
    }
}

fn key_op(bytes: &[u8]) {
    let Ok(envelope) = Envelope::new(Kind::Key, bytes.to_vec(), mesh_proto::bytes::Signature([0; 64])) else {
        return;
    };
    let _ = KeyOp::open(&envelope);
    let logged = LoggedOp { envelope, received: T0 };
    assert!(KeyLog::from_genesis(logged.clone()).is_err(), "nobody can sign with zeros");
    let mut log = log();
    // What was mutated back into the operation that is there already changes nothing.
    let known = log.contains(&logged.envelope.id());
    assert_eq!(log.insert(logged).is_ok(), known);
    assert_eq!(log.len(), 1);
}

fn checkpoint(bytes: &[u8]) {
    if let Ok(note) = from_utf8(bytes) {
        let verifier = key(0x10).id().verifier().expect("a good key");
        if let Ok(checkpoint) = Checkpoint::open(note, &origin(), &verifier) {
            assert!(note.starts_with(&checkpoint.body()));
            assert!(cosignatures(note).is_ok(), "a checkpoint's lines can be listed");
        }
        for cosignature in cosignatures(note).unwrap_or_default() {
            assert!(note.contains(&cosignature.to_string()), "one text for one value");
            let _ = cosignature.verify(note, &verifier);
        }
    }
}

fn text(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    round_trip::<Address>(text);
    round_trip::<Domain>(text);
    round_trip::<KeyId>(text);
    round_trip::<Origin>(text);
    round_trip::<Cosignature>(text);
    round_trip::<mesh_proto::envelope::RecordId>(text);
    if let Ok(target) = Target::parse(text) {
        assert_eq!(Target::parse(&target.to_string()), Ok(target));
    }
    let _ = Address::from_human(text);
    let _ = text.parse::<Phrase>();
}

fn round_trip<T: std::str::FromStr + ToString>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text, "one text for one value");
    }
}

fn api(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Delivery>(bytes);
    if let Ok(push) = serde_json::from_slice::<KeysPush>(bytes) {
        let _ = KeyLog::from_ops(push.ops);
    }
}

/// Byte 0: size; byte 1: number of leaves; then 33 bytes each: index and hash; the rest are hashes of the proof.
fn proof(bytes: &[u8]) {
    let Some(([size, count], rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let hash = |bytes: &[u8]| mesh_proto::bytes::Hash(bytes.try_into().expect("32 bytes"));
    let leaves: Vec<_> = rest.chunks_exact(33).take(usize::from(*count)).map(|leaf| (u64::from(leaf[0]), hash(&leaf[1..]))).collect();
    let hashes = rest.get(leaves.len() * 33..).unwrap_or_default().chunks_exact(32).map(hash).collect();
    let proof = BatchProof { hashes };
    assert!(verify(u64::from(*size), &mesh_proto::bytes::Hash([9; 32]), &leaves, &proof).is_err(), "a root out of thin air");
    let _ = verify(u64::MAX, &mesh_proto::bytes::Hash([9; 32]), &leaves, &proof);
    let proof = ConsistencyProof { hashes: proof.hashes };
    let roots = |old, new| verify_consistency((old, mesh_proto::bytes::Hash([8; 32])), (new, mesh_proto::bytes::Hash([9; 32])), &proof);
    assert!(roots(u64::from(*count), u64::from(*size)).is_err(), "roots out of thin air");
    assert!(roots(u64::from(*count), u64::MAX).is_err() && roots(u64::from(*size), 1 << 40).is_err(), "roots out of thin air");
}

/// 32 bytes of key, 64 of signature, the message.
fn signature(bytes: &[u8]) {
    let Some((public, rest)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    let Some((signature, message)) = rest.split_first_chunk::<64>() else {
        return;
    };
    if let Ok(verifier) = KeyId::ed25519(public).verifier() {
        let _ = verifier.verify(message, &mesh_proto::bytes::Signature(*signature));
    }
}

/// Good input for every body, to be mutated.
fn seeds() -> Vec<Vec<u8>> {
    let like = signed(Content::Like(Like { object: object() }));
    let post = signed(Content::Post(Post::free("hello")));
    let rotated = op(genesis().envelope.id(), rotate(8), 2, T0);
    let added = op(genesis().envelope.id(), add(3), 1, T0);
    let push = KeysPush { account: log().account(), ops: vec![genesis(), rotated.clone(), added] };
    let kind = |kind: Kind, body: &[u8]| [&[Kind::ALL.iter().position(|k| *k == kind).expect("a kind") as u8], body].concat();
    let note = Checkpoint { origin: origin(), size: 3, root: mesh_proto::bytes::Hash([1; 32]) }.sign(&key(0x10));
    let cosignature = Cosignature::sign(&note, object().home, &key(0x10), T0 / 1000).expect("a good note");
    vec![
        like.to_json(),
        post.to_json(),
        like.body().to_vec(),
        kind(Kind::Like, like.body()),
        kind(Kind::Post, post.body()),
        genesis().envelope.body().to_vec(),
        rotated.envelope.body().to_vec(),
        serde_json::to_vec(&push).expect("JSON"),
        format!("{note}{cosignature}\n").into_bytes(),
        cosignature.to_string().into_bytes(),
        b"neo@one.localhost:8001".to_vec(),
        format!("mesh://{}/{}?home=mesh.org", log().account(), like.id()).into_bytes(),
        [&key(2).id().as_bytes()[1..], &key(2).sign(b"m").0, b"m"].concat(),
    ]
}

fn run_all(bytes: &[u8]) {
    for (_, body) in BODIES {
        body(bytes);
    }
}

/// Changes good input in a few places: a byte replaced, removed, doubled, or the rest cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0u8..4, any::<u8>());
    (prop::sample::select(seeds()), prop::collection::vec(change, 1..6)).prop_map(|(mut bytes, changes)| {
        for (index, what, value) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match what {
                0 => bytes[at] = value,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[at]),
                _ if value < 16 => bytes.truncate(at),
                _ => bytes[at] ^= 1 << (value % 8),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        run_all(&bytes);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        run_all(text.as_bytes());
    }

    #[test]
    fn json_like_text_is_read_or_refused(text in r#"\{("[a-z]{0,2}":(-?[0-9]{1,3}|"[\\u0-9a-f]{0,8}"|[\[\]{},null]{1,5}),?){0,6}\}?"#) {
        run_all(text.as_bytes());
    }

    #[test]
    fn mutated_good_input_is_read_or_refused(bytes in mutated()) {
        run_all(&bytes);
    }
}

#[test]
fn corpus_is_read_or_refused() {
    let mut run = 0;
    for (name, _) in BODIES {
        for entry in fs::read_dir(repository("fuzz/corpus").join(name)).unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}")) {
            // Every input goes to every body: a crash of one is a good seed for the others.
            run_all(&fs::read(entry.expect("an entry").path()).expect("readable"));
            run += 1;
        }
    }
    assert!(run >= BODIES.len(), "{run} inputs");
}

#[test]
fn seeds_reach_the_inside_of_the_bodies() {
    let seeds = seeds();
    assert!(Envelope::from_json(&seeds[0]).is_ok());
    let push: KeysPush = serde_json::from_slice(&seeds[7]).expect("a push");
    assert_eq!(KeyLog::from_ops(push.ops).map(|log| log.len()), Ok(3));
}
