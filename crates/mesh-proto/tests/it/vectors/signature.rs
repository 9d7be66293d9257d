//! Ed25519 where implementations differ: small order, mixed order, other encodings, S + L. After "Taming the many EdDSAs" (Chalkias,
//! Garillot, Nikolaenko, 2020) and its ed25519-speccheck; the cases are made here from the curve's own points.

use super::{File, member, text};
use crate::fixture::{DEVICE, account, error_name, genesis, hex, key, key_id, object, signed, unhex};
use crate::vectors::envelope::problem;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use mesh_proto::bytes::Signature;
use mesh_proto::envelope::{Envelope, Kind};
use mesh_proto::key::{KeyError, KeyId};
use mesh_proto::record::{Content, Like};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

const P_LOW: u8 = 0xed;

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/signature",
            about: "`signature` verifies `message` under `public` (all hex). `cofactored` and `loose` say what verification with the cofactor, and without the checks for small order, would answer.",
            page: "spec/envelope.md#signature",
            cases: signature_cases().into_iter().filter(|case| case["error"].is_null()).collect(),
            verify: verify_signature,
        },
        File {
            path: "invalid/signature",
            about: "As in valid/signature.json, but refused; `error` NotAPoint and Weak mean that the key itself is refused.",
            page: "spec/envelope.md#signature",
            cases: signature_cases().into_iter().filter(|case| !case["error"].is_null()).collect(),
            verify: verify_signature,
        },
        File {
            path: "invalid/signed-record",
            about: "`envelope` is a well-formed record whose signature does not fit the key of its device.",
            page: "spec/envelope.md#signature",
            cases: badly_signed(),
            verify: verify_badly_signed,
        },
    ]
}

fn wide(r: &[u8; 32], public: &[u8; 32], message: &[u8]) -> [u8; 64] {
    Sha512::new().chain_update(r).chain_update(public).chain_update(message).finalize().into()
}

fn challenge(r: &[u8; 32], public: &[u8; 32], message: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&wide(r, public, message))
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s);
    signature
}

/// What verification with the cofactor answers: [8]([S]B - R - [k]A) = 0.
fn cofactored(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    equation(public, message, signature).is_some_and(|rest| rest.mul_by_cofactor().is_identity())
}

/// What verification without cofactor and without checks for small order answers, R compared as a point.
fn loose(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    equation(public, message, signature).is_some_and(|rest| rest.is_identity())
}

