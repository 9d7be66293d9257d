//! Key logs: what each history says, and which operations cannot join one.

use super::envelope::problem;
use super::{File, member, number, text};
use crate::fixture::{
    DEVICE, ROOT, T0, account, add, error_name, genesis, genesis_action, key, key_id, leaf, log, mirror, op, revoke, rotate, signed_body,
};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId};
use mesh_proto::keylog::{Action, KeyLog, KeyLogError, LogPosition, LoggedOp, NewOp, UseError};
use mesh_proto::limits::{DEVICES_MAX, KEY_OPS_MAX, KEY_OPS_ROOT_RESERVE, ROOT_ROTATE_WAIT_MS, TITLE_BYTES_MAX};
use serde_json::{Value, json};

pub(super) fn files() -> Vec<File> {
    vec![
        File {
            path: "valid/key-log",
            about: "Put `ops` in a log, genesis first: it says what `says` says. `uses` asks whether `device` may sign a record under `keys` logged at `leaf` (null: about to be logged); `error` null means yes. `open` is the error with which new records are refused, null if none. Seeds are one byte 32 times: root 01, first device 02.",
            page: "spec/key-log.md",
            cases: valid(),
            verify: verify_valid,
        },
        File {
            path: "invalid/key-log",
            about: "After `before` the operation `op` cannot join the log; with an empty `before` it cannot start one.",
            page: "spec/key-log.md",
            cases: invalid(),
            verify: verify_invalid,
        },
        File {
            path: "valid/key-log-full",
            about: "A log as full as it may be, by rule, for its size: after the genesis of key-log.json, for n from 0, alternately device.add of the key with seed (n mod 251 + 1, n / 251 rounded down, 07, 07) eight times, and device.revoke of it without last_good; all by device 02, `prev` the operation before, `at` and received 1700000000000, salt 16 times 09, members in the order op, device, account, prev, signer, at, salt. After `pairs` pairs one more device.add of seed 5a, 32 times, leads to `head`; then device-signed operations are refused (Full) and root-signed ones are not.",
            page: "spec/key-log.md",
            cases: full_case(),
            verify: verify_full,
        },
    ]
}

/// A history under construction.
struct Story {
    name: &'static str,
    log: KeyLog,
    uses: Vec<(u8, RecordId, Option<LogPosition>)>,
}

impl Story {
    fn new(name: &'static str) -> Self {
        Self { name, log: log(), uses: Vec::new() }
    }

    /// Adds an operation after `prev` and answers its id.
    fn after(&mut self, prev: RecordId, action: Action, signer: u8, received: u64) -> RecordId {
        let op = op(prev, action, signer, received);
        let id = op.envelope.id();
        assert_eq!(self.log.insert(op), Ok(true), "{}", self.name);
        id
    }

    fn then(&mut self, action: Action, signer: u8) -> RecordId {
        self.after(self.log.head(), action, signer, T0)
    }

    fn ask(&mut self, device: u8, keys: RecordId, leaf: Option<LogPosition>) {
        self.uses.push((device, keys, leaf));
    }

    fn case(self) -> Value {
        let ask = |(device, keys, leaf): &(u8, RecordId, Option<LogPosition>)| {
            let device = key_id(*device);
            json!({ "device": device, "keys": keys, "leaf": leaf, "error": use_error(self.log.check_use(&device, keys, leaf.as_ref()).map(|_| ())) })
        };
        let ops: Vec<&LoggedOp> = self.log.ops().collect();
        json!({ "name": self.name, "ops": ops, "says": says(&self.log), "uses": self.uses.iter().map(ask).collect::<Vec<_>>() })
    }
}

fn use_error(result: Result<(), UseError>) -> Option<String> {
    result.err().map(|error| error_name(&error))
}

