use super::*;
use proptest::prelude::*;

fn check_user(text: &str, expected: Result<(), AddressError>) {
    assert_eq!(text.parse::<User>().map(|user| assert_eq!(user.to_string(), text)), expected, "{text:?}");
}

fn check_domain(text: &str, expected: Result<(), AddressError>) {
    assert_eq!(text.parse::<Domain>().map(|domain| assert_eq!(domain.to_string(), text)), expected, "{text:?}");
}

fn label(text: &str) -> AddressError {
    AddressError::DomainLabel(text.to_owned())
}

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain")
}

#[test]
fn user_grammar() {
    for good in ["n", "neo", "0", "a.b-c_d", "a--b", "a_.b", &"a".repeat(64)] {
        check_user(good, Ok(()));
    }
    check_user("", Err(AddressError::UserLength));
    check_user(&"a".repeat(65), Err(AddressError::UserLength));
    for (bad, c) in [("Neo", 'N'), ("n o", ' '), ("a+b", '+'), ("nеo", 'е'), ("a\0", '\0'), ("a@", '@'), ("a/b", '/')] {
        check_user(bad, Err(AddressError::UserCharacter(c)));
    }
    for bad in [".a", "a.", "-a", "a-", "_a", "a_", "a..b", ".", "-"] {
        check_user(bad, Err(AddressError::UserPunctuation));
    }
}

#[test]
fn domain_grammar() {
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    for good in ["mesh.org", "a.b", "1.com", "a-b.example", "localhost", "one.localhost", "xn--bcher-kva.example", "a.xn--p1ai", &longest] {
        check_domain(good, Ok(()));
    }
    for good in ["localhost:1", "one.localhost:8001", "a.b.localhost:65535"] {
        check_domain(good, Ok(()));
    }
    for bad in ["", ".", "a..b", ".a.b", "mesh.org.", &format!("{longest}b"), &format!("{}.org", "a".repeat(64)), ":80"] {
        check_domain(bad, Err(AddressError::DomainLength));
    }
    for bad in ["Mesh", "me_sh", "bücher", "-a", "a-", "ab--c", "a b", "me%73h", "a\n", "a/b", "*"] {
        check_domain(&format!("{bad}.org"), Err(label(bad)));
    }
    for bad in ["127.0.0.1", "a.1", "1", "0x7f.0x1", "mesh.0rg"] {
        check_domain(bad, Err(AddressError::DomainIsAddress));
    }
    check_domain("mesh", Err(AddressError::DomainBare));
    check_domain("notlocalhost", Err(AddressError::DomainBare));
    check_domain("[::1]", Err(label("[")));
    // Not what the encoder gives: no content, ASCII in disguise, a character that maps to another, a joiner out of place.
    for bad in ["xn--", "xn--a", "xn--mesh-", "xn--a-ecp", "xn---", "xn--ab-m1t"] {
        assert!(format!("{bad}.org").parse::<Domain>().is_err(), "{bad}");
    }
}

#[test]
fn ports_are_canonical_and_local_only() {
    for bad in ["0", "00", "01", "080", "80", "65536", "99999999999", "", "-1", "+1", " 1", "1 ", "8001:1", "a"] {
        check_domain(&format!("one.localhost:{bad}"), Err(AddressError::Port));
    }
    check_domain("mesh.org:8001", Err(AddressError::Port));
    check_domain("mesh.org:443", Err(AddressError::Port));
    check_domain("localhost.mesh.org:8001", Err(AddressError::Port));
}

#[test]
fn parts_of_a_domain() {
    let local = domain("one.localhost:8001");
    assert_eq!((local.host(), local.port(), local.is_local()), ("one.localhost", Some(8001), true));
    assert_eq!(local.base_url(), "http://one.localhost:8001");
    let public = domain("mesh.org");
    assert_eq!((public.host(), public.port(), public.is_local()), ("mesh.org", None, false));
    assert_eq!(public.base_url(), "https://mesh.org");
    assert!(domain("localhost").is_local());
    assert!(!domain("not-localhost.org").is_local());
    assert!(!domain("evillocalhost.a.org").is_local());
    assert!(!domain("a.notlocalhost").is_local());
}

