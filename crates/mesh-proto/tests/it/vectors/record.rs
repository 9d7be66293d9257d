//! Records: every kind, every rule of their bodies.

use super::envelope::problem;
use super::{File, member, number, text};
use crate::fixture::{DEVICE, T0, error_name, genesis, head, key_id, object, signed, signed_body};
use mesh_proto::api::code;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::limits::{
    BIO_BYTES_MAX, BODY_BYTES_MAX, CLOCK_AHEAD_MS_MAX, CRIT_MAX, IMPORT_URL_BYTES_MAX, JSON_DEPTH_MAX, NETWORK_BYTES_MAX, POLL_LIFE_MS_MAX,
    POLL_LIFE_MS_MIN, POLL_OPTION_BYTES_MAX, POLL_OPTIONS_MAX, PREVIEW_URL_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX,
    TITLE_BYTES_MAX,
};
use mesh_proto::record::{
    AccountRef, Audience, Choices, Choose, Comment, Content, Imported, Interaction, Like, ObjectRef, Poll, Post, Preview, Profile, Record,
    RecordError, Report, ReportReason, Repost, Retract, RetractReason, Subscribe, Terms, Vote,
};
use serde_json::{Value, json};

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/record",
            about: "`envelope` is a good record with this `id`, signed by `device` of the account in key-log.json. Reading its body gives `fields`; a member that the table of its page marks optional and that is absent is left out.",
            page: "spec/record.md",
            cases: valid(),
            verify: verify_valid,
        },
        File {
            path: "invalid/record",
            about: "`envelope` is well signed, and refused for its body. A case with `now` is refused only at that time of the reader's clock, milliseconds since the epoch.",
            page: "spec/record.md",
            cases: invalid(),
            verify: verify_invalid,
        },
        File { path: "valid/poll", about: "A vote in `poll` names `hash`.", page: "spec/vote.md", cases: polls(), verify: verify_poll },
    ]
}

fn polls() -> Vec<Value> {
    let unicode = Poll { options: ["日本語", "e\u{301}", "\u{e9}"].map(str::to_owned).to_vec(), ..poll(2, Choose::One) };
    let polls = [poll(2, Choose::One), poll(2, Choose::Many), poll(8, Choose::One), Poll { ends: 1, ..poll(2, Choose::One) }, unicode];
    polls.into_iter().map(|poll| json!({ "poll": poll, "hash": poll.hash() })).collect()
}

fn verify_poll(case: &Value) {
    let poll: Poll = member(case, "poll");
    assert_eq!(poll.hash(), member(case, "hash"));
}

fn comment(text: &str) -> Comment {
    let parent = ObjectRef { id: RecordId::from_hash([8; 32]), version: RecordId::from_hash([8; 32]), ..object() };
    Comment { root: object(), parent, text: text.into(), lang: Some("de-AT".into()), terms: Terms::Free, revises: None }
}

fn rich_post() -> Post {
    Post {
        text: "line one\n\tline two \u{1f600}".into(),
        title: Some("t".repeat(TITLE_BYTES_MAX)),
        tags: ["rust", "stra\u{df}e", "a_b-c", "\u{1f600}"].map(str::to_owned).to_vec(),
        lang: Some("en".into()),
        terms: Terms::Paid,
        interaction: Interaction { comment: Audience::Subscribers, like: Audience::Everyone, repost: Audience::Nobody },
        preview: Some(Preview {
            url: "https://mesh.example/a?b=1&c=%22#d".into(),
            title: "p".repeat(TITLE_BYTES_MAX),
            description: Some("Two\nlines".into()),
        }),
        poll: Some(poll(2, Choose::Many)),
        revises: Some(RecordId::from_hash([4; 32])),
        imported: None,
    }
}

/// A poll of so many options that ends an hour after the vectors' posts were made.
fn poll(options: usize, choose: Choose) -> Poll {
    Poll { options: (0..options).map(|n| format!("option {n}")).collect(), choose, ends: T0 + 1000 + 3_600_000 }
}