/// What a log says, as the vectors write it.
fn says(log: &KeyLog) -> Value {
    let view = log.view();
    let device = |id: &KeyId| {
        let device = &view.devices()[id];
        let revoked = device.revoked.as_ref();
        json!({
            "id": id, "name": device.name, "added_at": device.added_at, "added_by": device.added_by,
            "revoked_at": revoked.map(|revoked| revoked.at), "last_good": revoked.and_then(|revoked| revoked.last_good.clone()),
        })
    };
    let pending =
        view.pending_root().map(|pending| json!({ "root": pending.root, "device": pending.device, "effective": pending.effective }));
    json!({
        "account": log.account(), "head": log.head(), "status": view.status(), "open": use_error(log.check_open()), "address": view.address(), "homes": log.homes(), "mirrors": view.mirrors(), "created": view.created(),
        "root": view.root_at(0), "pending_root": pending, "devices": view.devices().keys().map(device).collect::<Vec<_>>(),
    })
}

fn valid() -> Vec<Value> {
    [one_branch(), rotations(), forks(), uses()].into_iter().flatten().map(Story::case).collect()
}

fn one_branch() -> Vec<Story> {
    let mut chain = Story::new("add, name, move, revoke in one branch");
    chain.then(Action::DeviceAdd { device: key_id(3), name: "phone".into() }, DEVICE);
    chain.then(Action::DeviceAdd { device: key_id(4), name: String::new() }, 3);
    chain.then(Action::HomeMove { address: "trinity@two.localhost:8002".parse().expect("an address") }, ROOT);
    chain.then(revoke(4, None), DEVICE);
    chain.then(Action::HomeMove { address: "neo@one.localhost:8001".parse().expect("an address") }, ROOT);
    let mut mirrors = Story::new("a device names mirrors, root names others");
    mirrors.then(mirror(&["two.localhost:8002", "mesh.example"]), DEVICE);
    mirrors.then(mirror(&["three.localhost:8003"]), ROOT);
    let mut own = Story::new("a device revokes itself; the devices that it added stay");
    own.then(add(3), DEVICE);
    own.then(revoke(DEVICE, Some(3)), DEVICE);
    let mut none = Story::new("no device is left");
    none.then(revoke(DEVICE, None), DEVICE);
    let mut closed = Story::new("closed by root");
    closed.then(Action::AccountClose, ROOT);
    let mut most = Story::new("as many live devices as may be");
    for seed in 0..DEVICES_MAX as u8 - 1 {
        most.then(add(100 + seed), DEVICE);
    }
    vec![Story::new("genesis alone"), chain, mirrors, own, none, closed, most]
}

fn rotations() -> Vec<Story> {
    let mut by_root = Story::new("root rotates at once, and the new root acts");
    by_root.then(rotate(8), ROOT);
    by_root.then(add(3), 8);
    let mut waiting = Story::new("a rotation that a device asked for waits");
    waiting.then(rotate(8), DEVICE);
    let mut again = Story::new("another device asks too: its rotation replaces the first and waits anew");
    again.then(add(3), DEVICE);
    again.then(rotate(8), DEVICE);
    again.after(again.log.head(), rotate(9), 3, T0 + 1000);
    let mut cancelled = Story::new("any operation that root signs cancels a waiting rotation");
    cancelled.then(rotate(8), DEVICE);
    cancelled.then(add(3), ROOT);
    let mut revoked = Story::new("so does the revocation of the device that asked");
    revoked.then(add(3), DEVICE);
    revoked.then(rotate(8), 3);
    revoked.then(revoke(3, None), DEVICE);
    let mut stays = Story::new("an operation of another device does not");
    stays.then(rotate(8), DEVICE);
    stays.then(add(3), DEVICE);
    let mut done = Story::new("after the wait the new root acts");
    done.then(rotate(8), DEVICE);
    done.after(done.log.head(), revoke(DEVICE, None), 8, T0 + ROOT_ROTATE_WAIT_MS);
    let mut passed = Story::new("after the wait a device's operation finds the new root in place");
    passed.then(rotate(8), DEVICE);
    passed.after(passed.log.head(), add(3), DEVICE, T0 + ROOT_ROTATE_WAIT_MS);
    vec![by_root, waiting, again, cancelled, revoked, stays, done, passed]
}

