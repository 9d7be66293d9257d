//! The published vectors over real HTTP: what is good is taken, what is not is refused with its code and leaves nothing behind.

use crate::boundary::{leaves, refused};
use crate::network::{Home, Reply};
use mesh_proto::api::{Accepted, Admission, NewAccount};
use mesh_proto::bytes::base64url;
use mesh_proto::envelope::Envelope;
use mesh_proto::keylog::LoggedOp;
use mesh_proto::record::Record;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

/// The cases of a file of vectors.
fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct File<T> {
        cases: Vec<T>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors").join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice::<File<T>>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).cases
}

/// The status that stands beside a code in `spec/errors.md`.
fn status(code: &str) -> u16 {
    match code {
        "malformed" => 400,
        "too_large" => 413,
        "bad_signature" | "forbidden" => 403,
        "head_moved" => 409,
        "future" => 422,
        other => panic!("no vector has the code {other}"),
    }
}

/// The home of the account that all vectors are by.
async fn home() -> Home {
    Home::start_as(|_| "one.localhost:8001".into(), |_| ()).await
}

async fn register(one: &Home, genesis: Envelope) -> Reply {
    one.post_json("/api/v1/accounts", &NewAccount { genesis, admission: Admission::default() }).await
}

async fn neo(one: &Home) {
    #[derive(Deserialize)]
    struct Case {
        ops: Vec<LoggedOp>,
    }
    let genesis = cases::<Case>("valid/key-log.json").remove(0).ops.remove(0).envelope;
    assert_eq!(register(one, genesis).await.status, 201);
}

#[tokio::test]
async fn good_records_are_taken_or_refused_for_what_they_act_on() {
    #[derive(Deserialize)]
    struct Case {
        name: Option<String>,
        id: String,
        envelope: Envelope,
    }
    let one = home().await;
    neo(&one).await;
    let (mut taken, mut refused) = (0, 0);
    for case in cases::<Case>("valid/record.json") {
        let record = Record::open(&case.envelope).expect("a good record");
        if record.content.addressed().first().is_some_and(|(_, home)| home.as_str() != one.domain) {
            // It would be delivered to a domain that is not part of this test.
            continue;
        }
        let reply = one.submit(&case.envelope).await;
        let name = case.name.unwrap_or_default();
        if reply.status == 201 {
            assert_eq!(reply.json::<Accepted>().id.to_string(), case.id, "{name}");
            taken += 1;
        } else {
            let code = reply.problem();
            assert!(["object", "not_found", "device", "keys_wanted"].contains(&code.as_str()), "{name}: {code}");
            refused += 1;
        }
    }
    assert!(taken >= 10, "{taken} taken, {refused} refused");
}

#[tokio::test]
async fn bad_records_are_refused_with_their_codes() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        envelope: serde_json::Value,
        problem: String,
        now: Option<u64>,
    }
    let one = home().await;
    neo(&one).await;
    let before = leaves(&one).await;
    for case in cases::<Case>("invalid/record.json") {
        // Those that are refused at a certain time only are good by now.
        if case.now.is_none() {
            let reply = one.post_json("/api/v1/records", &case.envelope).await;
            refused(&reply, status(&case.problem), &case.problem, &case.name);
        }
    }
    assert_eq!(leaves(&one).await, before);
}

#[tokio::test]
async fn bad_carriers_are_refused_with_their_codes() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        carrier: Option<String>,
        payload_bytes: Option<usize>,
        problem: String,
    }
    let one = home().await;
    neo(&one).await;
    let before = leaves(&one).await;
    for case in cases::<Case>("invalid/envelope.json") {
        let carrier = case.carrier.unwrap_or_else(|| {
            let mut payload = vec![0; case.payload_bytes.expect("a carrier or its size")];
            payload[0] = b'{';
            let (payload, sig) = (base64url(&payload), base64url(&[0; 64]));
            format!(r#"{{"payloadType":"application/vnd.mesh.post.v1+json","payload":"{payload}","signatures":[{{"sig":"{sig}"}}]}}"#)
        });
        for path in ["/api/v1/records", "/api/v1/accounts/neo/keys"] {
            let reply = one.post(path, carrier.clone().into_bytes()).await;
            refused(&reply, status(&case.problem), &case.problem, &format!("{path}: {}", case.name));
        }
    }
    assert_eq!(leaves(&one).await, before);
}