#[test]
fn human_spelling_is_mapped() {
    let check = |text: &str, expected: &str| assert_eq!(Domain::from_human(text).map(|d| d.to_string()), Ok(expected.to_owned()), "{text}");
    check(" Mesh.ORG\n", "mesh.org");
    check("BÜCHER.example", "xn--bcher-kva.example");
    check("bu\u{308}cher.example", "xn--bcher-kva.example");
    check("faß.de", "xn--fa-hia.de");
    check("пример。рф", "xn--e1afmkfd.xn--p1ai");
    check("One.LocalHost:8001", "one.localhost:8001");
    check("XN--BCHER-KVA.example", "xn--bcher-kva.example");
    assert_eq!(Domain::from_human("１２７.0.0.1"), Err(AddressError::DomainIsAddress));
    for bad in ["", "a..b", "me sh.org", "mesh.org/x", "a\u{200D}b.org", "☃\u{FFFD}.org", "אa.org", "-a.org", "ab--c.org", "user@mesh.org"]
    {
        assert_eq!(Domain::from_human(bad), Err(AddressError::International), "{bad}");
    }
    assert_eq!(domain("xn--bcher-kva.example").to_human(), "bücher.example");
    let address = Address::from_human(" @Neo@Bücher.Example ").map(|a| a.to_string());
    assert_eq!(address, Ok("neo@xn--bcher-kva.example".to_owned()));
}

#[test]
fn address_has_one_at() {
    let address: Address = "neo@one.localhost:8001".parse().expect("an address");
    assert_eq!((address.user().as_str(), address.domain().as_str()), ("neo", "one.localhost:8001"));
    for bad in ["neo", "", "a@b.org@c.org", "@a@b.org@"] {
        assert_eq!(bad.parse::<Address>(), Err(AddressError::Shape), "{bad}");
    }
    assert_eq!("@mesh.org".parse::<Address>(), Err(AddressError::UserLength));
    assert_eq!("neo@".parse::<Address>(), Err(AddressError::DomainLength));
}

#[test]
fn serde_is_the_text_and_checks_it() {
    let address: Address = serde_json::from_str("\"neo@mesh.org\"").expect("an address");
    assert_eq!(serde_json::to_string(&address).expect("text"), "\"neo@mesh.org\"");
    assert!(serde_json::from_str::<Address>("\"Neo@mesh.org\"").is_err());
    assert!(serde_json::from_str::<Domain>("7").is_err());
}

#[test]
fn reserved_names_and_their_look_alikes_are_reserved() {
    let id = format!("ae{}", "a".repeat(51));
    for name in ["admin", "adm1n", "adrnin", "root", "r00t", "postmaster", "no-reply", "no.reply", "vvvvvv", "www", id.as_str()] {
        assert!(name.parse::<User>().expect("a user name").is_reserved(), "{name}");
    }
    for name in ["neo", "trinity", "roots", "admin2", &id[1..], &format!("{id}a"), &format!("b{}", &id[1..])] {
        assert!(!name.parse::<User>().expect("a user name").is_reserved(), "{name}");
    }
}

#[test]
fn look_alikes_have_equal_skeletons() {
    for (a, b) in [
        ("neo", "nе0"),
        ("paypal", "paypa1"),
        ("paypal", "paypai"),
        ("paypal", "раураl"),
        ("modern", "rnodern"),
        ("wvw", "vvvw"),
        ("dad", "clacl"),
        ("Neo", "neo"),
        ("a.b", "a_b"),
        ("LIL", "1i1"),
        ("neo", "ne\u{200B}o"),
    ] {
        assert_eq!(lookalike(a), lookalike(b), "{a} {b}");
    }
    for (a, b) in [("neo", "nea"), ("trinity", "trinit"), ("é", "e"), ("ab", "a-b")] {
        assert_ne!(lookalike(a), lookalike(b), "{a} {b}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_parses_prints_itself(text in "\\PC{0,80}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string(), text.clone());
        }
        if let Ok(domain) = Domain::from_human(&text) {
            prop_assert_eq!(domain.as_str().parse::<Domain>(), Ok(domain.clone()));
            prop_assert_eq!(Domain::from_human(&domain.to_human()), Ok(domain));
        }
        let _ = Address::from_human(&text);
        let _ = lookalike(&text);
    }

    #[test]
    fn addresses_round_trip(user in "[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?", labels in prop::collection::vec("[a-z0-9]([a-z0-9]{0,9}[a-z0-9])?", 1..4)) {
        let text = format!("{user}@{}.org", labels.join("."));
        let address: Address = text.parse().expect("made by the grammar");
        prop_assert_eq!(address.to_string(), text);
        prop_assert_eq!(lookalike(&lookalike(&user)), lookalike(&user));
    }
}