fn forks() -> Vec<Story> {
    let genesis = log().head();
    let mut frozen = Story::new("two device-signed branches: frozen");
    let first = frozen.after(genesis, add(3), DEVICE, T0);
    frozen.after(genesis, add(4), DEVICE, T0);
    frozen.ask(DEVICE, genesis, Some(leaf(1)));
    frozen.ask(3, first, Some(leaf(2)));
    let mut settled = Story::new("root settles two device-signed branches by following one");
    let first = settled.after(genesis, add(3), DEVICE, T0);
    let second = settled.after(genesis, add(4), DEVICE, T0);
    settled.after(first, add(5), ROOT, T0);
    settled.ask(3, first, None);
    settled.ask(4, second, None);
    let mut neither = Story::new("root settles two device-signed branches by following neither");
    let first = neither.after(genesis, add(3), DEVICE, T0);
    neither.after(genesis, add(4), DEVICE, T0);
    neither.after(genesis, add(5), ROOT, T0);
    neither.ask(3, first, None);
    let mut beaten = Story::new("root overrules a longer device-signed branch from an older head");
    let thief = beaten.after(genesis, add(3), DEVICE, T0);
    beaten.after(thief, add(4), 3, T0);
    beaten.after(genesis, revoke(DEVICE, Some(7)), ROOT, T0);
    beaten.ask(3, thief, Some(leaf(1)));
    beaten.ask(DEVICE, genesis, Some(leaf(7)));
    let mut late = Story::new("a device-signed branch from before an operation of root changes nothing");
    late.then(add(3), ROOT);
    late.after(genesis, add(4), DEVICE, T0);
    let mut deep = Story::new("a branch is root's if root signed anywhere in it");
    let first = deep.after(genesis, add(3), DEVICE, T0);
    let next = deep.after(first, add(4), 3, T0);
    deep.after(next, add(5), ROOT, T0);
    deep.after(genesis, add(6), DEVICE, T0);
    let mut inner = Story::new("a fork inside the winning branch freezes there");
    let kept = inner.then(add(3), ROOT);
    inner.after(kept, add(4), DEVICE, T0);
    inner.after(kept, add(5), 3, T0);
    let mut both = Story::new("two root-signed branches: compromised");
    let first = both.after(genesis, add(3), ROOT, T0);
    both.after(genesis, add(4), ROOT, T0);
    both.ask(3, first, None);
    let mut ever = Story::new("compromised for ever: root cannot settle it");
    let first = ever.after(genesis, add(3), ROOT, T0);
    ever.after(genesis, add(4), ROOT, T0);
    ever.after(first, add(5), ROOT, T0);
    let mut closed = Story::new("root closes from an older head");
    closed.after(genesis, add(3), DEVICE, T0);
    closed.after(genesis, Action::AccountClose, ROOT, T0);
    vec![frozen, settled, neither, beaten, late, deep, inner, both, ever, closed]
}

fn uses() -> Vec<Story> {
    let genesis = log().head();
    let mut story = Story::new("use of devices: added later, revoked with and without last_good, other logs");
    let added = story.then(add(3), DEVICE);
    let revoked = story.then(revoke(DEVICE, Some(7)), ROOT);
    let gone = story.then(revoke(3, None), ROOT);
    let other = |text: &str, index| LogPosition { origin: text.parse().expect("an origin"), index };
    story.ask(DEVICE, genesis, Some(leaf(0)));
    story.ask(DEVICE, genesis, Some(leaf(7)));
    story.ask(DEVICE, added, Some(leaf(7)));
    story.ask(DEVICE, genesis, Some(leaf(8)));
    story.ask(DEVICE, genesis, None);
    story.ask(DEVICE, revoked, Some(leaf(7)));
    story.ask(DEVICE, genesis, Some(other("one.localhost:8001/log/2", 1)));
    story.ask(DEVICE, genesis, Some(other("two.localhost:8002/log/1", 1)));
    story.ask(3, genesis, Some(leaf(1)));
    story.ask(3, added, Some(leaf(1)));
    story.ask(4, gone, None);
    story.ask(ROOT, gone, None);
    story.ask(DEVICE, RecordId::from_hash([7; 32]), Some(leaf(1)));
    let mut live = Story::new("a live device signs under any operation since it was added");
    let added = live.then(add(3), DEVICE);
    let head = live.then(add(4), DEVICE);
    live.ask(3, added, None);
    live.ask(3, head, None);
    live.ask(DEVICE, genesis, None);
    vec![story, live]
}