#[tokio::test]
async fn records_that_their_device_did_not_sign_are_refused() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        genesis: Envelope,
        envelope: Envelope,
        problem: String,
    }
    let one = home().await;
    for case in cases::<Case>("invalid/signed-record.json") {
        assert_eq!(register(&one, case.genesis).await.status, 201, "{}", case.name);
        let before = leaves(&one).await;
        refused(&one.submit(&case.envelope).await, status(&case.problem), &case.problem, &case.name);
        assert_eq!(leaves(&one).await, before, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct KeyCase {
    name: String,
    before: Vec<LoggedOp>,
    op: serde_json::Value,
    problem: String,
}

impl KeyCase {
    fn received(&self) -> u64 {
        self.op["received"].as_u64().expect("a time")
    }
}

#[tokio::test]
async fn bad_first_key_operations_register_nobody() {
    let one = home().await;
    for case in cases::<KeyCase>("invalid/key-log.json").into_iter().filter(|case| case.before.is_empty()) {
        let body = serde_json::json!({ "genesis": case.op["envelope"] });
        let reply = one.post_json("/api/v1/accounts", &body).await;
        refused(&reply, status(&case.problem), &case.problem, &case.name);
    }
    assert_eq!((leaves(&one).await, one.get("/api/v1/accounts/neo").await.status), (0, 404));
}

#[tokio::test]
async fn bad_key_operations_are_refused_at_home() {
    let mut histories: BTreeMap<String, Vec<KeyCase>> = BTreeMap::new();
    for case in cases::<KeyCase>("invalid/key-log.json") {
        // A wait that is over in the vectors has not begun when the operations come today.
        let today = case.before.last().is_some_and(|last| last.received == case.received());
        if today {
            histories.entry(serde_json::to_string(&case.before).expect("json")).or_default().push(case);
        }
    }
    assert!(histories.len() > 5);
    for cases in histories.into_values() {
        let one = home().await;
        let mut before = cases[0].before.iter();
        let genesis = before.next().expect("a genesis");
        assert_eq!(register(&one, genesis.envelope.clone()).await.status, 201);
        let path = format!("/api/v1/accounts/{}/keys", genesis.envelope.id());
        for op in before {
            let known = one.post_json(&path, &op.envelope).await;
            assert_eq!(known.status, 200, "{}: {}", cases[0].name, String::from_utf8_lossy(&known.body));
        }
        let size = leaves(&one).await;
        for case in cases {
            let reply = one.post_json(&path, &case.op["envelope"]).await;
            refused(&reply, status(&case.problem), &case.problem, &case.name);
        }
        assert_eq!(leaves(&one).await, size);
    }
}

#[derive(Deserialize)]
struct Text {
    text: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// Percent-encodes everything.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn bad_names_ids_and_links_lead_nowhere() {
    let one = home().await;
    neo(&one).await;
    for Text { text, .. } in cases("invalid/address.json") {
        if text.contains('@') {
            refused(&one.get(&format!("/api/v1/accounts/{}", encoded(&text))).await, 404, "not_found", &text);
        }
        let reply = one.get(&format!("/.well-known/webfinger?resource=acct:{}", encoded(&text))).await;
        assert!(reply.status == 404 || reply.status == 400, "{text}: {}", reply.status);
    }
    for Text { text, .. } in cases("invalid/link.json") {
        refused(&one.get(&format!("/api/v1/resolve?uri={}", encoded(&text))).await, 400, "malformed", &text);
    }
    for Text { text, kind } in cases("invalid/ids.json") {
        let path = match kind.as_str() {
            "record id" => format!("/api/v1/records/{}", encoded(&text)),
            "account id" => format!("/mesh/v1/accounts/{}/keys", encoded(&text)),
            _ => continue,
        };
        if !text.is_empty() {
            refused(&one.get(&path).await, 400, "malformed", &text);
        }
    }
}
