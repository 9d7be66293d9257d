//! What holds for all records and all key logs.

use crate::fixture::{DEVICE, ROOT, T0, add, head, key_id, leaf, log, object, op, revoke, rotate, signed_body};
use mesh_proto::bytes::Hash;
use mesh_proto::envelope::RecordId;
use mesh_proto::key::AccountId;
use mesh_proto::keylog::{Action, KeyLog, LoggedOp, Status};
use mesh_proto::limits::ROOT_ROTATE_WAIT_MS;
use mesh_proto::record::{
    AccountRef, Audience, Choices, Choose, Comment, Content, Imported, Interaction, Like, ObjectRef, Poll, Post, Preview, Profile, Record,
    Report, ReportReason, Repost, Retract, RetractReason, Subscribe, Terms, Vote,
};
use proptest::prelude::*;

fn id() -> impl Strategy<Value = RecordId> {
    any::<[u8; 32]>().prop_map(RecordId::from_hash)
}

fn object_ref() -> impl Strategy<Value = ObjectRef> {
    (any::<[u8; 32]>(), id(), id()).prop_map(|(actor, id, version)| ObjectRef {
        actor: AccountId::from_hash(actor),
        home: object().home,
        id,
        version,
    })
}

/// Text that the rules allow: no control characters but line feed and tab, no noncharacters, not only white space.
fn words(max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..max).prop_map(|chars| {
        let allowed = |c: &char| {
            (!c.is_control() || matches!(c, '\n' | '\t')) && u32::from(*c) & 0xfffe != 0xfffe && !('\u{fdd0}'..='\u{fdef}').contains(c)
        };
        format!("x{}", chars.into_iter().filter(allowed).collect::<String>())
    })
}

fn line(max: usize) -> impl Strategy<Value = String> {
    words(max).prop_map(|text| text.replace('\n', " "))
}

fn post() -> impl Strategy<Value = Post> {
    let audience = || prop::sample::select(vec![Audience::Everyone, Audience::Subscribers, Audience::Nobody]);
    let interaction = (audience(), audience(), audience()).prop_map(|(comment, like, repost)| Interaction { comment, like, repost });
    let tags = prop::collection::vec("[a-z\u{e9}\u{4e00}0-9_-]{1,9}", 0..16);
    let preview = ("https?://[a-z][a-z0-9.-]{0,20}x(/[a-z0-9_=?&%#]{0,40})?", line(60), prop::option::of(words(100)))
        .prop_map(|(url, title, description)| Preview { url, title, description });
    let imported = ("[a-z0-9-]{1,32}", "[!-~]{1,99}", 0..1_u64 << 53).prop_map(|(from, url, at)| Imported { from, url, at });
    let poll =
        (prop::collection::btree_set(line(20), 2..=8), prop::bool::ANY, 60_000..31_000_000_000_u64).prop_map(|(options, many, lasts)| {
            Poll { options: options.into_iter().collect(), choose: if many { Choose::Many } else { Choose::One }, ends: T0 + 1000 + lasts }
        });
    (
        words(200),
        prop::option::of(line(60)),
        tags,
        prop::option::of("[a-z]{2}(-[A-Z]{2})?"),
        terms(),
        interaction,
        (prop::option::of(preview), prop::option::of(poll), prop::option::of(id()), prop::option::of(imported)),
    )
        .prop_map(|(text, title, tags, lang, terms, interaction, (preview, poll, revises, imported))| Post {
            text,
            title,
            tags,
            lang,
            terms,
            interaction,
            preview,
            poll,
            revises,
            imported,
        })
}

fn terms() -> impl Strategy<Value = Terms> {
    prop_oneof![Just(Terms::Free), Just(Terms::Sub), Just(Terms::Paid), "[a-z]{9}".prop_map(Terms::Unknown)]
}

fn content() -> impl Strategy<Value = Content> {
    let reason =
        prop::sample::select(vec![ReportReason::Spam, ReportReason::Abuse, ReportReason::Illegal, ReportReason::Copy, ReportReason::Other]);
    let comment = (object_ref(), object_ref(), words(100), terms(), prop::option::of(id()))
        .prop_map(|(root, parent, text, terms, revises)| Content::Comment(Comment { root, parent, text, lang: None, terms, revises }));
    prop_oneof![
        (line(60), words(100), any::<bool>()).prop_map(|(name, bio, noindex)| Content::Profile(Profile { name, bio, noindex })),
        post().prop_map(Content::Post),
        comment,
        object_ref().prop_map(|object| Content::Like(Like { object })),
        object_ref().prop_map(|object| Content::Repost(Repost { object })),
        (object_ref(), prop::array::uniform32(any::<u8>()), 0..1_u64 << 53, 1..=255_u8).prop_map(|(object, poll, ends, bits)| {
            Content::Vote(Vote { object, poll: Hash(poll), ends, choices: Choices::from_bits(bits).expect("some") })
        }),
        object_ref().prop_map(|object| Content::Subscribe(Subscribe { object: AccountRef { actor: object.actor, home: object.home } })),
        id().prop_map(|object| Content::Retract(Retract { object, reason: RetractReason::Author })),
        (object_ref(), reason, words(50)).prop_map(|(object, reason, text)| Content::Report(Report { object, reason, text })),
    ]
}

