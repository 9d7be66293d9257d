use super::*;
use crate::key::SecretKey;
use proptest::prelude::*;

const NOW_S: u64 = 1_800_000_000;
const URL: &str = "https://mesh.org/v1/inbox?x=1";
const TIMES: Times = Times { now_s: NOW_S, process_start_s: NOW_S - 1000 };

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn input(created_s: u64) -> SignatureInput {
    SignatureInput::new(created_s, created_s + 60, "AAECAwQFBgcICQoLDA0ODw", "mesh.org/key1").expect("parameters are allowed")
}

fn parts<'a>(method: &'a str, url: &'a str) -> RequestParts<'a> {
    RequestParts::new(method, url).expect("request is allowed")
}

fn signed(created_s: u64) -> SignedHeaders {
    sign(parts("POST", URL), ContentDigest::of(b"{}"), &input(created_s), |base| key().sign(base).0)
}

fn parse(headers: &SignedHeaders) -> Result<ParsedSignature, SignatureError> {
    ParsedSignature::parse([
        ("content-digest", headers.content_digest.as_bytes()),
        ("accept", b"*/*"),
        ("Signature-Input", headers.signature_input.as_bytes()),
        ("signature", headers.signature.as_bytes()),
    ])
}

fn verify(headers: &SignedHeaders, parts: RequestParts<'_>, times: Times) -> Result<VerifiedHead, VerifyError> {
    parse(headers).expect("headers are of the profile").verify(parts, &key().id().verifier().expect("a good key"), times)
}

fn check_input(from: &str, to: &str, expected: SignatureError) {
    let mut headers = signed(NOW_S);
    assert!(headers.signature_input.contains(from), "{from}");
    headers.signature_input = headers.signature_input.replacen(from, to, 1);
    assert_eq!(parse(&headers).err(), Some(expected), "{}", headers.signature_input);
}

const MALFORMED_INPUT: SignatureError = SignatureError::Malformed { header: SIGNATURE_INPUT, expected: "mesh=(…);…" };

#[test]
fn rfc_9421_example_b_2_6() {
    let params =
        "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let lines = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ];
    let base = field::base(&lines, params);
    let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).expect("base64");
    let seed = decode("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=").try_into().expect("32 bytes");
    let signature = decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==");
    assert_eq!(SecretKey::from_seed(&seed).sign(base.as_bytes()).0.as_slice(), signature);
}

