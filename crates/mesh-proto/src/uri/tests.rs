use super::*;
use proptest::prelude::*;

fn id(fill: u8) -> AccountId {
    AccountId::from_hash([fill; 32])
}

fn record(fill: u8) -> RecordId {
    RecordId::from_hash([fill; 32])
}

fn neo() -> Person {
    Person::Address("neo@mesh.org".parse().expect("an address"))
}

/// Reads `text`, expects `target`, and expects its two forms.
fn check(text: &str, target: &Target, mesh: &str, permalink: Option<&str>) {
    assert_eq!(Target::parse(text).as_ref(), Ok(target), "{text}");
    assert_eq!(target.to_string(), mesh);
    assert_eq!(target.permalink().as_deref(), permalink);
    assert_eq!(mesh.parse().as_ref(), Ok(target));
    if let Some(permalink) = permalink {
        assert_eq!(permalink.parse().as_ref(), Ok(target));
    }
}

#[test]
fn people() {
    let target = Target::Person(neo());
    for text in ["neo@mesh.org", "@neo@mesh.org", "mesh://neo@mesh.org", "https://mesh.org/@neo"] {
        check(text, &target, "mesh://neo@mesh.org", Some("https://mesh.org/@neo"));
    }
    let local = Target::Person(Person::Address("neo@one.localhost:8001".parse().expect("an address")));
    for text in ["@neo@one.localhost:8001", "http://one.localhost:8001/@neo"] {
        check(text, &local, "mesh://neo@one.localhost:8001", Some("http://one.localhost:8001/@neo"));
    }
    let account = format!("mesh://{}", id(5));
    check(&account, &Target::Person(Person::Account { id: id(5), home: None }), &account, None);
    let hinted = format!("{account}?home=one.localhost:8001");
    let home = Some("one.localhost:8001".parse().expect("a domain"));
    check(&hinted, &Target::Person(Person::Account { id: id(5), home }), &hinted, None);
}

#[test]
fn records_and_versions() {
    let (first, second) = (record(1), record(2));
    let current = Target::Record { person: neo(), record: first, version: None };
    check(
        &format!("https://mesh.org/@neo/{first}"),
        &current,
        &format!("mesh://neo@mesh.org/{first}"),
        Some(&format!("https://mesh.org/@neo/{first}")),
    );
    let exact = Target::Record { person: neo(), record: first, version: Some(second) };
    let mesh = format!("mesh://neo@mesh.org/{first}@{second}");
    check(&mesh, &exact, &mesh, Some(&format!("https://mesh.org/@neo/{first}@{second}")));
    let person = Person::Account { id: id(5), home: Some("mesh.org".parse().expect("a domain")) };
    let mesh = format!("mesh://{}/{first}@{second}?home=mesh.org", id(5));
    check(&mesh, &Target::Record { person, record: first, version: Some(second) }, &mesh, None);
}

#[test]
fn what_is_no_link_is_refused_by_its_part() {
    let (account, post) = (id(5).to_string(), record(1).to_string());
    let upper = post.to_uppercase();
    let kind = |error: LinkError| match error {
        LinkError::Length => "length",
        LinkError::Scheme => "scheme",
        LinkError::WebScheme => "web scheme",
        LinkError::Address(_) => "address",
        LinkError::Account(_) => "account",
        LinkError::Record(_) => "record",
        LinkError::Version(_) => "version",
        LinkError::Query => "query",
    };
    for (text, expected) in [
        (String::new(), "scheme"),
        ("neo".into(), "scheme"),
        (account.clone(), "scheme"),
        ("neo@mesh.org/x".into(), "scheme"),
        ("javascript:alert(1)".into(), "scheme"),
        ("MESH://neo@mesh.org".into(), "scheme"),
        (" mesh://neo@mesh.org".into(), "scheme"),
        ("https://mesh.org/".into(), "scheme"),
        ("https://mesh.org/neo".into(), "scheme"),
        ("http://mesh.org/@neo".into(), "web scheme"),
        ("https://one.localhost/@neo".into(), "web scheme"),
        ("@@neo@mesh.org".into(), "address"),
        ("mesh://Neo@mesh.org".into(), "address"),
        ("mesh://neo:pw@mesh.org".into(), "address"),
        ("https://evil.org@mesh.org/@neo".into(), "address"),
        ("https://mesh.org:443/@neo".into(), "address"),
        ("https://mesh.org/a/@neo".into(), "address"),
        ("https://mesh.org/@neo?utm=1".into(), "address"),
        ("https://mesh.org/@neo%2e".into(), "address"),
        ("mesh://".into(), "account"),
        ("mesh://mesh.org".into(), "account"),
        (format!("mesh://{}", account.to_uppercase()), "account"),
        (format!("mesh://{account}x"), "account"),
        ("mesh://neo@mesh.org/".into(), "record"),
        ("https://mesh.org/@neo/".into(), "record"),
        (format!("mesh://neo@mesh.org/{upper}"), "record"),
        (format!("mesh://neo@mesh.org/{post}/"), "record"),
        (format!("mesh://neo@mesh.org/{post}#x"), "record"),
        (format!("mesh://neo@mesh.org/{post}@"), "version"),
        (format!("mesh://neo@mesh.org/{post}@{post}@{post}"), "version"),
        (format!("https://mesh.org/@neo/{post}?home=mesh.org"), "record"),
        (format!("mesh://neo@mesh.org/{post}?home=mesh.org"), "query"),
        (format!("mesh://{account}?"), "query"),
        (format!("mesh://{account}?Home=mesh.org"), "query"),
        (format!("mesh://{account}?home="), "address"),
        (format!("mesh://{account}?home=mesh.org&home=mesh.org"), "address"),
        (format!("mesh://{}", "a".repeat(LINK_BYTES_MAX)), "length"),
    ] {
        assert_eq!(Target::parse(&text).map_err(kind), Err(expected), "{text}");
    }
}

#[test]
fn longest_link_fits() {
    let domain = format!("{0}.{0}.{0}.{1}.localhost:65535", "a".repeat(63), "b".repeat(51));
    let address = format!("{}@{domain}", "u".repeat(64)).parse().expect("an address");
    let target = Target::Record { person: Person::Address(address), record: record(1), version: Some(record(2)) };
    assert_eq!(Target::parse(&target.to_string()), Ok(target));
}

proptest! {
    #[test]
    fn what_parses_prints_and_parses_again(text in "(mesh://|https://|@|)[a-z@./?=:]{0,60}") {
        if let Ok(target) = Target::parse(&text) {
            prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
        }
    }

    #[test]
    fn no_text_panics(text in "(mesh://|http://|)\\PC{0,60}") {
        let _ = Target::parse(&text);
    }
}