fn equation(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<EdwardsPoint> {
    let (r, s) = signature.split_first_chunk::<32>()?;
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
    let a = CompressedEdwardsY(*public).decompress()?;
    let point = CompressedEdwardsY(*r).decompress()?;
    Some(ED25519_BASEPOINT_POINT * s - point - a * challenge(r, public, message))
}

fn case(name: &str, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Value {
    let error = strict(public, message, signature).err().map(|error| error_name(&error));
    json!({
        "name": name, "public": hex(public), "message": hex(message), "signature": hex(signature), "error": error,
        "cofactored": cofactored(public, message, signature), "loose": loose(public, message, signature),
    })
}

fn strict(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
    KeyId::ed25519(public).verifier()?.verify(message, &Signature(*signature))
}

fn verify_signature(case: &Value) {
    let bytes = |name| unhex(text(case, name));
    let public: [u8; 32] = bytes("public").try_into().expect("32 bytes");
    let signature: [u8; 64] = bytes("signature").try_into().expect("64 bytes");
    let error = strict(&public, &bytes("message"), &signature).err().map(|error| error_name(&error));
    assert_eq!(error.as_deref(), case["error"].as_str(), "{case}");
}

/// A message for which the reduced challenge fits `wanted`; they count upwards.
fn message_with(r: &[u8; 32], public: &[u8; 32], wanted: impl Fn(Scalar, &[u8; 64]) -> bool) -> Vec<u8> {
    let fits = |message: &Vec<u8>| wanted(challenge(r, public, message), &wide(r, public, message));
    (0..4096u32).map(|n| format!("message {n}").into_bytes()).find(fits).expect("one of eight fits")
}

fn low_bits(k: &Scalar) -> u8 {
    k.as_bytes()[0] & 7
}

fn signature_cases() -> Vec<Value> {
    let mut cases = plain();
    cases.extend(small_order_keys());
    cases.extend(small_order_r());
    cases.extend(mixed_order());
    cases.extend(bad_keys());
    cases
}

fn plain() -> Vec<Value> {
    let public: [u8; 32] = key_id(DEVICE).public().try_into().expect("32 bytes");
    let good = key(DEVICE).sign(b"message").0;
    let (r, s) = good.split_first_chunk::<32>().expect("64 bytes");
    let s: [u8; 32] = s.try_into().expect("32 bytes");
    let mut flipped = good;
    flipped[5] ^= 1;
    let mut high = good;
    high[63] |= 0x80;
    vec![
        case("an ordinary signature", &public, b"message", &good),
        case("an ordinary signature of nothing", &public, b"", &key(DEVICE).sign(b"").0),
        case("another message", &public, b"massage", &good),
        case("another key", &key_id(3).public().try_into().expect("32 bytes"), b"message", &good),
        case("a flipped bit in R", &public, b"message", &flipped),
        case("S + L", &public, b"message", &joined(r, &plus_order(s))),
        case("the highest bit of S set", &public, b"message", &high),
        case("all zero", &public, b"message", &[0; 64]),
        case("all ones", &public, b"message", &[0xff; 64]),
    ]
}

/// S + L: the same scalar, written larger.
fn plus_order(s: [u8; 32]) -> [u8; 32] {
    let last = (Scalar::ZERO - Scalar::ONE).to_bytes();
    let mut carry = 1u16;
    std::array::from_fn(|at| {
        carry += u16::from(s[at]) + u16::from(last[at]);
        let byte = carry.to_le_bytes()[0];
        carry >>= 8;
        byte
    })
}

/// All encodings of the eight points of small order that decoders take: canonical, y + p, and x = 0 with its sign bit set.
fn small_order_encodings() -> Vec<(String, [u8; 32])> {
    let mut encodings: Vec<(String, [u8; 32])> =
        EIGHT_TORSION.iter().enumerate().map(|(index, point)| (format!("torsion point {index}"), point.compress().0)).collect();
    let p_plus = |more: u8, high: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = P_LOW + more;
        bytes[31] = high;
        bytes
    };
    let mut one = [0; 32];
    one[0] = 1;
    one[31] = 0x80;
    let mut minus_one = [0xff; 32];
    minus_one[0] = P_LOW - 1;
    encodings.push(("y = 1, x = -0".into(), one));
    encodings.push(("y = -1, x = -0".into(), minus_one));
    encodings.push(("y = p".into(), p_plus(0, 0x7f)));
    encodings.push(("y = p, other x".into(), p_plus(0, 0xff)));
    encodings.push(("y = p + 1".into(), p_plus(1, 0x7f)));
    encodings.push(("y = p + 1, x = -0".into(), p_plus(1, 0xff)));
    encodings
}

fn small_order_keys() -> Vec<Value> {
    let s = Scalar::from(7u8);
    let r = (ED25519_BASEPOINT_POINT * s).compress().0;
    let make = |(name, public): (String, [u8; 32])| {
        // Eight divides the challenge, so that the key drops out of the equation.
        let message = message_with(&r, &public, |k, _| low_bits(&k) == 0);
        case(&format!("small-order key: {name}"), &public, &message, &joined(&r, &s.to_bytes()))
    };
    small_order_encodings().into_iter().map(make).collect()
}

fn secret_scalar() -> Scalar {
    Scalar::from(123_456_789u64)
}

fn small_order_r() -> Vec<Value> {
    let a = secret_scalar();
    let public = (ED25519_BASEPOINT_POINT * a).compress().0;
    let make = |(name, r): (String, [u8; 32])| {
        let s = challenge(&r, &public, b"message") * a;
        case(&format!("small-order R: {name}"), &public, b"message", &joined(&r, &s.to_bytes()))
    };
    small_order_encodings().into_iter().map(make).collect()
}

fn mixed_order() -> Vec<Value> {
    let (a, nonce, torsion) = (secret_scalar(), Scalar::from(987_654_321u64), EIGHT_TORSION[1]);
    let sign = |name: &str, key_torsion: EdwardsPoint, r_torsion: EdwardsPoint, wanted: &dyn Fn(Scalar, &[u8; 64]) -> bool| {
        let public = (ED25519_BASEPOINT_POINT * a + key_torsion).compress().0;
        let r = (ED25519_BASEPOINT_POINT * nonce + r_torsion).compress().0;
        let message = message_with(&r, &public, wanted);
        let s = nonce + challenge(&r, &public, &message) * a;
        case(name, &public, &message, &joined(&r, &s.to_bytes()))
    };
    let none = EdwardsPoint::identity();
    vec![
        sign("mixed-order key, eight divides the challenge", torsion, none, &|k, wide| low_bits(&k) == 0 && wide[0] & 7 == 0),
        sign("mixed-order key, eight divides the reduced challenge only", torsion, none, &|k, wide| low_bits(&k) == 0 && wide[0] & 7 != 0),
        sign("mixed-order key, eight divides the challenge before reduction only", torsion, none, &|k, wide| {
            low_bits(&k) != 0 && wide[0] & 7 == 0
        }),
        sign("mixed-order key, eight does not divide the challenge", torsion, none, &|k, wide| low_bits(&k) != 0 && wide[0] & 7 != 0),
        sign("mixed-order R", none, torsion, &|_, _| true),
        sign("mixed-order key and R that cancel", torsion, torsion * Scalar::from(5u8), &|k, _| low_bits(&k) == 3),
    ]
}

fn bad_keys() -> Vec<Value> {
    let signature = key(DEVICE).sign(b"message").0;
    let small = |y: u8| {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    };
    let on_curve = |y: u8| CompressedEdwardsY(small(y)).decompress().is_some();
    let off = (2..19).find(|y| !on_curve(*y)).expect("half of all y are off the curve");
    let mut cases = vec![case(&format!("no point has y = {off}"), &small(off), b"message", &signature)];
    for y in (2..19).filter(|y| on_curve(*y)) {
        let mut bytes = [0xff; 32];
        bytes[0] = P_LOW + y;
        bytes[31] = 0x7f;
        cases.push(case(&format!("y = p + {y}, of large order"), &bytes, b"message", &signature));
    }
    cases
}

fn badly_signed() -> Vec<Value> {
    let like = || signed(Content::Like(Like { object: object() }));
    let swapped = |kind: Kind| Envelope::new(kind, like().body().to_vec(), *like().signature()).expect("small");
    let by = |seed: u8, kind: Kind| Envelope::sign(kind, like().body().to_vec(), &key(seed));
    let mut flipped = like().signature().0;
    flipped[40] ^= 4;
    let changed = String::from_utf8(like().body().to_vec()).expect("UTF-8").replace("1700000001000", "1700000001001");
    let bare = key(DEVICE).sign(like().body()).0;
    let cases = [
        ("a like's signature on a repost", swapped(Kind::Repost)),
        ("signed by another device", by(3, Kind::Like)),
        ("signed by the root key", by(1, Kind::Like)),
        ("a flipped bit in the signature", Envelope::new(Kind::Like, like().body().to_vec(), Signature(flipped)).expect("small")),
        ("a changed body", Envelope::new(Kind::Like, changed.into_bytes(), *like().signature()).expect("small")),
        ("the body signed without its type", Envelope::new(Kind::Like, like().body().to_vec(), Signature(bare)).expect("small")),
    ];
    let make = |(name, envelope): (&str, Envelope)| json!({ "name": name, "account": account(), "genesis": genesis().envelope, "envelope": envelope, "error": "BadSignature", "problem": problem("BadSignature") });
    cases.into_iter().map(make).collect()
}

fn verify_badly_signed(case: &Value) {
    let envelope: Envelope = member(case, "envelope");
    let record = mesh_proto::record::Record::open(&envelope).expect("well-formed");
    let error = envelope.verify(&record.head.device.verifier().expect("a good key")).expect_err(text(case, "name"));
    assert_eq!(error_name(&error), text(case, "error"));
}