#[test]
fn headers_are_those_of_the_spec_page() {
    let headers = signed(NOW_S);
    assert_eq!(headers.content_digest, "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
    assert_eq!(
        headers.signature_input,
        "mesh=(\"@method\" \"@target-uri\" \"content-digest\");created=1800000000;expires=1800000060;nonce=\"AAECAwQFBgcICQoLDA0ODw\";keyid=\"mesh.org/key1\";tag=\"mesh\""
    );
    assert_eq!(
        base(parts("POST", URL), ContentDigest::of(b"{}"), &field::params(&input(NOW_S))),
        "\"@method\": POST\n\"@target-uri\": https://mesh.org/v1/inbox?x=1\n\"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\"@signature-params\": (\"@method\" \"@target-uri\" \"content-digest\");created=1800000000;expires=1800000060;nonce=\"AAECAwQFBgcICQoLDA0ODw\";keyid=\"mesh.org/key1\";tag=\"mesh\""
    );
    assert_eq!(headers.signature, "mesh=:xyXbLLaglBc7+uJQfiV13vBts24T82Bn5RwDelTCmrY4TxAVipreN1uVkhy0jTvwmm2isnRna47LX4FfkpMbCQ==:");
    assert_eq!(ContentDigest::of(b"").to_string(), "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
}

#[test]
fn signed_request_verifies_once() {
    let head = verify(&signed(NOW_S), parts("POST", URL), TIMES).expect("genuine");
    assert_eq!((head.keyid(), head.nonce(), head.expires_s()), ("mesh.org/key1", "AAECAwQFBgcICQoLDA0ODw", NOW_S + 60));
    assert_eq!(head.check_body(ContentDigest::of(b"{}")), Ok(()));
    assert_eq!(head.check_body(ContentDigest::of(b"")), Err(VerifyError::BodyDigest));
    let mut window = NonceWindow::new();
    assert_eq!(window.remember(&head, NOW_S), Ok(()));
    assert_eq!(window.remember(&head, NOW_S + 60), Err(NonceError::Replayed));
}

#[test]
fn other_request_or_key_is_refused() {
    let bad = Err(VerifyError::BadSignature);
    for other in [parts("PUT", URL), parts("POST", "https://mesh.org/v1/inbox"), parts("POST", "https://mesh.example/v1/inbox?x=1")] {
        assert_eq!(verify(&signed(NOW_S), other, TIMES), bad);
    }
    let stranger = SecretKey::from_seed(&[8; 32]).id().verifier().expect("a good key");
    assert_eq!(parse(&signed(NOW_S)).expect("headers").verify(parts("POST", URL), &stranger, TIMES), bad);
    let mut headers = signed(NOW_S);
    headers.content_digest = ContentDigest::of(b"other").to_string();
    assert_eq!(verify(&headers, parts("POST", URL), TIMES), bad);
    // A parameter in another place is another signature base.
    let mut headers = signed(NOW_S);
    headers.signature_input = headers.signature_input.replace(";tag=\"mesh\"", "").replace(";created", ";tag=\"mesh\";created");
    assert_eq!(verify(&headers, parts("POST", URL), TIMES), bad);
}

#[test]
fn times_are_checked_to_the_second() {
    let check = |created_s: u64, now_s: u64, process_start_s: u64, expected: Result<(), VerifyError>| {
        let found = verify(&signed(created_s), parts("POST", URL), Times { now_s, process_start_s });
        assert_eq!(found.map(drop), expected, "created {created_s} now {now_s} start {process_start_s}");
    };
    check(1000, 1000, 1000, Ok(()));
    check(1010, 1000, 0, Ok(()));
    check(1011, 1000, 0, Err(VerifyError::Ahead { ahead_s: 11 }));
    check(1000, 1060, 0, Ok(()));
    check(1000, 1061, 0, Err(VerifyError::Expired { ago_s: 1 }));
    check(1000, 1000, 1001, Err(VerifyError::BeforeStart));
    check(0, u64::MAX, 0, Err(VerifyError::Expired { ago_s: u64::MAX - 60 }));
    assert!(VerifyError::BeforeStart.sign_again() && !VerifyError::BadSignature.sign_again());
}

#[test]
fn signature_input_outside_the_profile_is_refused() {
    let parameter = |name, expected| SignatureError::Parameter { name, expected };
    check_input("mesh=", "sig1=", SignatureError::Label(SIGNATURE_INPUT));
    check_input("mesh=", "a=1, mesh=", SignatureError::Label(SIGNATURE_INPUT));
    check_input("mesh=", "mesh=(\"@method\"), mesh=", MALFORMED_INPUT);
    check_input("mesh=(\"@method\" \"@target-uri\" \"content-digest\")", "mesh=1", MALFORMED_INPUT);
    check_input("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\"", SignatureError::Components);
    check_input(" \"content-digest\"", "", SignatureError::Components);
    check_input(" \"content-digest\"", " \"content-digest\" \"date\"", SignatureError::Components);
    check_input("\"@method\"", "\"@method\";req", SignatureError::Components);
    check_input("\"@method\"", "\"@METHOD\"", SignatureError::Components);
    check_input("\"@method\"", "method", SignatureError::Components);
    for (name, text) in [
        ("created", ";created=1800000000"),
        ("expires", ";expires=1800000060"),
        ("nonce", ";nonce=\"AAECAwQFBgcICQoLDA0ODw\""),
        ("keyid", ";keyid=\"mesh.org/key1\""),
        ("tag", ";tag=\"mesh\""),
    ] {
        check_input(text, "", SignatureError::ParameterMissing(name));
        check_input(text, &format!("{text}{text}"), MALFORMED_INPUT);
    }
    check_input(";tag", ";alg=\"ed25519\";tag", SignatureError::ParameterUnknown("alg".to_owned()));
    check_input(";tag", ";x;tag", SignatureError::ParameterUnknown("x".to_owned()));
    check_input("tag=\"mesh\"", "tag=\"web\"", parameter("tag", "\"mesh\""));
    check_input("tag=\"mesh\"", "tag=mesh", parameter("tag", "a string"));
    check_input("created=1800000000", "created=\"1800000000\"", parameter("created", "seconds since 1970, an integer"));
    check_input("created=1800000000", "created=-1", parameter("created", "seconds since 1970, an integer"));
    check_input("created=1800000000", "created=@1800000000", parameter("created", "seconds since 1970, an integer"));
    for expires in ["1800000061", "1800000000", "1799999999", "999999999999999"] {
        check_input("expires=1800000060", &format!("expires={expires}"), parameter("expires", "1 to 60 seconds after created"));
    }
    for nonce in ["short", "AAECAwQFBgcICQo+", "AAECAwQFBgcICQo=", &"a".repeat(65)] {
        check_input("AAECAwQFBgcICQoLDA0ODw", nonce, parameter("nonce", "16 to 64 characters of base64url"));
    }
    let keyid = parameter("keyid", "1 to 300 printable ASCII characters without space, quote or backslash");
    for bad in ["", "a b", "a\\\"b", "a\\\\b", &"a".repeat(301)] {
        check_input("mesh.org/key1", bad, keyid.clone());
    }
    for (from, to) in
        [(";created", "; created"), ("created=1800000000", "created=01800000000"), ("mesh=", " mesh="), ("keyid=\"", "keyid=\"é")]
    {
        check_input(from, to, MALFORMED_INPUT);
    }
    check_input("mesh.org/key1", &"a".repeat(2000), MALFORMED_INPUT);
}

#[test]
fn digest_and_signature_outside_the_profile_are_refused() {
    let good = signed(NOW_S);
    let malformed = SignatureError::Malformed { header: CONTENT_DIGEST, expected: "sha-256=:…: with 32 bytes, alone" };
    let digest = good.content_digest.as_str();
    let spaced = format!("{digest} ");
    for bad in [
        "",
        "sha-256=1",
        "sha-256=:AAAA:",
        &format!("{digest}, sha-512=:AAAA:"),
        &format!("{digest};a"),
        &digest.replace("sha-256", "sha-512"),
        &spaced,
        &digest.replace("4o=", "4p="),
        &digest.replace("4o=", "4o"),
    ] {
        assert_eq!(parse(&SignedHeaders { content_digest: bad.to_string(), ..good.clone() }).err(), Some(malformed.clone()), "{bad}");
    }
    let signature = good.signature.as_str();
    let malformed = SignatureError::Malformed { header: SIGNATURE, expected: "mesh=:…: with 64 bytes" };
    for bad in ["", "mesh", "mesh=:AAAA:", &format!("{signature};a"), &format!("{signature}, {signature}")] {
        assert_eq!(parse(&SignedHeaders { signature: bad.to_string(), ..good.clone() }).err(), Some(malformed.clone()), "{bad}");
    }
    for bad in [signature.replace("mesh", "sig1"), format!("{signature}, sig1=:AAAA:")] {
        assert_eq!(parse(&SignedHeaders { signature: bad, ..good.clone() }).err(), Some(SignatureError::Label(SIGNATURE)));
    }
}

#[test]
fn missing_and_repeated_headers_are_named() {
    let good = signed(NOW_S);
    let all = [
        (CONTENT_DIGEST, good.content_digest.as_bytes()),
        (SIGNATURE_INPUT, good.signature_input.as_bytes()),
        (SIGNATURE, good.signature.as_bytes()),
    ];
    for (at, (name, value)) in all.iter().enumerate() {
        let without = all.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, header)| *header);
        assert_eq!(ParsedSignature::parse(without).err(), Some(SignatureError::Missing(name)));
        let upper = name.to_uppercase();
        let twice = all.iter().copied().chain([(upper.as_str(), *value)]);
        assert_eq!(ParsedSignature::parse(twice).err(), Some(SignatureError::Repeated(name)));
    }
}

