//! What witnesses check and sign: consistency proofs, cosignatures.

use super::log::{Grown, LOG_KEY, checkpoint, note};
use super::{File, member, number, text};
use crate::fixture::{error_name, key, key_id, origin};
use data_encoding::BASE64;
use mesh_proto::address::Domain;
use mesh_proto::bytes::Hash;
use mesh_proto::limits::LEAF_INDEX_MAX;
use mesh_proto::limits::{CONSISTENCY_HASHES_MAX, COSIGNATURES_MAX};
use mesh_proto::log::{
    Checkpoint, ConsistencyProof, Cosignature, CosignatureError, cosignatures, prove_consistency, verify_consistency, with_cosignature,
};
use serde_json::{Value, json};

/// The witness's key in all cases.
const WITNESS_KEY: u8 = 0x20;
const TIME_S: u64 = 1_700_000_000;
/// Pairs of sizes beyond the small ones.
const BIG: [(u64, u64); 8] = [(1, 1000), (255, 256), (256, 257), (257, 1000), (512, 1000), (999, 1000), (1024, 4097), (2049, 4096)];

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/consistency",
            about: "`proof` shows that the tree `new` begins with the leaves of the tree `old`, in the log of `valid/tree.json`.",
            page: "spec/log.md",
            cases: consistent(),
            verify: verify_consistent,
        },
        File {
            path: "invalid/consistency",
            about: "`proof` does not show that the tree `new` begins with the leaves of the tree `old`. A case with `hashes` has that many hashes of 32 zero bytes in the place of `proof`.",
            page: "spec/log.md",
            cases: inconsistent(),
            verify: verify_inconsistent,
        },
        File {
            path: "valid/cosignature",
            about: "`line` is a cosignature of `note` by the witness `domain` with `key` at `time_s`. Added to the note it gives `cosigned`, whose cosignatures are by `witnesses`, in that order.",
            page: "spec/log.md",
            cases: cosigned(),
            verify: verify_cosigned,
        },
        File {
            path: "invalid/cosignature",
            about: "`line` is refused as a cosignature of `note` by `key`, or cannot be added to it.",
            page: "spec/log.md",
            cases: bad_cosignatures(),
            verify: verify_bad_cosignature,
        },
    ]
}

fn prove(grown: &Grown, old: u64, new: u64) -> ConsistencyProof {
    let Ok(proof) = prove_consistency(&mut &*grown, old, new);
    proof.expect("good sizes")
}

fn head(size: u64) -> (u64, Hash) {
    (size, Grown::new(size).tree.root())
}

fn head_json((size, root): (u64, Hash)) -> Value {
    json!({ "size": size, "root": root })
}

fn consistent() -> Vec<Value> {
    let small = (0..=9u64).flat_map(|new| (0..=new).map(move |old| (old, new)));
    let case = |(old, new)| {
        let proof = prove(&Grown::new(new), old, new);
        json!({ "old": head_json(head(old)), "new": head_json(head(new)), "proof": proof })
    };
    small.chain(BIG).map(case).collect()
}

fn head_of(case: &Value, name: &str) -> (u64, Hash) {
    (number(&case[name], "size"), member(&case[name], "root"))
}

fn verify_consistent(case: &Value) {
    let (old, new) = (head_of(case, "old"), head_of(case, "new"));
    let proof: ConsistencyProof = member(case, "proof");
    assert_eq!(verify_consistency(old, new, &proof), Ok(()), "{case}");
    let grown = Grown::new(new.0);
    assert_eq!((grown.tree.root(), prove(&grown, old.0, new.0)), (new.1, proof));
}