fn verify_valid(case: &Value) {
    let ops: Vec<LoggedOp> = member(case, "ops");
    let mut log = KeyLog::from_ops(ops.clone()).unwrap_or_else(|error| panic!("{}: {error}", text(case, "name")));
    assert_eq!(says(&log), case["says"], "{}", text(case, "name"));
    for question in case["uses"].as_array().expect("uses") {
        let answer =
            log.check_use(&member(question, "device"), &member(question, "keys"), member::<Option<LogPosition>>(question, "leaf").as_ref());
        assert_eq!(use_error(answer.map(|_| ())).as_deref(), question["error"].as_str(), "{question}");
    }
    for op in ops.into_iter().skip(1) {
        assert_eq!(log.insert(op), Ok(false), "known operations change nothing");
    }
}

/// An operation with a body of one's own making.
fn raw(body: String, seed: u8) -> LoggedOp {
    LoggedOp { envelope: Envelope::sign(Kind::Key, body.into_bytes(), &key(seed)), received: T0 }
}

fn changed(good: &LoggedOp, seed: u8, change: impl FnOnce(&mut Value)) -> LoggedOp {
    let mut body: Value = serde_json::from_slice(good.envelope.body()).expect("JSON");
    change(&mut body);
    raw(super::sorted(&body).to_string(), seed)
}

