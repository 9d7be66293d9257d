//! Addresses, links, recovery phrases, pairing codes, proofs of work.

use super::{File, member, number, text};
use crate::fixture::{account, error_name, hex, key_id, unhex};
use mesh_proto::address::{Address, lookalike};
use mesh_proto::api::PairingRequest;
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::RecordId;
use mesh_proto::key::SecretKey;
use mesh_proto::phrase::Phrase;
use mesh_proto::pow::{Challenge, solve_step};
use mesh_proto::uri::Target;
use serde_json::{Value, json};

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/address",
            about: "`typed` becomes `address`; `reserved` says whether a home keeps its user name to itself. `lookalike` is the skeleton of the user name.",
            page: "spec/address.md",
            cases: addresses(),
            verify: verify_address,
        },
        File {
            path: "invalid/address",
            about: "`text` is not an address on the wire.",
            page: "spec/address.md",
            cases: bad_addresses(),
            verify: verify_bad_address,
        },
        File {
            path: "valid/link",
            about: "`text` means the same as `link`; `permalink` is its page, if it has one.",
            page: "spec/uri.md",
            cases: links(),
            verify: verify_link,
        },
        File { path: "invalid/link", about: "`text` is not a link.", page: "spec/uri.md", cases: bad_links(), verify: verify_bad_link },
        File {
            path: "valid/phrase",
            about: "`entropy` (hex) is written as `phrase` and gives `root_seed` (hex) and `root`; `typed` is read as the same phrase.",
            page: "spec/phrase.md",
            cases: phrases(),
            verify: verify_phrase,
        },
        File {
            path: "invalid/phrase",
            about: "`phrase` is refused.",
            page: "spec/phrase.md",
            cases: bad_phrases(),
            verify: verify_bad_phrase,
        },
        File {
            path: "valid/pairing",
            about: "People compare `code` for `device` of `account`.",
            page: "spec/pairing.md",
            cases: pairings(),
            verify: verify_pairing,
        },
        File {
            path: "valid/proof-of-work",
            about: "`counter` is the smallest that solves the challenge.",
            page: "spec/proof-of-work.md",
            cases: work(),
            verify: verify_work,
        },
    ]
}

fn addresses() -> Vec<Value> {
    let typed = [
        "neo@mesh.org",
        " @Neo@Mesh.ORG ",
        "n@a.b",
        "a--b.c_d@mesh.org",
        "neo@localhost",
        "neo@one.localhost:8001",
        "neo@B\u{fc}cher.Example",
        "neo@xn--bcher-kva.example",
        "admin@mesh.org",
        "adm1n@mesh.org",
        "paypa1@mesh.org",
    ];
    let case = |typed: &str| {
        let address = Address::from_human(typed).expect(typed);
        json!({ "typed": typed, "address": address, "reserved": address.user().is_reserved(), "lookalike": lookalike(address.user().as_str()) })
    };
    typed.into_iter().map(case).collect()
}

fn verify_address(case: &Value) {
    let address: Address = member(case, "address");
    assert_eq!(Address::from_human(text(case, "typed")), Ok(address.clone()));
    assert_eq!(json!(address.user().is_reserved()), case["reserved"]);
    assert_eq!(lookalike(address.user().as_str()), text(case, "lookalike"));
}

fn bad_addresses() -> Vec<Value> {
    let long_user = format!("{}@mesh.org", "a".repeat(65));
    let long_domain = format!("a@{}", ["abcdefghi"; 26].join("."));
    let texts = [
        "",
        "neo",
        "@mesh.org",
        "neo@",
        "a@b@c.d",
        "Neo@mesh.org",
        " neo@mesh.org",
        "neo@mesh.org.",
        "neo@mesh",
        "neo@127.0.0.1",
        "neo@0x7f.0x1",
        "neo@[::1]",
        "neo@mesh.org:443",
        "neo@one.localhost:80",
        "neo@one.localhost:08001",
        "neo@one.localhost:65536",
        "neo@one.localhost:",
        "neo@b\u{fc}cher.example",
        "neo@ab--c.org",
        "neo@xn--a.org",
        "neo@-a.org",
        "neo@a_b.org",
        "neo@a..b",
        "a..b@mesh.org",
        ".a@mesh.org",
        "a.@mesh.org",
        "a+b@mesh.org",
        "n\u{435}o@mesh.org",
        "neo@mesh.org\n",
        "neo@mesh.org/x",
        long_user.as_str(),
        long_domain.as_str(),
    ];
    let case = |text: &str| json!({ "text": text, "error": error_name(&text.parse::<Address>().expect_err(text)) });
    texts.into_iter().map(case).collect()
}

fn verify_bad_address(case: &Value) {
    assert_eq!(error_name(&text(case, "text").parse::<Address>().expect_err("refused")), text(case, "error"), "{case}");
}

fn links() -> Vec<Value> {
    let (who, record) = (account(), RecordId::from_hash([1; 32]));
    let texts = [
        "neo@mesh.org".into(),
        "@neo@mesh.org".into(),
        "mesh://neo@mesh.org".into(),
        "https://mesh.org/@neo".into(),
        "http://one.localhost:8001/@neo".into(),
        format!("mesh://{who}"),
        format!("mesh://{who}?home=mesh.org"),
        format!("mesh://neo@mesh.org/{record}"),
        format!("https://mesh.org/@neo/{record}"),
        format!("https://mesh.org/@neo/{record}@{record}"),
        format!("mesh://{who}/{record}@{record}?home=one.localhost:8001"),
    ];
    let case = |text: &String| {
        let target = Target::parse(text).expect(text);
        json!({ "text": text, "link": target, "permalink": target.permalink() })
    };
    texts.iter().map(case).collect()
}

