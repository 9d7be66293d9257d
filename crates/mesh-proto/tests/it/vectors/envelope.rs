//! Texts of ids and keys, kinds, envelopes.

use super::{File, member, number, text};
use crate::fixture::{error_name, hex, key, key_id, signed_body, unhex};
use mesh_proto::bytes::{Hash, Salt, Signature, base32, base64url};
use mesh_proto::envelope::{Envelope, EnvelopeError, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::limits::{BODY_BYTES_MAX, ENVELOPE_BYTES_MAX};
use mesh_proto::log::Origin;
use serde_json::{Value, json};

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/ids",
            about: "`text` is the one text of `bytes` (hex) as a value of `type`; of an origin there are no bytes.",
            page: "spec/ids.md",
            cases: valid_ids(),
            verify: verify_id,
        },
        File {
            path: "invalid/ids",
            about: "`text` is not a value of `type`.",
            page: "spec/ids.md",
            cases: invalid_ids(),
            verify: verify_bad_id,
        },
        File {
            path: "valid/envelope",
            about: "`body` signed by the Ed25519 key of `seed` as `payload_type` gives `pae`, `id`, `signature` and `carrier`; other carriers that mean the same follow as `carriers`. Binary values are base64url.",
            page: "spec/envelope.md",
            cases: valid_envelopes(),
            verify: verify_envelope,
        },
        File {
            path: "invalid/envelope",
            about: "`carrier` is refused as an envelope. A case with `payload_bytes` is built: the carrier of a post whose payload is `{` and then zero bytes, that many in all, with a signature of 64 zero bytes.",
            page: "spec/envelope.md",
            cases: invalid_envelopes(),
            verify: verify_bad_envelope,
        },
    ]
}

fn id_case(kind: &str, bytes: &[u8], text: impl ToString) -> Value {
    json!({ "type": kind, "bytes": hex(bytes), "text": text.to_string() })
}

fn valid_ids() -> Vec<Value> {
    let mut cases = Vec::new();
    for fill in [0, 1, 0x7f, 0xff] {
        let bytes: Vec<u8> = [1].into_iter().chain([fill; 32]).collect();
        cases.push(id_case("record id", &bytes, RecordId::from_hash([fill; 32])));
        cases.push(id_case("account id", &bytes, AccountId::from_hash([fill; 32])));
        cases.push(id_case("salt", &[fill; 16], Salt([fill; 16])));
        cases.push(id_case("hash", &[fill; 32], Hash([fill; 32])));
        cases.push(id_case("signature", &[fill; 64], Signature([fill; 64])));
    }
    for seed in [1, 2, 3] {
        cases.push(id_case("key id", key_id(seed).as_bytes(), key_id(seed)));
    }
    for origin in ["mesh.org/log/1", "one.localhost:8001/log/4294967295"] {
        cases.push(json!({ "type": "origin", "text": origin }));
    }
    for kind in Kind::ALL {
        let payload_type = (kind != Kind::Name).then(|| kind.payload_type());
        cases.push(json!({ "type": "kind", "text": kind.name(), "bytes": hex(&[kind as u8]), "payload_type": payload_type }));
    }
    cases
}

fn bytes_of(kind: &str, text: &str) -> Result<Vec<u8>, String> {
    fn read<T: std::str::FromStr<Err: std::fmt::Debug> + ToString>(text: &str, bytes: impl Fn(T) -> Vec<u8>) -> Result<Vec<u8>, String> {
        let value: T = text.parse().map_err(|error| error_name(&error))?;
        assert_eq!(value.to_string(), text);
        Ok(bytes(value))
    }
    let with_version = |hash: &[u8; 32]| [1].into_iter().chain(*hash).collect();
    match kind {
        "record id" => read::<RecordId>(text, |id| with_version(id.hash())),
        "account id" => read::<AccountId>(text, |id| with_version(id.hash())),
        "key id" => read::<KeyId>(text, |id| id.as_bytes().to_vec()),
        "salt" => read::<Salt>(text, |salt| salt.0.to_vec()),
        "hash" => read::<Hash>(text, |hash| hash.0.to_vec()),
        "signature" => read::<Signature>(text, |signature| signature.0.to_vec()),
        "origin" => read::<Origin>(text, |_| Vec::new()),
        other => panic!("no type {other}"),
    }
}

fn verify_id(case: &Value) {
    if text(case, "type") == "kind" {
        let kind: Kind = member(case, "text");
        assert_eq!(hex(&[kind as u8]), text(case, "bytes"));
        assert_eq!(case["payload_type"].as_str().and_then(Kind::from_payload_type), (kind != Kind::Name).then_some(kind));
    } else {
        let bytes = bytes_of(text(case, "type"), text(case, "text")).expect("a good text");
        assert_eq!(hex(&bytes), case["bytes"].as_str().unwrap_or_default());
    }
}