type Refused = (&'static str, Vec<LoggedOp>, LoggedOp);

fn bad_genesis() -> Vec<Refused> {
    let starts = |name, op| (name, Vec::new(), op);
    let by = |root: u8, device: u8, signer: u8| {
        let Action::Genesis { address, name, .. } = genesis_action() else { unreachable!("it is a genesis") };
        let action = Action::Genesis { root: key_id(root), device: key_id(device), address, name };
        LoggedOp { envelope: NewOp { follows: None, action, at: T0, salt: Salt([0; 16]) }.sign(&key(signer)), received: T0 }
    };
    let set = |name: &'static str, member: &'static str, value: Value| starts(name, changed(&genesis(), ROOT, |body| body[member] = value));
    let mut wrong = genesis();
    wrong.envelope = Envelope::new(Kind::Key, wrong.envelope.body().to_vec(), *genesis_signature(DEVICE).signature()).expect("small");
    let identity = KeyId::ed25519(&std::array::from_fn(|at| u8::from(at == 0)));
    vec![
        starts("genesis signed by its device", by(ROOT, DEVICE, DEVICE)),
        starts("root and device are one key", by(ROOT, ROOT, ROOT)),
        starts("genesis with a signature by another key", wrong),
        starts("an operation without genesis", op(genesis().envelope.id(), add(3), DEVICE, T0)),
        set("genesis with an account", "account", json!(account())),
        set("genesis with account null", "account", Value::Null),
        set("genesis with prev", "prev", json!(RecordId::from_hash([1; 32]))),
        set("genesis with a small-order device key", "device", json!(identity)),
        set("genesis with an address that is not canonical", "address", json!("Neo@mesh.org")),
        set("device name too long", "name", json!("n".repeat(TITLE_BYTES_MAX + 1))),
        set("device name with an escape character", "name", json!("a\u{1b}[2J")),
        set("at too large", "at", json!(1u64 << 53)),
        set("crit of a name that is not known", "crit", json!(["mood"])),
        starts(
            "genesis with a member twice",
            raw(String::from_utf8_lossy(genesis().envelope.body()).replacen('{', "{\"op\":\"genesis\",", 1), ROOT),
        ),
        starts(
            "a post in the place of a genesis",
            LoggedOp { envelope: signed_body(Kind::Post, genesis().envelope.body().to_vec()), received: T0 },
        ),
    ]
}

fn genesis_signature(seed: u8) -> Envelope {
    Envelope::sign(Kind::Key, genesis().envelope.body().to_vec(), &key(seed))
}

fn bad_ops() -> Vec<Refused> {
    let g = genesis().envelope.id();
    let next = |name, op| (name, vec![genesis()], op);
    let good = op(g, add(3), DEVICE, T0);
    let set = |name: &'static str, member: &'static str, value: Value| next(name, changed(&good, DEVICE, |body| body[member] = value));
    let mut unsigned = good.clone();
    unsigned.envelope = Envelope::new(Kind::Key, good.envelope.body().to_vec(), *genesis().envelope.signature()).expect("small");
    let with_last_good = changed(&op(g, revoke(DEVICE, Some(7)), DEVICE, T0), DEVICE, |body| {
        body["last_good"] = json!(["one.localhost:8001/log/1", 7]);
    });
    let other = LoggedOp {
        envelope: NewOp { follows: Some((AccountId::from_hash([9; 32]), g)), action: add(3), at: T0, salt: Salt([9; 16]) }
            .sign(&key(DEVICE)),
        received: T0,
    };
    vec![
        next("unknown prev", op(RecordId::from_hash([7; 32]), add(3), DEVICE, T0)),
        next("another account", other),
        next("a second genesis", changed(&genesis(), ROOT, |body| body["name"] = json!("second"))),
        next("wrong signature", unsigned),
        set("unknown operation", "op", json!("device.rename")),
        set("operation number instead of name", "op", json!(1)),
        set("no prev", "prev", Value::Null),
        set("device missing", "device", Value::Null),
        set("crit of a name that is not known", "crit", json!(["mood"])),
        set("too large", "pad", json!("p".repeat(2048))),
        next("a mirror named twice", op(g, mirror(&["two.localhost:8002", "two.localhost:8002"]), DEVICE, T0)),
        next("one mirror too many", op(g, mirror(&["a.example", "b.example", "c.example", "d.example"]), DEVICE, T0)),
        next("last_good as an array", with_last_good),
        next("last_good null", changed(&op(g, revoke(DEVICE, None), DEVICE, T0), DEVICE, |body| body["last_good"] = Value::Null)),
        next("not strict JSON", raw(String::from_utf8_lossy(good.envelope.body()).replace("1700000000000", "1700000000000.0"), DEVICE)),
    ]
}

fn not_allowed() -> Vec<Refused> {
    let g = genesis().envelope.id();
    let next = |name, action, signer| (name, vec![genesis()], op(g, action, signer, T0));
    let after = |name: &'static str, first: (Action, u8), action: Action, signer: u8, later: u64| {
        let first = op(g, first.0, first.1, T0);
        let second = op(first.envelope.id(), action, signer, T0 + later);
        (name, vec![genesis(), first], second)
    };
    let address = || "neo@two.localhost:8002".parse().expect("an address");
    let mut crowd = vec![genesis()];
    for seed in 0..DEVICES_MAX as u8 - 1 {
        let prev = crowd.last().expect("not empty").envelope.id();
        crowd.push(op(prev, add(100 + seed), DEVICE, T0));
    }
    let one_more = op(crowd.last().expect("not empty").envelope.id(), add(3), ROOT, T0);
    vec![
        next("signed by a stranger", add(3), 7),
        next("a device moves the account", Action::HomeMove { address: address() }, DEVICE),
        next("a device closes the account", Action::AccountClose, DEVICE),
        next("a device that is already one", add(DEVICE), ROOT),
        next("the root key as a device", add(ROOT), ROOT),
        next("a device key as root", rotate(DEVICE), ROOT),
        next("revoking what is not a device", revoke(9, None), ROOT),
        after("a device revokes the one that added it", (add(3), DEVICE), revoke(DEVICE, None), 3, 0),
        after("a device revokes one that root added", (add(3), ROOT), revoke(3, None), DEVICE, 0),
        after("a revoked device acts", (revoke(DEVICE, None), DEVICE), add(3), DEVICE, 0),
        after("a revoked device comes back", (revoke(DEVICE, None), ROOT), add(DEVICE), ROOT, 0),
        after("revoked twice", (revoke(DEVICE, None), ROOT), revoke(DEVICE, Some(9)), ROOT, 0),
        after("the old root after a rotation", (rotate(8), ROOT), add(3), ROOT, 0),
        after("the new root before the wait is over", (rotate(8), DEVICE), add(3), 8, ROOT_ROTATE_WAIT_MS - 1),
        after("the old root after the wait", (rotate(8), DEVICE), add(3), ROOT, ROOT_ROTATE_WAIT_MS),
        after("a key that is to be root as a device", (rotate(8), DEVICE), add(8), DEVICE, 0),
        after("anything after the account was closed", (Action::AccountClose, ROOT), add(3), ROOT, 0),
        ("one live device too many", crowd, one_more),
    ]
}