#[test]
fn requests_that_could_forge_a_line_are_refused() {
    for method in ["", "get", "GET\n", "A B", &"A".repeat(17)] {
        assert!(RequestParts::new(method, URL).is_err(), "{method:?}");
    }
    let long = format!("{URL}{}", "a".repeat(TARGET_URI_BYTES_MAX));
    for url in [
        "",
        "/v1",
        "mesh.org/",
        "ftp://mesh.org/",
        "https://",
        "https:///x",
        "https://mesh.org",
        "https://mesh.org/#a",
        "https://mesh.org/\n",
        "https://mesh.org/ü",
        "https://mesh.org/a b",
        &long,
    ] {
        assert!(RequestParts::new("GET", url).is_err(), "{url:?}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies(created_s in 0u64..(1 << 39), life_s in 1u64..=60, nonce in "[A-Za-z0-9_-]{16,64}", keyid in "[!#-\\[\\]-~]{1,300}", body: Vec<u8>) {
        let input = SignatureInput::new(created_s, created_s + life_s, &nonce, &keyid).expect("parameters are allowed");
        let headers = sign(parts("GET", URL), ContentDigest::of(&body), &input, |base| key().sign(base).0);
        let head = verify(&headers, parts("GET", URL), Times { now_s: created_s, process_start_s: 0 }).expect("genuine");
        prop_assert_eq!((head.keyid(), head.nonce()), (keyid.as_str(), nonce.as_str()));
        prop_assert_eq!(head.check_body(ContentDigest::of(&body)), Ok(()));
    }

    #[test]
    fn no_header_bytes_panic(digest: Vec<u8>, text in "mesh=\\PC{0,99}", bytes: Vec<u8>) {
        let _ = ParsedSignature::parse([(CONTENT_DIGEST, digest.as_slice()), (SIGNATURE_INPUT, text.as_bytes()), (SIGNATURE, &bytes)]);
        let _ = (field::input(text.as_bytes()), field::input(&bytes), field::signature(&bytes), field::signature(text.as_bytes()));
    }
}