fn invalid_ids() -> Vec<Value> {
    let id = RecordId::from_hash([7; 32]).to_string();
    let other_version = base32(&[2; 33]);
    let device = key_id(2).to_string();
    let salt = Salt([7; 16]).to_string();
    let signature = Signature([7; 64]).to_string();
    let cut = |text: &str| text.split_at(text.len() - 1).0.to_owned();
    let cases = [
        ("record id", "empty", String::new()),
        ("record id", "upper case", id.to_uppercase()),
        ("record id", "too short", cut(&id)),
        ("record id", "too long", format!("{id}a")),
        ("record id", "padded", format!("{id}===")),
        ("record id", "the last character has bits that no byte owns", format!("{}7", cut(&id))),
        ("record id", "a character outside the alphabet", format!("{}1", cut(&id))),
        ("record id", "white space", format!(" {}", cut(&id))),
        ("record id", "version byte 2", other_version.clone()),
        ("account id", "version byte 2", other_version),
        ("account id", "base64url instead of base32", base64url(&[1; 33])),
        ("key id", "suite byte 9", base64url(&[9; 33])),
        ("key id", "too short", cut(&device)),
        ("key id", "the key without its suite byte", base64url(key_id(2).public())),
        ("key id", "base64 with + and /", base64url(&[vec![1], vec![0xff; 32]].concat()).replace('_', "/")),
        ("salt", "padded", format!("{salt}==")),
        ("salt", "stray bits in the last character", format!("{}x", cut(&salt))),
        ("salt", "15 bytes", base64url(&[7; 15])),
        ("hash", "33 bytes", base64url(&[7; 33])),
        ("signature", "stray bits in the last character", format!("{}x", cut(&signature))),
        ("signature", "a line feed at its end", format!("{signature}\n")),
        ("origin", "number zero", "mesh.org/log/0".into()),
        ("origin", "leading zero", "mesh.org/log/01".into()),
        ("origin", "sign", "mesh.org/log/+1".into()),
        ("origin", "no number", "mesh.org/log/".into()),
        ("origin", "beyond 32 bits", "mesh.org/log/4294967296".into()),
        ("origin", "with a scheme", "https://mesh.org/log/1".into()),
        ("origin", "upper case", "Mesh.org/log/1".into()),
        ("origin", "slash at the end", "mesh.org/log/1/".into()),
    ];
    let case = |(kind, name, text): (&str, &str, String)| {
        let error = bytes_of(kind, &text).expect_err(name);
        json!({ "type": kind, "name": name, "text": text, "error": error })
    };
    cases.into_iter().map(case).collect()
}

fn verify_bad_id(case: &Value) {
    assert_eq!(bytes_of(text(case, "type"), text(case, "text")), Err(text(case, "error").to_owned()), "{case}");
}

fn valid_envelopes() -> Vec<Value> {
    let bodies: [(Kind, &str); 4] = [
        (Kind::Like, "{}"),
        (Kind::Post, "{ \"text\" : \"h\u{e9}llo \\ud83d\\ude00\" }"),
        (Kind::Key, "{\"op\":\"account.close\"}"),
        (Kind::Challenge, "{\"at\":1}"),
    ];
    let case = |(kind, body): (Kind, &str)| {
        let envelope = signed_body(kind, body);
        let (payload, sig) = (base64url(body.as_bytes()), envelope.signature().to_string());
        let payload_type = kind.payload_type();
        let carriers = [
            format!(
                " {{\n\"signatures\" : [ {{ \"keyid\" : \"ignored\", \"sig\" : \"{sig}\" }} ],\t\"payload\" : \"{payload}\", \"payloadType\" : \"{payload_type}\" }}\r\n"
            ),
            format!(
                "{{\"payloadType\":\"{payload_type}\",\"payload\":\"{payload}\",\"signatures\":[{{\"sig\":\"{sig}\"}}],\"other\":{{\"a\":[1.5,null]}}}}"
            ),
            format!(
                "{{\"payloadType\":\"\\u0061{}\",\"payload\":\"{payload}\",\"signatures\":[{{\"sig\":\"{sig}\"}}]}}",
                &payload_type[1..]
            ),
        ];
        json!({
            "seed": hex(&[2; 32]), "key": key_id(2), "payload_type": payload_type, "body": body, "pae": base64url(&envelope.pae()),
            "id": envelope.id(), "signature": sig, "carrier": String::from_utf8(envelope.to_json()).expect("JSON"), "carriers": carriers,
        })
    };
    bodies.into_iter().map(case).collect()
}