/// What the case is, the older and the newer tree, hashes of the proof.
type BadConsistency = (&'static str, (u64, Hash), (u64, Hash), Vec<Hash>);

fn inconsistent() -> Vec<Value> {
    let (old, new, zero) = (head(6), head(11), Hash([0; 32]));
    let good = prove(&Grown::new(11), 6, 11).hashes;
    let with = |change: &dyn Fn(&mut Vec<Hash>)| {
        let mut hashes = good.clone();
        change(&mut hashes);
        hashes
    };
    let largest = LEAF_INDEX_MAX + 1;
    let cases: Vec<BadConsistency> = vec![
        ("one hash too few", old, new, with(&|hashes| hashes.truncate(hashes.len() - 1))),
        ("one hash too many", old, new, with(&|hashes| hashes.push(zero))),
        ("no hashes", old, new, Vec::new()),
        ("a changed hash", old, new, with(&|hashes| hashes[1] = zero)),
        ("two hashes swapped", old, new, with(&|hashes| hashes.swap(0, 1))),
        ("the hashes from the root down", old, new, with(&|hashes| hashes.reverse())),
        ("another old root", (6, head(5).1), new, good.clone()),
        ("another new root", old, (11, head(12).1), good.clone()),
        ("another old size", (7, old.1), new, good.clone()),
        ("another new size, of another shape", old, (17, new.1), good.clone()),
        ("the trees the other way round", new, old, good.clone()),
        ("an old power of two, its root in the proof", head(4), head(7), [&[head(4).1], &*prove(&Grown::new(7), 4, 7).hashes].concat()),
        ("one size, two roots", (6, zero), old, Vec::new()),
        ("one size, one root, a hash", old, old, vec![zero]),
        ("no leaves, a hash", head(0), new, vec![zero]),
        ("no leaves, another root than theirs", (0, zero), new, Vec::new()),
        ("no leaves twice, another root than theirs", (0, zero), (0, zero), Vec::new()),
        ("a newer tree beyond 2^40", old, (largest + 1, zero), good.clone()),
    ];
    let mut cases: Vec<Value> = cases
        .into_iter()
        .map(
            |(name, old, new, hashes)| json!({ "name": name, "old": head_json(old), "new": head_json(new), "proof": { "hashes": hashes } }),
        )
        .collect();
    for (name, count) in
        [("as many hashes as there can be", CONSISTENCY_HASHES_MAX), ("one hash more than there can be", CONSISTENCY_HASHES_MAX + 1)]
    {
        let (old, new) = (head_json((largest / 2 + 1, zero)), head_json((largest, zero)));
        cases.push(json!({ "name": name, "old": old, "new": new, "hashes": count }));
    }
    for case in &mut cases {
        case["error"] = consistency_error(case).into();
    }
    cases
}

fn consistency_error(case: &Value) -> String {
    let proof = match case["hashes"].as_u64() {
        Some(count) => ConsistencyProof { hashes: vec![Hash([0; 32]); count as usize] },
        None => member(case, "proof"),
    };
    error_name(&verify_consistency(head_of(case, "old"), head_of(case, "new"), &proof).expect_err(text(case, "name")))
}

fn verify_inconsistent(case: &Value) {
    assert_eq!(consistency_error(case), text(case, "error"), "{case}");
}

fn sign(note: &str, domain: &str, time_s: u64) -> Cosignature {
    Cosignature::sign(note, domain.parse().expect("a domain"), &key(WITNESS_KEY), time_s).expect("a good note")
}

fn add(note: &str, line: &str) -> Result<String, CosignatureError> {
    with_cosignature(note, &line.parse()?, &key_id(WITNESS_KEY).verifier().expect("a good key"))
}

/// `note` cosigned by the witnesses of these domains at [`TIME_S`].
fn cosigned_by(note: &str, domains: &[&str]) -> String {
    domains.iter().fold(note.to_owned(), |note, domain| add(&note, &sign(&note, domain, TIME_S).to_string()).expect("room"))
}

fn cosigned() -> Vec<Value> {
    let plain = checkpoint(12).sign(&key(LOG_KEY));
    let two = "two.localhost:8002";
    let extended = note(&format!("{}extension 1\n", checkpoint(12).body()));
    let other_line = format!("{plain}\u{2014} witness.example/w1 AAAAAAAAAAA=\n");
    let pair = cosigned_by(&plain, &[two, "three.localhost:8003"]);
    let cases = [
        ("a first cosignature", plain.clone(), two, TIME_S),
        ("an extension line, which is signed too", extended, two, TIME_S),
        ("of an empty log", checkpoint(0).sign(&key(LOG_KEY)), "mesh.org", TIME_S),
        ("a second witness", cosigned_by(&plain, &[two]), "mesh.org", TIME_S + 1),
        ("beside a line that is no cosignature", other_line, two, TIME_S),
        ("a newer one replaces", pair.clone(), two, TIME_S + 1),
        ("an older one changes nothing", pair.clone(), two, TIME_S - 1),
        ("the same one changes nothing", pair, two, TIME_S),
        ("at the epoch", plain.clone(), two, 0),
        ("at the largest time that JSON can tell", plain, two, (1 << 53) - 1),
    ];
    let case = |(name, note, domain, time_s): (&str, String, &str, u64)| {
        let line = sign(&note, domain, time_s).to_string();
        let cosigned = add(&note, &line).expect(name);
        let witnesses: Vec<Domain> = cosignatures(&cosigned).expect("a note").iter().map(|c| c.domain().clone()).collect();
        json!({
            "name": name, "note": note, "line": line, "domain": domain, "time_s": time_s, "key": key_id(WITNESS_KEY),
            "cosigned": cosigned, "witnesses": witnesses,
        })
    };
    cases.into_iter().map(case).collect()
}

fn verify_cosigned(case: &Value) {
    let (note, cosigned) = (text(case, "note"), text(case, "cosigned"));
    let line: Cosignature = member(case, "line");
    assert_eq!((line.domain().as_str(), line.time_s()), (text(case, "domain"), number(case, "time_s")));
    let verifier = member::<mesh_proto::key::KeyId>(case, "key").verifier().expect("a good key");
    assert_eq!(line.verify(note, &verifier), Ok(()), "{case}");
    assert_eq!(with_cosignature(note, &line, &verifier).as_deref(), Ok(cosigned), "{case}");
    let witnesses: Vec<Domain> = cosignatures(cosigned).expect("a note").iter().map(|c| c.domain().clone()).collect();
    assert_eq!(witnesses, member::<Vec<Domain>>(case, "witnesses"));
    let log_key = key_id(LOG_KEY).verifier().expect("a good key");
    assert!(Checkpoint::open(cosigned, &origin(), &log_key).is_ok(), "{case}");
}

/// The line with its bytes – key hash, time, signature – changed.
fn changed(line: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let (start, encoded) = line.rsplit_once(' ').expect("a name");
    let mut bytes = BASE64.decode(encoded.as_bytes()).expect("base64");
    change(&mut bytes);
    format!("{start} {}", BASE64.encode(&bytes))
}

fn bad_cosignatures() -> Vec<Value> {
    let plain = checkpoint(12).sign(&key(LOG_KEY));
    let two = "two.localhost:8002";
    let good = sign(&plain, two, TIME_S).to_string();
    let domain: Domain = two.parse().expect("a domain");
    let by_other = Cosignature::sign(&plain, domain, &key(LOG_KEY), TIME_S).expect("a good note").to_string();
    let other_signature = BASE64.decode(by_other.rsplit(' ').next().expect("a word").as_bytes()).expect("base64");
    let names: Vec<String> = (0..COSIGNATURES_MAX).map(|index| format!("w{index}.org")).collect();
    let full = cosigned_by(&plain, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let extended = note(&format!("{}extension 1\n", checkpoint(12).body()));
    let note_line = plain.trim_end().rsplit('\n').next().expect("a line").to_owned();
    let cases = [
        ("of another checkpoint", sign(&checkpoint(13).sign(&key(LOG_KEY)), two, TIME_S).to_string(), plain.clone()),
        ("without the extension line", good.clone(), extended),
        ("by another key", by_other, plain.clone()),
        (
            "by another key, with the key hash of this",
            changed(&good, |bytes| bytes[12..].copy_from_slice(&other_signature[12..])),
            plain.clone(),
        ),
        ("another name", good.replace(two, "three.localhost:8003"), plain.clone()),
        ("another time", changed(&good, |bytes| bytes[11] ^= 1), plain.clone()),
        ("a wrong key hash", changed(&good, |bytes| bytes[0] ^= 1), plain.clone()),
        ("a changed signature", changed(&good, |bytes| bytes[40] ^= 1), plain.clone()),
        ("a time of 2^63", changed(&good, |bytes| bytes[4] = 0x80), plain.clone()),
        ("one byte too few", changed(&good, |bytes| bytes.truncate(75)), plain.clone()),
        ("one byte too many", changed(&good, |bytes| bytes.push(0)), plain.clone()),
        ("no time", changed(&good, |bytes| drop(bytes.drain(4..12))), plain.clone()),
        ("the log's own line", note_line, plain.clone()),
        ("a name that is no domain", good.replace(two, "witness.example/w1"), plain.clone()),
        ("a domain in capitals", good.replace(two, "Two.localhost:8002"), plain.clone()),
        ("a plus in the name", good.replace(two, "two+two.localhost:8002"), plain.clone()),
        ("no name", good.replace(two, ""), plain.clone()),
        ("base64 without padding", good.trim_end_matches('=').to_owned(), plain.clone()),
        ("a hyphen instead of the dash", good.replace('\u{2014}', "-"), plain.clone()),
        ("a line feed at the end", format!("{good}\n"), plain.clone()),
        ("two lines", format!("{good}\n{good}"), plain.clone()),
        ("empty", String::new(), plain.clone()),
        ("a note without signatures", good.clone(), checkpoint(12).body()),
        ("a note with a line that is no signature", good.clone(), format!("{plain}hello\n")),
        ("a note that is full", sign(&full, two, TIME_S).to_string(), full),
        ("a note that would be too large", good, format!("{plain}\u{2014} witness.example/w1 {}\n", BASE64.encode(&[0; 5900]))),
    ];
    let case = |(name, line, note): (&str, String, String)| {
        let error = error_name(&add(&note, &line).expect_err(name));
        json!({ "name": name, "line": line, "note": note, "key": key_id(WITNESS_KEY), "error": error })
    };
    cases.into_iter().map(case).collect()
}

fn verify_bad_cosignature(case: &Value) {
    let verifier = member::<mesh_proto::key::KeyId>(case, "key").verifier().expect("a good key");
    let added = text(case, "line").parse().and_then(|line| with_cosignature(text(case, "note"), &line, &verifier));
    assert_eq!(error_name(&added.expect_err(text(case, "name"))), text(case, "error"), "{case}");
}
