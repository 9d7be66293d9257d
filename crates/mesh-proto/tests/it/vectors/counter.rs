//! What a home signs of what it counts.

use super::{File, member, number, text};
use crate::fixture::{error_name, key, key_id};
use mesh_proto::bytes::Hash;
use mesh_proto::counter::{Counter, SetSum};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::KeyId;
use serde_json::{Value, json};

/// The home's request key in all cases.
const REQUEST_KEY: u8 = 0x30;

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/counter",
            about: "The records `ids`, in whatever order, have `fingerprint`. `envelope` is a home's counter of them by `key`: its body is `body`, its payload type `payload_type`.",
            page: "spec/healing.md",
            cases: good(),
            verify: verify_good,
        },
        File {
            path: "invalid/counter",
            about: "`envelope` is refused as a counter by `key`.",
            page: "spec/healing.md",
            cases: bad(),
            verify: verify_bad,
        },
    ]
}

fn ids(count: u8) -> Vec<RecordId> {
    (0..count).map(|n| RecordId::from_hash([n.wrapping_mul(97) ^ 0xf0; 32])).collect()
}

fn counter(ids: &[RecordId]) -> Counter {
    let sum: SetSum = ids.iter().collect();
    Counter {
        domain: "one.localhost:8001".parse().expect("a domain"),
        object: RecordId::from_hash([0x22; 32]),
        kind: Kind::Like,
        count: sum.count(),
        fingerprint: sum.fingerprint(),
        votes: Vec::new(),
        at: 1_700_000_000_000,
    }
}

fn good() -> Vec<Value> {
    let edge = [[0xff; 32], [0; 32], std::array::from_fn(|at| u8::from(at == 0))].map(RecordId::from_hash);
    let sets = [Vec::new(), ids(1), ids(2), ids(7), ids(100), edge.to_vec()];
    let case = |counter: Counter, ids: Vec<RecordId>| {
        let envelope = counter.sign(&key(REQUEST_KEY));
        let body = String::from_utf8_lossy(envelope.body()).into_owned();
        json!({ "ids": ids, "fingerprint": counter.fingerprint, "key": key_id(REQUEST_KEY), "envelope": envelope, "body": body,
                "payload_type": Kind::Counter.payload_type() })
    };
    let votes = Counter { kind: Kind::Vote, votes: vec![3, 0, 7], ..counter(&ids(7)) };
    let likes = sets.into_iter().map(|ids| case(counter(&ids), ids));
    likes.chain([case(votes, ids(7))]).collect()
}

fn verify_good(case: &Value) {
    let (mut ids, fingerprint): (Vec<RecordId>, Hash) = (member(case, "ids"), member(case, "fingerprint"));
    ids.reverse();
    assert_eq!(ids.iter().collect::<SetSum>().fingerprint(), fingerprint);
    let (key, envelope): (KeyId, Envelope) = (member(case, "key"), member(case, "envelope"));
    let counter = Counter::open(&envelope, &key.verifier().expect("a key")).expect("a good counter");
    assert_eq!((counter.count, counter.fingerprint), (ids.len() as u64, fingerprint));
    assert_eq!(envelope.body(), text(case, "body").as_bytes());
    let body: Value = serde_json::from_str(text(case, "body")).expect("JSON");
    assert_eq!(number(&body, "count"), counter.count);
    assert_eq!(envelope.kind().payload_type(), text(case, "payload_type"));
}

fn bad() -> Vec<Value> {
    let good = counter(&ids(2)).sign(&key(REQUEST_KEY));
    let body = |from: &str, to: &str| {
        let body = String::from_utf8_lossy(good.body()).replace(from, to);
        Envelope::sign(Kind::Counter, body.into_bytes(), &key(REQUEST_KEY))
    };
    let cases = [
        ("another key signed it", counter(&ids(2)).sign(&key(REQUEST_KEY + 1))),
        ("it is of another kind", Envelope::sign(Kind::Challenge, good.body().to_vec(), &key(REQUEST_KEY))),
        (
            "the body was changed",
            Envelope::new(Kind::Counter, body("\"count\":2", "\"count\":3").body().to_vec(), *good.signature()).expect("small"),
        ),
        ("the count is negative", body("\"count\":2", "\"count\":-2")),
        ("the count is missing", body("\"count\":2,", "")),
        ("a member comes twice", body("\"count\":2", "\"count\":2,\"count\":2")),
        ("votes are negative", body("\"at\":", "\"votes\":[-1],\"at\":")),
        ("the kind is unknown", body("\"like\"", "\"love\"")),
    ];
    let case = |(name, envelope): (&str, Envelope)| {
        let key = key_id(REQUEST_KEY);
        let error = Counter::open(&envelope, &key.verifier().expect("a key")).expect_err(name);
        json!({ "name": name, "key": key, "envelope": envelope, "error": error_name(&error) })
    };
    cases.into_iter().map(case).collect()
}

fn verify_bad(case: &Value) {
    let (key, envelope): (KeyId, Envelope) = (member(case, "key"), member(case, "envelope"));
    let error = Counter::open(&envelope, &key.verifier().expect("a key")).expect_err("it is bad");
    assert_eq!(error_name(&error), text(case, "error"));
}