fn verify_envelope(case: &Value) {
    let kind = Kind::from_payload_type(text(case, "payload_type")).expect("a kind");
    let seed: [u8; 32] = unhex(text(case, "seed")).try_into().expect("32 bytes");
    assert_eq!(seed, [2; 32]);
    let envelope = Envelope::sign(kind, text(case, "body").into(), &key(2));
    assert_eq!(base64url(&envelope.pae()), text(case, "pae"));
    assert_eq!(envelope.id().to_string(), text(case, "id"));
    assert_eq!(envelope.signature().to_string(), text(case, "signature"));
    assert_eq!(envelope.verify(&key_id(2).verifier().expect("a good key")), Ok(()));
    assert_eq!(String::from_utf8(envelope.to_json()).expect("JSON"), text(case, "carrier"));
    for carrier in member::<Vec<String>>(case, "carriers") {
        assert_eq!(Envelope::from_json(carrier.as_bytes()), Ok(envelope.clone()), "{carrier}");
    }
}

/// The carrier of `payload_bytes` bytes.
fn built(payload_bytes: usize) -> String {
    let payload = base64url(&[vec![b'{'], vec![0; payload_bytes - 1]].concat());
    let sig = Signature([0; 64]);
    format!("{{\"payloadType\":\"application/vnd.mesh.post.v1+json\",\"payload\":\"{payload}\",\"signatures\":[{{\"sig\":\"{sig}\"}}]}}")
}

fn invalid_envelopes() -> Vec<Value> {
    let good = String::from_utf8(signed_body(Kind::Like, "{}").to_json()).expect("JSON");
    let sig = signed_body(Kind::Like, "{}").signature().to_string();
    let one = format!("{{\"sig\":\"{sig}\"}}");
    let cases = [
        ("empty", String::new()),
        ("not JSON", "{".into()),
        ("something after it", format!("{good}x")),
        ("null", "null".into()),
        ("an array of the members", format!("[\"application/vnd.mesh.like.v1+json\",\"e30\",[{one}]]")),
        ("a signature as an array", good.replace(&one, &format!("[\"{sig}\"]"))),
        ("payloadType twice", good.replacen('{', "{\"payloadType\":\"application/vnd.mesh.like.v1+json\",", 1)),
        ("no payload", good.replace("\"payload\":\"e30\",", "")),
        ("payload null", good.replace("\"e30\"", "null")),
        ("unknown kind", good.replace("mesh.like", "mesh.poke")),
        ("version 2", good.replace("like.v1", "like.v2")),
        ("upper case in the type", good.replace("mesh.like", "mesh.Like")),
        ("a parameter in the type", good.replace("v1+json", "v1+json; charset=utf-8")),
        ("a name binding is never an envelope", good.replace("mesh.like", "mesh.name")),
        ("no signature", good.replace(&one, "")),
        ("two signatures", good.replace(&one, &format!("{one},{one}"))),
        ("padded payload", good.replace("\"e30\"", "\"e30=\"")),
        ("payload in base64 with +", good.replace("\"e30\"", "\"e30+\"")),
        ("payload with stray bits", good.replace("\"e30\"", "\"e31\"")),
        ("payload with a line feed", good.replace("\"e30\"", "\"e30\\n\"")),
        ("signature of 63 bytes", good.replace(&sig, &base64url(&[1; 63]))),
        ("signature with padding", good.replace(&sig, &format!("{sig}=="))),
    ];
    let case = |(name, carrier): (&str, String)| {
        let error = error_name(&Envelope::from_json(carrier.as_bytes()).expect_err(name));
        json!({ "name": name, "carrier": carrier, "error": error, "problem": problem(&error) })
    };
    let mut cases: Vec<Value> = cases.into_iter().map(case).collect();
    cases.push(
        json!({ "name": "body one byte too long", "payload_bytes": BODY_BYTES_MAX + 1, "error": "TooLarge", "problem": "too_large" }),
    );
    cases.push(json!({ "name": "carrier too long", "payload_bytes": ENVELOPE_BYTES_MAX, "error": "TooLarge", "problem": "too_large" }));
    cases
}

/// The code with which a server answers this error (`spec/errors.md`).
pub(super) fn problem(error: &str) -> &'static str {
    use mesh_proto::api::code;
    match error {
        "TooLarge" => code::TOO_LARGE,
        "BadSignature" | "NotAPoint" | "Weak" => code::BAD_SIGNATURE,
        "UnknownPrev" => code::HEAD_MOVED,
        "NotAllowed" => code::FORBIDDEN,
        "Full" => code::TOO_LARGE,
        "Future" => code::FUTURE,
        _ => code::MALFORMED,
    }
}

fn verify_bad_envelope(case: &Value) {
    let carrier = case["carrier"].as_str().map_or_else(|| built(number(case, "payload_bytes") as usize), str::to_owned);
    let error = Envelope::from_json(carrier.as_bytes()).expect_err(text(case, "name"));
    assert_eq!(error_name(&error), text(case, "error"), "{case}");
    assert!(!matches!(error, EnvelopeError::TooLarge(bytes) if bytes <= BODY_BYTES_MAX));
}