fn verify_link(case: &Value) {
    let target = Target::parse(text(case, "text")).expect("a link");
    assert_eq!(target, Target::parse(text(case, "link")).expect("a link"));
    assert_eq!((target.to_string().as_str(), target.permalink().as_deref()), (text(case, "link"), case["permalink"].as_str()));
}

fn bad_links() -> Vec<Value> {
    let (who, record) = (account(), RecordId::from_hash([1; 32]));
    let texts = [
        String::new(),
        "neo".into(),
        who.to_string(),
        "MESH://neo@mesh.org".into(),
        "mesh://".into(),
        "mesh://mesh.org".into(),
        "mesh://neo:pw@mesh.org".into(),
        "mesh://neo@mesh.org/".into(),
        "mesh://neo@mesh.org?home=mesh.org".into(),
        format!("mesh://{who}?home="),
        format!("mesh://{who}?homes=mesh.org"),
        format!("mesh://{who}#x"),
        "http://mesh.org/@neo".into(),
        "https://one.localhost:8001/@neo".into(),
        "https://mesh.org:443/@neo".into(),
        "https://mesh.org/@neo/".into(),
        "https://mesh.org/@neo?x=1".into(),
        "https://mesh.org/neo".into(),
        format!("https://mesh.org/@neo/{record}@"),
        format!("https://mesh.org/@neo/{record}/x"),
        format!("mesh://neo@mesh.org/{}", record.to_string().to_uppercase()),
        "javascript:alert(1)".into(),
        "https://mesh.org/%40neo".into(),
        format!("mesh://neo@mesh.org/{}", "a".repeat(1100)),
    ];
    let case = |text: &String| json!({ "text": text, "error": error_name(&Target::parse(text).expect_err(text)) });
    texts.iter().map(case).collect()
}

fn verify_bad_link(case: &Value) {
    assert_eq!(error_name(&Target::parse(text(case, "text")).expect_err("refused")), text(case, "error"), "{case}");
}

fn phrases() -> Vec<Value> {
    let counting: [u8; 32] = std::array::from_fn(|at| at as u8);
    let case = |entropy: [u8; 32]| {
        let phrase = Phrase::from_entropy(entropy);
        let typed = format!("  {}\n", phrase.to_string().to_uppercase().replacen(' ', "\t\u{3000}", 2));
        let root = SecretKey::from_seed(&phrase.root_seed()).id();
        json!({ "entropy": hex(&entropy), "phrase": phrase.to_string(), "typed": typed, "root_seed": hex(&*phrase.root_seed()), "root": root })
    };
    [[0; 32], [0x7f; 32], [0x80; 32], [0xff; 32], counting].into_iter().map(case).collect()
}

fn verify_phrase(case: &Value) {
    let entropy: [u8; 32] = unhex(text(case, "entropy")).try_into().expect("32 bytes");
    let phrase = Phrase::from_entropy(entropy);
    assert!(text(case, "typed").parse::<Phrase>().expect("a phrase") == phrase);
    assert_eq!(phrase.to_string(), text(case, "phrase"));
    assert_eq!(hex(&*phrase.root_seed()), text(case, "root_seed"));
    assert_eq!(SecretKey::from_seed(&phrase.root_seed()).id(), member(case, "root"));
}

fn bad_phrases() -> Vec<Value> {
    let zero = Phrase::from_entropy([0; 32]).to_string();
    let texts = [
        ("empty", String::new()),
        ("23 words", zero.replacen("abandon ", "", 1)),
        ("25 words", format!("{zero} art")),
        ("one unknown word", zero.replacen("abandon", "abandom", 1)),
        ("two unknown words", zero.replacen("abandon", "abandom", 2)),
        ("wrong checksum", zero.replace("art", "abandon")),
        ("an abbreviation", zero.replacen("abandon", "aban", 1)),
        ("words in another language", zero.replacen("abandon", "abaco", 1)),
    ];
    let case = |(name, phrase): (&str, String)| {
        let error = error_name(&phrase.parse::<Phrase>().expect_err(name));
        json!({ "name": name, "phrase": phrase, "error": error })
    };
    texts.into_iter().map(case).collect()
}

fn verify_bad_phrase(case: &Value) {
    assert_eq!(error_name(&text(case, "phrase").parse::<Phrase>().expect_err("refused")), text(case, "error"), "{case}");
}

fn pairings() -> Vec<Value> {
    (1..=5)
        .map(|seed| json!({ "account": account(), "device": key_id(seed), "code": PairingRequest::code(&account(), &key_id(seed)) }))
        .collect()
}

fn verify_pairing(case: &Value) {
    assert_eq!(PairingRequest::code(&member(case, "account"), &member(case, "device")), text(case, "code"));
}

fn challenge(case: &Value) -> Challenge {
    let bits = u8::try_from(number(case, "bits")).expect("few bits");
    Challenge::new(member(case, "domain"), member(case, "salt"), bits, member(case, "account")).expect("not too hard")
}

fn work() -> Vec<Value> {
    let case = |(domain, bits): (&str, u8)| {
        let mut case = json!({ "domain": domain, "salt": Salt([7; 16]), "bits": bits, "account": account() });
        case["counter"] = solve_step(&challenge(&case), 0, 1 << 20).expect("a solution").into();
        case
    };
    [("mesh.org", 0), ("mesh.org", 8), ("mesh.org", 12), ("one.localhost:8001", 12)].into_iter().map(case).collect()
}

fn verify_work(case: &Value) {
    let (challenge, counter) = (challenge(case), number(case, "counter"));
    assert_eq!(challenge.verify(counter), Ok(()));
    assert!((0..counter).all(|earlier| challenge.verify(earlier).is_err()));
}