fn invalid() -> Vec<Value> {
    let case = |(name, before, op): Refused| {
        let error = error_name(&refuse(&before, &op).expect_err(name));
        json!({ "name": name, "before": before, "op": op, "error": error, "problem": problem(&error) })
    };
    [bad_genesis(), bad_ops(), not_allowed()].into_iter().flatten().map(case).collect()
}

fn refuse(before: &[LoggedOp], op: &LoggedOp) -> Result<(), KeyLogError> {
    if before.is_empty() {
        return KeyLog::from_genesis(op.clone()).map(|_| ());
    }
    let mut log = KeyLog::from_ops(before.iter().cloned()).expect("a good log");
    let was = says(&log);
    let answer = log.insert(op.clone());
    assert!(answer.is_ok() || says(&log) == was, "a refused operation changed the log");
    answer.map(|_| ())
}

fn verify_invalid(case: &Value) {
    let error = refuse(&member::<Vec<LoggedOp>>(case, "before"), &member(case, "op")).expect_err(text(case, "name"));
    assert_eq!(error_name(&error), text(case, "error"), "{case}");
}

const PAIRS: usize = (KEY_OPS_MAX - KEY_OPS_ROOT_RESERVE - 1) / 2;

fn full_log(pairs: usize) -> KeyLog {
    let mut log = log();
    for n in 0..pairs {
        let seed: [u8; 4] = [(n % 251) as u8 + 1, (n / 251) as u8, 7, 7];
        let device = mesh_proto::key::SecretKey::from_seed(&std::array::from_fn(|at| seed[at % 4])).id();
        for action in [Action::DeviceAdd { device, name: String::new() }, Action::DeviceRevoke { device, last_good: None }] {
            assert_eq!(log.insert(op(log.head(), action, DEVICE, T0)), Ok(true));
        }
    }
    assert_eq!(log.insert(op(log.head(), add(0x5a), DEVICE, T0)), Ok(true));
    log
}

fn full_case() -> Vec<Value> {
    let log = full_log(PAIRS);
    vec![json!({ "genesis": genesis(), "pairs": PAIRS, "ops": log.len(), "head": log.head() })]
}

fn verify_full(case: &Value) {
    let mut log = full_log(number(case, "pairs") as usize);
    assert_eq!((log.len() as u64, log.head()), (number(case, "ops"), member(case, "head")));
    assert_eq!(log.insert(op(log.head(), add(0x5b), DEVICE, T0)), Err(KeyLogError::Full));
    assert_eq!(log.insert(op(log.head(), add(0x5b), ROOT, T0)), Ok(true));
}
