//! Whole exports, as files in `fixtures/import`: what comes along, what stays behind, and that no damage passes or panics.

use mesh_import::{Export, ImportError, Network, Why, read};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a fixture")
}

fn export(name: &str, expected: Network) -> Export {
    let bytes = fixture(name);
    let network = Network::of(&bytes).expect("a network");
    assert_eq!(network, expected);
    read(&bytes, network).expect("a good export")
}

fn texts(export: &Export) -> Vec<&str> {
    export.posts.iter().map(|post| post.text.as_str()).collect()
}

fn whys(export: &Export) -> Vec<(&str, Why)> {
    export.left_out.iter().map(|left| (left.place.as_str(), left.why)).collect()
}

#[test]
fn mastodon_posts_for_everybody_come_along_and_no_others() {
    let export = export("mastodon-outbox.json", Network::Mastodon);
    assert_eq!(
        texts(&export),
        [
            "Hello, fediverse! I grow beans & write Rust.\n\n#introduction",
            "1/2 How to sow:\nearly.",
            "2/2 And often. https://example.org/sowing/a/very/long/path",
            "My lunch, look:",
            "Evil? No [31m\u{202e}gnihton.",
        ]
    );
    let [hello, .., lunch, _] = export.posts.as_slice() else { panic!("five posts") };
    assert_eq!((hello.tags.as_slice(), hello.lang.as_deref()), (&["introduction".to_owned()][..], Some("en")));
    assert_eq!((hello.url.as_str(), hello.at_ms), ("https://social.example/@neo/109500000000000001", 1_670_839_200_000));
    assert_eq!((lunch.title.as_deref(), lunch.attachments), (Some("food"), 1));
    assert_eq!(
        whys(&export),
        [("item 2", Why::NotPublic), ("item 3", Why::NotPublic), ("item 4", Why::Answer), ("item 7", Why::Boost), ("item 9", Why::NoText),]
    );
}

#[test]
fn bluesky_posts_come_out_of_the_tree_with_whole_links() {
    let export = export("bluesky.car", Network::Bluesky);
    assert_eq!(
        texts(&export),
        [
            "Planted beans today. More at https://example.org/garden/beans #garden",
            "And a thread: they came up.",
            "Read this\n\nhttps://example.org/soil",
        ]
    );
    let [first, ..] = export.posts.as_slice() else { panic!("posts") };
    assert_eq!(first.url, "https://bsky.app/profile/did:plc:ewvi7nxzyoun6zhxrhs64oiz/post/3k2aaaaaaaa2a");
    assert_eq!(first.tags, ["garden"]);
    assert_eq!(whys(&export).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [Why::Answer, Why::NoText]);
}

#[test]
fn nostr_notes_come_along_only_as_they_were_signed_and_once() {
    let export = export("nostr.jsonl", Network::Nostr);
    assert_eq!(
        texts(&export),
        ["The first crocus is out.\nIn January! #garden", "\"Quoted\" words with a \\ and a tab\there – über alles gut 🌱"]
    );
    assert!(export.author.starts_with("npub1"), "{}", export.author);
    assert!(export.posts.iter().all(|post| post.url.starts_with("nostr:note1")));
    assert_eq!(whys(&export), [("line 2", Why::NotAPost), ("line 3", Why::Answer), ("line 5", Why::Forged)]);
}

#[test]
fn one_changed_letter_of_a_signed_note_is_seen() {
    let text = String::from_utf8(fixture("nostr.jsonl")).expect("text");
    for (good, bad) in [("January", "Januarz"), ("1704103200", "1704103201"), ("[\"t\"", "[\"u\"")] {
        let export = read(text.replacen(good, bad, 1).as_bytes(), Network::Nostr).expect("readable");
        assert!(export.left_out.iter().any(|left| left.place == "line 1" && left.why == Why::Forged), "{bad}");
    }
}

fn place(bytes: &[u8], network: Network) -> String {
    match read(bytes, network) {
        Err(ImportError::Broken { place, .. }) => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn broken_files_are_refused_with_the_position() {
    let mastodon = fixture("mastodon-outbox.json");
    assert!(place(&mastodon[..4000], Network::Mastodon).starts_with("line "));
    let nostr = fixture("nostr.jsonl");
    assert_eq!(place(&nostr[..nostr.len() - 20], Network::Nostr), "line 6");
    let car = fixture("bluesky.car");
    assert!(place(&car[..car.len() - 20], Network::Bluesky).starts_with("byte "));
    let mut flipped = car.clone();
    flipped[600] ^= 1;
    assert!(place(&flipped, Network::Bluesky).starts_with("byte "));
    for (bytes, network) in [(&mastodon, Network::Nostr), (&nostr, Network::Bluesky), (&car, Network::Mastodon)] {
        assert!(read(bytes, network).is_err());
    }
    assert!(Network::of(b"PK\x03\x04").is_err() && Network::of(b"").is_err() && Network::of(b"{}").is_err());
}

#[test]
fn events_of_several_people_are_refused() {
    let text = String::from_utf8(fixture("nostr.jsonl")).expect("text");
    let key = text.split("\"pubkey\": \"").nth(1).and_then(|rest| rest.get(..64)).expect("a key").to_owned();
    let two = text.replacen(&key, &"ab".repeat(32), 1);
    assert!(matches!(read(two.as_bytes(), Network::Nostr), Err(ImportError::SeveralAuthors(2))));
}

#[test]
fn no_cut_and_no_flip_of_a_repository_passes_unseen_or_panics() {
    let car = fixture("bluesky.car");
    let good = read(&car, Network::Bluesky).expect("good");
    for end in 0..car.len() {
        let cut = car.get(..end).expect("within");
        let mut flipped = car.clone();
        flipped[end] ^= 0x10;
        // What is lost or renamed may be a like: then the posts must all be as they were.
        for damaged in [cut, &flipped] {
            assert!(read(damaged, Network::Bluesky).map_or(true, |export| export == good), "{end}");
        }
    }
}
