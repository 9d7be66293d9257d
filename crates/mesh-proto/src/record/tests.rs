use super::*;

fn head() -> Head {
    let device = SecretKey::from_seed(&[2; 32]);
    Head {
        actor: AccountId::from_hash([1; 32]),
        device: device.id(),
        keys: RecordId::from_hash([1; 32]),
        at: 1_700_000_000_000,
        salt: Salt([5; 16]),
        crit: BTreeSet::new(),
    }
}

fn object() -> ObjectRef {
    ObjectRef {
        actor: AccountId::from_hash([3; 32]),
        home: "one.localhost:8001".parse().expect("a domain"),
        id: RecordId::from_hash([4; 32]),
        version: RecordId::from_hash([4; 32]),
    }
}

fn reopened(record: &Record) -> Result<Record, RecordError> {
    Record::open(&record.sign(&SecretKey::from_seed(&[2; 32])))
}

fn with_body(kind: Kind, change: impl FnOnce(&mut serde_json::Value), content: Content) -> Result<Record, RecordError> {
    let record = Record { head: head(), content };
    let mut body: serde_json::Value = serde_json::from_slice(&record.body()).expect("json");
    change(&mut body);
    let body = serde_json::to_vec(&body).expect("json");
    Record::open(&Envelope::sign(kind, body, &SecretKey::from_seed(&[2; 32])))
}

#[test]
fn every_kind_round_trips() {
    let account = AccountRef { actor: object().actor, home: object().home };
    let comment = Comment { root: object(), parent: object(), text: "hi".into(), lang: None, terms: Terms::Free, revises: None };
    for content in [
        Content::Profile(Profile { name: "Ada".into(), ..Profile::default() }),
        Content::Post(Post::free("hello")),
        Content::Comment(comment),
        Content::Like(Like { object: object() }),
        Content::Repost(Repost { object: object() }),
        Content::Subscribe(Subscribe { object: account }),
        Content::Retract(Retract { object: object().id, reason: RetractReason::Author }),
        Content::Vote(Vote { object: object(), poll: crate::bytes::Hash([6; 32]), ends: 1, choices: Choices::new([0, 3]).expect("some") }),
        Content::Report(Report { object: object(), reason: ReportReason::Spam, text: String::new() }),
    ] {
        let record = Record { head: head(), content };
        assert_eq!(reopened(&record), Ok(record));
    }
}

#[test]
fn unknown_fields_are_ignored_unless_critical() {
    let like = || Content::Like(Like { object: object() });
    assert!(with_body(Kind::Like, |body| body["mood"] = "happy".into(), like()).is_ok());
    let critical = |body: &mut serde_json::Value| {
        body["mood"] = "happy".into();
        body["crit"] = serde_json::json!(["mood"]);
    };
    assert_eq!(with_body(Kind::Like, critical, like()), Err(RecordError::UnknownCritical("mood".into())));
}

#[test]
fn unknown_terms_are_kept_and_known_to_be_unknown() {
    let record = with_body(Kind::Post, |body| body["terms"] = "auction".into(), Content::Post(Post::free("x"))).expect("parses");
    let Content::Post(post) = record.content else { panic!("a post") };
    assert_eq!(post.terms, Terms::Unknown("auction".into()));
}

#[test]
fn text_limits_hold() {
    let post = |text: &str| reopened(&Record { head: head(), content: Content::Post(Post::free(text)) });
    assert!(post("fine\n\tindeed").is_ok());
    for bad in ["", "  ", "nul\u{0}", "bell\u{7}", &"x".repeat(crate::limits::TEXT_BYTES_MAX + 1)] {
        assert!(matches!(post(bad), Err(RecordError::Field { field: "text", .. })), "{bad:?}");
    }
}

#[test]
fn claimed_time_may_lie_a_little_ahead() {
    let record = Record { head: head(), content: Content::Post(Post::free("x")) };
    assert_eq!(record.check_time(head().at - CLOCK_AHEAD_MS_MAX), Ok(()));
    assert_eq!(record.check_time(head().at - CLOCK_AHEAD_MS_MAX - 1), Err(RecordError::Future));
}