/// One attempt to extend a log: after which of its operations, signed by whom, doing what, how much later.
type Attempt = (prop::sample::Index, u8, u8, u8, bool);

/// Makes a log of whatever attempts are good. Seeds: 1 root, 2 first device, 3 to 8 others.
fn grown(attempts: &[Attempt]) -> KeyLog {
    let mut log = log();
    for (after, signer, what, which, late) in attempts {
        let ids: Vec<RecordId> = log.ops().map(|op| op.envelope.id()).collect();
        let which = which % 6 + 3;
        let action = match what % 8 {
            0..=2 => add(which),
            3 => revoke(which, Some(u64::from(which))),
            4 => revoke(DEVICE, None),
            5 => rotate(which + 10),
            6 => Action::HomeMove { address: "neo@two.localhost:8002".parse().expect("an address") },
            _ => {
                if *late {
                    Action::AccountClose
                } else {
                    add(which)
                }
            }
        };
        let signer = match signer % 10 {
            0..=3 => DEVICE,
            4 | 5 => ROOT,
            6 => which + 10,
            other => other - 4,
        };
        let received = if *late { T0 + ROOT_ROTATE_WAIT_MS } else { T0 };
        let _ = log.insert(op(*after.get(&ids), action, signer, received));
    }
    log
}

/// Another order in which every operation still stands after its `prev`: the keys decide among those that may come next.
fn reordered(log: &KeyLog, keys: &[u32]) -> Vec<LoggedOp> {
    let mut left: Vec<(u32, LoggedOp)> =
        log.ops().cloned().enumerate().map(|(at, op)| (keys[at % keys.len()].wrapping_mul(at as u32 + 1), op)).collect();
    left.sort_by_key(|(key, _)| *key);
    let mut order = KeyLog::from_genesis(log.ops().next().expect("a genesis").clone()).expect("it was good before");
    let mut out = vec![order.ops().next().expect("a genesis").clone()];
    left.retain(|(_, op)| *op != out[0]);
    while !left.is_empty() {
        let before = left.len();
        // An operation joins as soon as its `prev` is there.
        left.retain(|(_, op)| match order.insert(op.clone()) {
            Ok(_) => {
                out.push(op.clone());
                false
            }
            Err(_) => true,
        });
        assert!(left.len() < before, "an operation that joined one log joins every log that has its prev");
    }
    out
}

fn same(a: &KeyLog, b: &KeyLog) {
    assert_eq!((a.len(), a.head(), a.view().status(), a.view().address()), (b.len(), b.head(), b.view().status(), b.view().address()));
    assert_eq!(format!("{:?}", a.view()), format!("{:?}", b.view()));
    assert_eq!(a.view().root_at(u64::MAX), b.view().root_at(u64::MAX));
    for op in a.ops() {
        for seed in 1..9 {
            let (device, keys) = (key_id(seed), op.envelope.id());
            let ask = |log: &KeyLog| log.check_use(&device, &keys, Some(&leaf(5))).map(|_| ());
            assert_eq!(ask(a), ask(b));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn record_that_is_written_is_read_as_it_was(content in content()) {
        let record = Record { head: head(), content };
        let envelope = signed_body(record.kind(), record.body());
        prop_assert_eq!(Record::open(&envelope), Ok(record));
    }

    #[test]
    fn order_in_which_operations_arrive_does_not_matter(
        attempts in prop::collection::vec(any::<Attempt>(), 1..14),
        keys in prop::collection::vec(any::<u32>(), 1..14),
    ) {
        let log = grown(&attempts);
        let other = KeyLog::from_ops(reordered(&log, &keys)).expect("the same operations");
        same(&log, &other);
    }

    #[test]
    fn what_comes_after_a_head_makes_two_logs_one(attempts in prop::collection::vec(any::<Attempt>(), 1..14), known in any::<prop::sample::Index>()) {
        let full = grown(&attempts);
        // The other knows one path only, and names its head.
        let ids: Vec<RecordId> = full.ops().map(|op| op.envelope.id()).collect();
        let mut path = Vec::new();
        let mut at = Some(*known.get(&ids));
        while let Some(id) = at {
            let op = full.ops().find(|op| op.envelope.id() == id).expect("it is known");
            at = mesh_proto::keylog::KeyOp::open(&op.envelope).expect("it was good").head.prev;
            path.push(op.clone());
        }
        path.reverse();
        let mut other = KeyLog::from_ops(path).expect("a path is a log");
        let head = other.head();
        for op in full.ops_after(Some(&head)) {
            other.insert_known(&op).expect("parents come first");
        }
        same(&full, &other);
    }
}

#[test]
fn random_logs_reach_every_status() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = [false; 4];
    for _ in 0..300 {
        let tree = prop::collection::vec(any::<Attempt>(), 1..14).new_tree(&mut runner).expect("a value");
        seen[grown(&proptest::strategy::ValueTree::current(&tree)).view().status() as usize] = true;
    }
    let names = [Status::Active, Status::Frozen, Status::Compromised, Status::Closed];
    assert_eq!(seen, [true; 4], "of {names:?}");
}