fn post_with(poll: Poll) -> Content {
    Content::Post(Post { poll: Some(poll), ..Post::free("which?") })
}

fn vote(places: &[usize]) -> Content {
    let poll = poll(8, Choose::Many);
    Content::Vote(Vote {
        object: object(),
        poll: poll.hash(),
        ends: poll.ends,
        choices: Choices::new(places.iter().copied()).expect("some"),
    })
}

/// A post whose own members are good but for `poll`.
fn poll_of(options: &[&str], rest: &str) -> String {
    format!(r#""text":"x","terms":"free","poll":{{"options":{}{rest}}}"#, json!(options))
}

fn imported_post() -> Post {
    let url = "https://social.example/@neo/109".into();
    Post { imported: Some(Imported { from: "mastodon".into(), url, at: 1_580_000_000_000 }), ..Post::free("said before") }
}

fn longest_poll() -> Poll {
    let options = (0..POLL_OPTIONS_MAX).map(|n| format!("{n}{}", "o".repeat(POLL_OPTION_BYTES_MAX - 1))).collect();
    Poll { options, choose: Choose::Many, ends: head().at + POLL_LIFE_MS_MAX }
}

/// A post whose own members are good but for `imported`.
fn import_of(from: &str, url: &str) -> String {
    format!(r#""text":"x","terms":"free","imported":{{"from":"{from}","url":"{url}","at":1}}"#)
}

fn valid() -> Vec<Value> {
    let account = AccountRef { actor: object().actor, home: object().home };
    let mut cases: Vec<(&str, Envelope)> = [
        ("profile", Content::Profile(Profile { name: "Neo".into(), bio: "Follows the white rabbit.".into(), noindex: false })),
        ("profile without biography", Content::Profile(Profile { name: "N".into(), ..Profile::default() })),
        ("profile that search leaves out", Content::Profile(Profile { name: "N".into(), noindex: true, ..Profile::default() })),
        ("post", Content::Post(Post::free("hello"))),
        ("post with everything", Content::Post(rich_post())),
        ("post of the longest text", Content::Post(Post::free("x".repeat(TEXT_BYTES_MAX)))),
        ("post, imported", Content::Post(imported_post())),
        ("post with a poll", post_with(poll(2, Choose::One))),
        ("post with a poll of the longest", post_with(longest_poll())),
        ("comment", Content::Comment(comment("hi"))),
        ("comment, edited", Content::Comment(Comment { revises: Some(RecordId::from_hash([9; 32])), ..comment("hi!") })),
        ("like", Content::Like(Like { object: object() })),
        ("subscribe", Content::Subscribe(Subscribe { object: account })),
        ("repost", Content::Repost(Repost { object: object() })),
        ("retract", Content::Retract(Retract { object: object().id, reason: RetractReason::Author })),
        ("vote", vote(&[0])),
        ("vote for all", vote(&[0, 1, 2, 3, 4, 5, 6, 7])),
        ("report", Content::Report(Report { object: object(), reason: ReportReason::Spam, text: "Buy!".into() })),
        ("report without text", Content::Report(Report { object: object(), reason: ReportReason::Illegal, text: String::new() })),
    ]
    .into_iter()
    .map(|(name, content)| (name, signed(content)))
    .collect();
    let post = |members: &str| signed_body(Kind::Post, body_of(Kind::Post, members));
    cases.push(("members in another order, white space, escapes", signed_body(Kind::Like, shuffled_like())));
    cases.push(("unknown members are ignored", post(r#""text":"x","terms":"free","mood":"happy","more":[{"a":null},-7,true]"#)));
    cases
        .push(("crit of known names, one of an absent field", post(r#""text":"x","terms":"free","crit":["text","crit","actor","title"]"#)));
    cases.push(("an empty crit", post(r#""text":"x","terms":"free","crit":[]"#)));
    cases.push(("terms of a later version: accepted, not shown", post(r#""text":"x","terms":"auction""#)));
    cases.push(("an empty interaction", post(r#""text":"x","terms":"free","interaction":{}"#)));
    cases.push((
        "interaction with an unknown member",
        post(r#""text":"x","terms":"free","interaction":{"like":"nobody","quote":"friends"}"#),
    ));
    cases.push(("empty tags and the most tags", post(&format!(r#""text":"x","terms":"free","tags":{}"#, json!(vec!["t"; TAGS_MAX])))));
    let shortest = format!(r#","choose":"one","ends":{}"#, head().at + POLL_LIFE_MS_MIN);
    cases.push(("a poll of the shortest, with a word that is the default", post(&poll_of(&["a", "b"], &shortest))));
    let edit = format!(r#","revises":"{}""#, RecordId::from_hash([4; 32]));
    cases.push(("an edit after the end of its poll", post(&(poll_of(&["a", "b"], r#","ends":1"#) + &edit))));
    cases.push(("a body of the longest", padded(BODY_BYTES_MAX)));
    cases.push(("as deep as may be", post(&format!(r#""text":"x","terms":"free","d":{}"#, nested(JSON_DEPTH_MAX - 1)))));
    cases.into_iter().map(|(name, envelope)| valid_case(name, &envelope)).collect()
}

fn valid_case(name: &str, envelope: &Envelope) -> Value {
    let record = Record::open(envelope).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut fields: Value = serde_json::from_slice(&record.body()).expect("JSON");
    // Long text would double the file.
    if envelope.body().len() > 8 * 1024 {
        fields = Value::Null;
    }
    json!({ "name": name, "kind": envelope.kind(), "id": envelope.id(), "device": record.head.device, "envelope": envelope, "fields": fields })
}

fn verify_valid(case: &Value) {
    let envelope: Envelope = member(case, "envelope");
    let record = Record::open(&envelope).unwrap_or_else(|error| panic!("{}: {error}", text(case, "name")));
    assert_eq!(envelope.verify(&key_id(DEVICE).verifier().expect("a good key")), Ok(()));
    assert_eq!(envelope.id(), member(case, "id"));
    assert_eq!((record.kind(), record.head.device), (member(case, "kind"), member(case, "device")));
    if !case["fields"].is_null() {
        assert_eq!(serde_json::from_slice::<Value>(&record.body()).expect("JSON"), case["fields"]);
    }
    assert_eq!(record.check_time(T0 + 1000), Ok(()));
    // What was read can be written and read again.
    let again = signed_body(envelope.kind(), record.body());
    assert_eq!(Record::open(&again), Ok(record));
}

/// The common members as this library writes them, in braces with `members` before them.
fn body_of(kind: Kind, members: &str) -> String {
    let _ = kind;
    let head = serde_json::to_string(&head()).expect("JSON");
    format!("{{{members},{}", &head[1..])
}

fn shuffled_like() -> String {
    let (head, object) = (head(), object());
    format!(
        "{{ \"salt\":\"{}\",\n\"at\" : {}, \"\\u006fbject\": {{\"version\":\"{}\",\"id\":\"{}\",\"home\":\"two\\u002elocalhost:8002\",\"actor\":\"{}\"}},\t\"keys\":\"{}\",\"device\":\"{}\",\"actor\":\"{}\"\r}}",
        head.salt, head.at, object.version, object.id, object.actor, head.keys, head.device, head.actor
    )
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// A post whose body has exactly this many bytes.
fn padded(bytes: usize) -> Envelope {
    let make = |pad: usize| body_of(Kind::Post, &format!(r#""text":"x","terms":"free","pad":"{}""#, "p".repeat(pad)));
    signed_body(Kind::Post, make(bytes - make(0).len()))
}

/// Bodies that are not strict I-JSON, or not the members of a post.
fn bad_json() -> Vec<(&'static str, Vec<u8>)> {
    let post = |members: &str| body_of(Kind::Post, members).into_bytes();
    let with = |members: &str| post(&format!(r#""text":"x","terms":"free",{members}"#));
    let good = || post(r#""text":"x","terms":"free""#);
    let mut latin1 = post(r#""text":"x?","terms":"free""#);
    let at = latin1.iter().position(|byte| *byte == b'?').expect("it is there");
    latin1[at] = 0xe9;
    let text = |text: &str| post(&format!(r#""text":"{text}","terms":"free""#));
    vec![
        ("empty body", Vec::new()),
        ("not UTF-8", latin1),
        ("byte order mark", [b"\xef\xbb\xbf".to_vec(), good()].concat()),
        ("white space before", [b" ".to_vec(), good()].concat()),
        ("line feed after", [good(), b"\n".to_vec()].concat()),
        ("an array", b"[]".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("cut short", good()[..good().len() - 1].to_vec()),
        ("trailing comma", with(r#""a":[1,]"#)),
        ("comment", with("/* no */\"a\":1")),
        ("single quotes", with("'a':1")),
        ("NaN", with(r#""a":NaN"#)),
        ("fraction", with(r#""a":1.0"#)),
        ("exponent", with(r#""a":1e3"#)),
        ("minus zero", with(r#""a":-0"#)),
        ("leading zero", with(r#""a":01"#)),
        ("plus sign", with(r#""a":+1"#)),
        ("integer 2^53", with(r#""a":9007199254740992"#)),
        ("integer -2^53", with(r#""a":-9007199254740992"#)),
        ("the same name twice", with(r#""text":"y""#)),
        ("the same name twice, once escaped", with(r#""\u0074ext":"y""#)),
        ("the same name twice, deep inside", with(r#""a":[{"b":1,"b":1}]"#)),
        ("lone high surrogate", text(r"\ud800")),
        ("lone low surrogate", text(r"\udc00")),
        ("surrogates in the wrong order", text(r"\udc00\ud800")),
        ("noncharacter U+FFFE, escaped", text(r"\ufffe")),
        ("noncharacter U+FDD0", text("\u{fdd0}")),
        ("noncharacter U+1FFFF", text("\u{1ffff}")),
        ("unescaped line feed in a string", text("\n")),
        ("unknown escape", text(r"\x41")),
        ("one level too deep", with(&format!(r#""d":{}"#, nested(JSON_DEPTH_MAX)))),
    ]
}

/// Good JSON with members that are not what they should be: kind, own members, and what the case is.
fn bad_members() -> Vec<(&'static str, Kind, String)> {
    let object = serde_json::to_value(object()).expect("JSON");
    let array = json!([object["actor"], object["home"], object["id"], object["version"]]);
    let post = |members: &str| format!(r#""text":"x","terms":"free",{members}"#);
    let without = |name: &str| {
        let mut object = object.clone();
        object.as_object_mut().expect("an object").remove(name);
        format!(r#""object":{object}"#)
    };
    let changed = |name: &str, value: Value| {
        let mut object = object.clone();
        object[name] = value;
        format!(r#""object":{object}"#)
    };
    let report = |rest: &str| format!(r#""object":{object},{rest}"#);
    vec![
        ("no text", Kind::Post, r#""terms":"free""#.into()),
        ("no terms", Kind::Post, r#""text":"x""#.into()),
        ("text null", Kind::Post, r#""text":null,"terms":"free""#.into()),
        ("optional title null", Kind::Post, post(r#""title":null"#)),
        ("optional lang null", Kind::Post, post(r#""lang":null"#)),
        ("revises null", Kind::Post, post(r#""revises":null"#)),
        ("revises not an id", Kind::Post, post(r#""revises":"abc""#)),
        ("terms a number", Kind::Post, r#""text":"x","terms":1"#.into()),
        ("tags a string", Kind::Post, post(r#""tags":"rust""#)),
        ("tags null", Kind::Post, post(r#""tags":null"#)),
        ("interaction an array", Kind::Post, post(r#""interaction":["everyone","everyone","everyone"]"#)),
        ("interaction with an unknown audience", Kind::Post, post(r#""interaction":{"like":"friends"}"#)),
        ("an audience as an object", Kind::Post, post(r#""interaction":{"like":{"nobody":null}}"#)),
        ("an audience null", Kind::Post, post(r#""interaction":{"like":null}"#)),
        ("imported null", Kind::Post, post(r#""imported":null"#)),
        ("imported an array", Kind::Post, post(r#""imported":["mastodon","https://social.example/1",1]"#)),
        ("imported without its time", Kind::Post, post(r#""imported":{"from":"mastodon","url":"https://social.example/1"}"#)),
        ("imported before 1970", Kind::Post, post(r#""imported":{"from":"mastodon","url":"https://social.example/1","at":-1}"#)),
        ("imported from a network in upper case", Kind::Post, import_of("Mastodon", "https://social.example/1")),
        (
            "imported from a network with too long a name",
            Kind::Post,
            import_of(&"m".repeat(NETWORK_BYTES_MAX + 1), "https://social.example/1"),
        ),
        ("imported without a url", Kind::Post, import_of("mastodon", "")),
        ("imported with white space in its url", Kind::Post, import_of("mastodon", "https://social.example/a b")),
        ("imported with too long a url", Kind::Post, import_of("mastodon", &"u".repeat(IMPORT_URL_BYTES_MAX + 1))),
        ("crit a string", Kind::Post, post(r#""crit":"text""#)),
        ("crit with a name twice", Kind::Post, post(r#""crit":["text","text"]"#)),
        ("crit with an unknown name", Kind::Post, post(r#""mood":"happy","crit":["mood"]"#)),
        ("crit with an unknown name that is absent", Kind::Post, post(r#""crit":["mood"]"#)),
        ("crit with a name of another kind", Kind::Post, post(r#""crit":["object"]"#)),
        ("crit too long", Kind::Post, post(&format!(r#""crit":{}"#, json!((0..=CRIT_MAX).map(|n| format!("c{n}")).collect::<Vec<_>>())))),
        ("object an array", Kind::Like, format!(r#""object":{array}"#)),
        ("object null", Kind::Like, r#""object":null"#.into()),
        ("vote without choices", Kind::Vote, bad_vote(",")),
        ("vote for nothing", Kind::Vote, bad_vote(r#","choices":[]"#)),
        ("vote for an option that no poll has", Kind::Vote, bad_vote(r#","choices":[8]"#)),
        ("vote for options in descending order", Kind::Vote, bad_vote(r#","choices":[1,0]"#)),
        ("vote twice for one option", Kind::Vote, bad_vote(r#","choices":[1,1]"#)),
        ("vote with a number for its choices", Kind::Vote, bad_vote(r#","choices":1"#)),
        ("vote without poll", Kind::Vote, format!(r#""object":{object},"ends":1,"choices":[0]"#)),
        ("vote without end", Kind::Vote, format!(r#""object":{object},"poll":"{}","choices":[0]"#, poll(2, Choose::One).hash())),
        ("no object", Kind::Like, r#""objects":1"#.into()),
        ("object without version", Kind::Like, without("version")),
        ("object without home", Kind::Repost, without("home")),
        ("home with an upper-case letter", Kind::Like, changed("home", "Two.localhost:8002".into())),
        ("home an IP address", Kind::Like, changed("home", "127.0.0.1".into())),
        ("home a URL", Kind::Like, changed("home", "https://mesh.org".into())),
        ("object id in upper case", Kind::Like, changed("id", RecordId::from_hash([4; 32]).to_string().to_uppercase().into())),
        ("a like without fields", Kind::Like, r#""text":"x""#.into()),
        ("subscribe to a record id", Kind::Subscribe, format!(r#""object":"{}""#, RecordId::from_hash([4; 32]))),
        ("comment without parent", Kind::Comment, format!(r#""root":{object},"text":"x","terms":"free""#)),
        ("unknown report reason", Kind::Report, report(r#""reason":"boring""#)),
        ("report reason as an object", Kind::Report, report(r#""reason":{"spam":null}"#)),
        ("unknown retract reason", Kind::Retract, format!(r#""object":"{}","reason":"mood""#, RecordId::from_hash([4; 32]))),
        ("retract as if the home had", Kind::Retract, format!(r#""object":"{}","reason":"home""#, RecordId::from_hash([4; 32]))),
        ("retract as if the law had", Kind::Retract, format!(r#""object":"{}","reason":"law""#, RecordId::from_hash([4; 32]))),
        ("profile without name", Kind::Profile, r#""bio":"x""#.into()),
        ("profile with an empty name", Kind::Profile, r#""name":"""#.into()),
        ("profile name of two lines", Kind::Profile, r#""name":"a\nb""#.into()),
        ("profile name too long", Kind::Profile, format!(r#""name":"{}""#, "n".repeat(TITLE_BYTES_MAX + 1))),
        ("biography too long", Kind::Profile, format!(r#""name":"n","bio":"{}""#, "b".repeat(BIO_BYTES_MAX + 1))),
        ("biography of white space", Kind::Profile, r#""name":"n","bio":" \n""#.into()),
        ("report text too long", Kind::Report, report(&format!(r#""reason":"other","text":"{}""#, "b".repeat(BIO_BYTES_MAX + 1)))),
    ]
}

/// The own members of a vote that is good but for what follows them.
fn bad_vote(rest: &str) -> String {
    let Content::Vote(vote) = self::vote(&[0]) else { unreachable!("it is one") };
    let object = serde_json::to_string(&vote.object).expect("JSON");
    format!(r#""object":{object},"poll":"{}","ends":{}{}"#, vote.poll, vote.ends, rest.trim_end_matches(','))
}

/// Texts, titles, tags, languages beyond their rules.
fn bad_text() -> Vec<(&'static str, String)> {
    let text = |text: &str| format!(r#""text":"{text}","terms":"free""#);
    let post = |members: &str| format!(r#""text":"x","terms":"free",{members}"#);
    let ends = |lasts: u64| format!(r#","ends":{}"#, head().at + lasts);
    let preview = |url: &str, title: &str| post(&format!(r#""preview":{{"url":"{url}","title":"{title}"}}"#));
    vec![
        ("empty text", text("")),
        ("text of white space", text("\u{a0}\u{3000}\\n")),
        ("text with U+0000", text(r"a\u0000")),
        ("text with a carriage return", text(r"a\r\nb")),
        ("text with escape", text(r"\u001b[31m")),
        ("text with DEL", text("a\u{7f}")),
        ("text with a C1 control", text("a\u{85}b")),
        ("text one byte too long", text(&"x".repeat(TEXT_BYTES_MAX + 1))),
        ("text too long in bytes though not in characters", text(&"\u{e9}".repeat(TEXT_BYTES_MAX / 2 + 1))),
        ("empty title", post(r#""title":"""#)),
        ("title of two lines", post(r#""title":"a\nb""#)),
        ("title too long", post(&format!(r#""title":"{}""#, "t".repeat(TITLE_BYTES_MAX + 1)))),
        ("too many tags", post(&format!(r#""tags":{}"#, json!(vec!["t"; TAGS_MAX + 1])))),
        ("empty tag", post(r#""tags":[""]"#)),
        ("tag with #", post(r##""tags":["#rust"]"##)),
        ("tag with a space", post(r#""tags":["a b"]"#)),
        ("tag with a no-break space", post(r#""tags":["a\u00a0b"]"#)),
        ("tag too long", post(&format!(r#""tags":["{}"]"#, "t".repeat(TAG_BYTES_MAX + 1)))),
        ("preview without title", post(r#""preview":{"url":"https://mesh.example"}"#)),
        ("preview null", post(r#""preview":null"#)),
        ("preview an array", post(r#""preview":["https://mesh.example","t"]"#)),
        ("preview with a description null", post(r#""preview":{"url":"https://mesh.example","title":"t","description":null}"#)),
        ("preview with a title of two lines", post(r#""preview":{"url":"https://mesh.example","title":"a\nb"}"#)),
        ("preview with an empty title", preview("https://mesh.example", "")),
        ("preview with a title too long", preview("https://mesh.example", &"t".repeat(TITLE_BYTES_MAX + 1))),
        ("preview of a script", preview("javascript:alert(1)", "t")),
        ("preview of data", preview("data:text/html,x", "t")),
        ("preview of a URL in capitals", preview("HTTPS://mesh.example", "t")),
        ("preview of a URL with a user", preview("https://bank.example@evil.example/", "t")),
        ("preview of a URL without host", preview("https:///path", "t")),
        ("preview of a URL with a quote", preview("https://mesh.example/\\\"", "t")),
        ("preview of a URL beyond ASCII", preview("https://m\u{e9}sh.example/", "t")),
        ("preview of a URL with a space", preview("https://mesh.example/a b", "t")),
        ("preview of a URL too long", preview(&format!("https://mesh.example/{}", "p".repeat(PREVIEW_URL_BYTES_MAX)), "t")),
        ("poll null", post(r#""poll":null"#)),
        ("poll an array", post(r#""poll":[["a","b"],"one",1]"#)),
        ("poll without end", poll_of(&["a", "b"], "")),
        ("poll with an end that is null", poll_of(&["a", "b"], r#","ends":null"#)),
        ("poll with an unknown word", poll_of(&["a", "b"], &format!(r#","choose":"some"{}"#, ends(POLL_LIFE_MS_MIN)))),
        ("poll with a word as an object", poll_of(&["a", "b"], &format!(r#","choose":{{"one":null}}{}"#, ends(POLL_LIFE_MS_MIN)))),
        ("poll of one option", poll_of(&["a"], &ends(POLL_LIFE_MS_MIN))),
        ("poll of too many options", poll_of(&["a", "b", "c", "d", "e", "f", "g", "h", "i"], &ends(POLL_LIFE_MS_MIN))),
        ("poll with the same option twice", poll_of(&["a", "b", "a"], &ends(POLL_LIFE_MS_MIN))),
        ("poll with an empty option", poll_of(&["a", ""], &ends(POLL_LIFE_MS_MIN))),
        ("poll with an option of white space", poll_of(&["a", " "], &ends(POLL_LIFE_MS_MIN))),
        ("poll with an option of two lines", poll_of(&["a", "b\nc"], &ends(POLL_LIFE_MS_MIN))),
        ("poll with a control character in an option", poll_of(&["a", "b\u{1b}"], &ends(POLL_LIFE_MS_MIN))),
        ("poll with an option too long", poll_of(&["a", &"o".repeat(POLL_OPTION_BYTES_MAX + 1)], &ends(POLL_LIFE_MS_MIN))),
        ("poll that ends too soon", poll_of(&["a", "b"], &ends(POLL_LIFE_MS_MIN - 1))),
        ("poll that ends before it begins", poll_of(&["a", "b"], r#","ends":1"#)),
        ("poll that ends too late", poll_of(&["a", "b"], &ends(POLL_LIFE_MS_MAX + 1))),
        ("empty lang", post(r#""lang":"""#)),
        ("lang with an underscore", post(r#""lang":"en_US""#)),
        ("lang with an empty subtag", post(r#""lang":"en-""#)),
        ("lang with a long subtag", post(r#""lang":"abcdefghi""#)),
        ("lang too long", post(&format!(r#""lang":"{}""#, ["abcdefgh"; 5].join("-")))),
    ]
}

/// Common fields that are wrong: what to replace by what in a good like.
fn bad_head() -> Vec<(&'static str, String)> {
    let like = body_of(Kind::Like, &format!(r#""object":{}"#, serde_json::to_string(&object()).expect("JSON")));
    let head = head();
    let swap = |from: &str, to: &str| like.replacen(from, to, 1);
    let at = format!("\"at\":{}", head.at);
    vec![
        ("no actor", swap(&format!(r#""actor":"{}","#, head.actor), "")),
        ("actor an address", swap(&head.actor.to_string(), "neo@one.localhost:8001")),
        ("device of an unknown suite", swap(&head.device.to_string(), &mesh_proto::bytes::base64url(&[9; 33]))),
        ("keys null", swap(&format!(r#""keys":"{}""#, head.keys), r#""keys":null"#)),
        ("no salt", swap(&format!(r#","salt":"{}""#, head.salt), "")),
        ("salt too short", swap(&head.salt.to_string(), "AAAA")),
        ("salt with stray bits", swap(&head.salt.to_string(), "BQUFBQUFBQUFBQUFBQUFBR")),
        ("at a string", swap(&at, &format!("\"at\":\"{}\"", head.at))),
        ("at negative", swap(&at, "\"at\":-1")),
        ("no at", swap(&format!("{at},"), "")),
    ]
}

fn invalid() -> Vec<Value> {
    let mut envelopes: Vec<(String, Envelope)> = Vec::new();
    envelopes.extend(bad_json().into_iter().map(|(name, body)| (name.to_owned(), signed_body(Kind::Post, body))));
    envelopes.extend(bad_members().into_iter().map(|(name, kind, members)| (name.to_owned(), signed_body(kind, body_of(kind, &members)))));
    envelopes
        .extend(bad_text().into_iter().map(|(name, members)| (name.to_owned(), signed_body(Kind::Post, body_of(Kind::Post, &members)))));
    envelopes.extend(bad_head().into_iter().map(|(name, body)| (name.to_owned(), signed_body(Kind::Like, body))));
    envelopes.push(("a key operation is not a record".into(), genesis().envelope));
    envelopes
        .push(("a challenge is not a record".into(), signed_body(Kind::Challenge, body_of(Kind::Challenge, r#""domain":"mesh.org""#))));
    let mut cases: Vec<Value> = envelopes.iter().map(|(name, envelope)| invalid_case(name, envelope)).collect();
    let ahead = signed(Content::Post(Post::free("from tomorrow")));
    let now = T0 + 1000 - CLOCK_AHEAD_MS_MAX - 1;
    cases.push(json!({ "name": "claimed time ahead of the clock", "envelope": ahead, "now": now, "error": "Future", "problem": problem("Future") }));
    cases
}

fn invalid_case(name: &str, envelope: &Envelope) -> Value {
    let refused = Record::open(envelope).expect_err(name);
    let too_long = matches!(refused, RecordError::Field { rule: "is longer than its limit", .. });
    let error = error_name(&refused);
    let problem = if too_long { code::TOO_LARGE } else { problem(&error) };
    json!({ "name": name, "envelope": envelope, "error": error, "problem": problem })
}

fn verify_invalid(case: &Value) {
    let envelope: Envelope = member(case, "envelope");
    let error = match Record::open(&envelope) {
        Ok(record) => {
            let now = number(case, "now");
            assert_eq!(record.check_time(now + 1), Ok(()));
            record.check_time(now).expect_err(text(case, "name"))
        }
        Err(error) => error,
    };
    assert_eq!(error_name(&error), text(case, "error"), "{case}");
}
