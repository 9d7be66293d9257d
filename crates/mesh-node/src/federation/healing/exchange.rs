//! The words of the one who asks: messages about a part of a set, questions by id, and what comes of deliveries.

use super::answers::storage;
use super::sets::{Member, Span};
use super::{Course, Differences};
use crate::error::{NodeError, Result};
use crate::intake::Intake;
use mesh_proto::address::Domain;
use mesh_proto::api::{
    Delivery, DeliveryAnswer, Fetch, Fetched, ItemResult, KeysBatch, KeysBatchAnswer, KeysPush, Problem, Reconcile, Reconciled, Settle,
    Settled, Verdict, code,
};
use mesh_proto::bytes::{base64url, from_base64url};
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::{KEYS_BATCH_MAX, SET_MESSAGE_BYTES_MAX};
use mesh_proto::log::Origin;
use mesh_proto::port::Transport;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Messages about one part: all its ids fit into fewer.
const ROUNDS_MAX: usize = 512;
/// How often a domain may say that it is too busy, and the longest that is waited then.
const BUSY_MAX: usize = 20;
const BUSY_WAIT_S_MAX: u64 = 60;
/// Longest part of another domain's words in a log line, characters.
const EXCERPT_CHARS_MAX: usize = 200;

/// A conversation with a domain about one of its logs.
pub(super) struct Exchange {
    transport: Arc<dyn Transport>,
    domain: Domain,
    origin: Origin,
    bytes: AtomicUsize,
}

type Reconciling = Negentropy<'static, NegentropyStorageVector>;

/// What one message brought.
struct Step {
    exchange: Reconciling,
    /// The next message; `None` when all is known.
    message: Option<Vec<u8>>,
    missing: Vec<Id>,
    extra: Vec<Id>,
}

impl Exchange {
    pub(super) fn new(transport: Arc<dyn Transport>, domain: Domain, origin: Origin) -> Self {
        Self { transport, domain, origin, bytes: AtomicUsize::new(0) }
    }

    /// Bytes that were sent and received, before compression.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn remote(&self, detail: &str) -> NodeError {
        NodeError::Remote { domain: self.domain.to_string(), detail: detail.chars().take(EXCERPT_CHARS_MAX).collect() }
    }

    /// Finds out in what a part differs. A part that has too many records there is halved.
    pub(super) async fn compare(&self, (origin, from, to): Span, members: Vec<Member>) -> Result<Differences> {
        let mut all = Differences { compared: members.len(), missing: Vec::new(), extra: Vec::new() };
        let mut parts = vec![(from, to, members)];
        while let Some((from, to, mut members)) = parts.pop() {
            match self.compare_part((origin, from, to), &members).await {
                Ok(step) => {
                    all.missing.extend(step.missing.into_iter().map(|id| RecordId::from_hash(id.to_bytes())));
                    all.extra.extend(step.extra.into_iter().map(|id| RecordId::from_hash(id.to_bytes())));
                }
                Err(NodeError::Refused { code: code::TOO_LARGE, .. }) if to - from > 1 => {
                    let middle = from + (to - from) / 2;
                    let upper = members.split_off(members.partition_point(|member| member.index < middle));
                    parts.extend([(middle, to, upper), (from, middle, members)]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn compare_part(&self, (_, from, to): Span, members: &[Member]) -> Result<Step> {
        let members = members.to_vec();
        let begun = tokio::task::spawn_blocking(move || {
            let mut exchange = Negentropy::owned(storage(&members)?, SET_MESSAGE_BYTES_MAX as u64).map_err(unusable)?;
            let message = Some(exchange.initiate().map_err(unusable)?);
            Ok::<_, NodeError>(Step { exchange, message, missing: Vec::new(), extra: Vec::new() })
        });
        let mut step = begun.await.map_err(|_| NodeError::Stopping)??;
        for _ in 0..ROUNDS_MAX {
            let Some(message) = step.message.take() else { return Ok(step) };
            let asked = Reconcile { origin: self.origin.clone(), from, to, message: base64url(&message) };
            let answer: Reconciled = self.post("/mesh/v1/sets:reconcile", &asked).await?;
            let answer = from_base64url(&answer.message, "message").map_err(|error| self.remote(&error.to_string()))?;
            if answer.len() > SET_MESSAGE_BYTES_MAX {
                return Err(self.remote("its message is too long"));
            }
            let stepped = tokio::task::spawn_blocking(move || {
                step.message = step.exchange.reconcile_with_ids(&answer, &mut step.extra, &mut step.missing)?;
                Ok(step)
            });
            let stepped: std::result::Result<Step, negentropy::Error> = stepped.await.map_err(|_| NodeError::Stopping)?;
            step = stepped.map_err(|error| self.remote(&format!("its message is malformed: {error}")))?;
        }
        Err(self.remote("comparing the sets does not come to an end"))
    }

    /// Asks for deliveries of records.
    pub(super) async fn fetch(&self, ids: Vec<RecordId>, checkpoint: Option<u64>) -> Result<Option<Delivery>> {
        let asked = Fetch { origin: self.origin.clone(), ids, checkpoint };
        let answer: Fetched = self.post("/mesh/v1/deliveries:fetch", &asked).await?;
        Ok(answer.delivery)
    }

    /// Asks about records that only this domain counts, and says what it refuses.
    pub(super) async fn settle(&self, held: Vec<RecordId>, refused: Vec<RecordId>) -> Result<Vec<Verdict>> {
        let asked = held.len();
        let question = Settle { origin: self.origin.clone(), held, refused };
        let answer: Settled = self.post("/mesh/v1/sets:settle", &question).await?;
        if answer.held.len() == asked { Ok(answer.held) } else { Err(self.remote("it says something about other records")) }
    }

    /// A question and its answer. A domain that is busy is waited for.
    async fn post<T: serde::de::DeserializeOwned>(&self, path: &str, body: &impl serde::Serialize) -> Result<T> {
        let body = serde_json::to_vec(body).expect("API types have only plain fields");
        for _ in 0..BUSY_MAX {
            self.bytes.fetch_add(body.len(), Ordering::Relaxed);
            let answer = self.transport.post(&self.domain, path, body.clone()).await.map_err(|error| self.remote(&error.to_string()))?;
            self.bytes.fetch_add(answer.body.len(), Ordering::Relaxed);
            match answer.status {
                200 => {
                    return serde_json::from_slice(&answer.body).map_err(|error| self.remote(&format!("its answer is malformed: {error}")));
                }
                413 => return Err(NodeError::refused(code::TOO_LARGE, "the part has too many records there")),
                429 | 503 => tokio::time::sleep(Duration::from_secs(answer.retry_after_s.unwrap_or(1).clamp(1, BUSY_WAIT_S_MAX))).await,
                status => {
                    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
                    if problem.as_ref().is_some_and(|problem| problem.code() == code::NOT_HOME) {
                        return Err(NodeError::refused(code::NOT_HOME, format!("{} does not answer for {}", self.domain, self.origin)));
                    }
                    let words = problem.map(|problem| problem.detail).unwrap_or_default();
                    return Err(self.remote(&format!("HTTP status {status}: {words}")));
                }
            }
        }
        Err(NodeError::SlowDown { retry_after_s: BUSY_WAIT_S_MAX })
    }
}

fn unusable(error: negentropy::Error) -> NodeError {
    NodeError::refused(code::INTERNAL, error.to_string())
}

/// What became of fetched records.
pub(super) struct Rest {
    /// Those that are stored now.
    pub(super) taken: Vec<RecordId>,
    /// Those that are refused, with the code.
    pub(super) refused: Vec<(RecordId, String)>,
}

impl Rest {
    pub(super) fn of(ids: &[RecordId], results: Vec<ItemResult>) -> Self {
        let mut rest = Self { taken: Vec::new(), refused: Vec::new() };
        for (id, result) in ids.iter().zip(results) {
            match result {
                ItemResult::Accepted => rest.taken.push(*id),
                ItemResult::Known => {}
                ItemResult::Refused { code, detail } => {
                    tracing::info!(record.id = %id, refusal.code = code, refusal.detail = detail, "healing.refused");
                    rest.refused.push((*id, code));
                }
            }
        }
        rest
    }
}

/// Takes in a delivery that was asked for. Key operations that it needs and lacks are asked for too.
pub(super) async fn take(intake: &Arc<Intake>, course: &Arc<Course>, delivery: Delivery) -> Result<Vec<ItemResult>> {
    let mut delivery = Arc::new(Delivery { since: None, ..delivery });
    for _ in 0..2 {
        let (intake, course_too, taken) = (Arc::clone(intake), Arc::clone(course), Arc::clone(&delivery));
        let stored = tokio::task::spawn_blocking(move || intake.deliver(&course_too.peer, &taken));
        match stored.await.map_err(|_| NodeError::Stopping)? {
            Err(NodeError::KeysWanted(wanted)) => {
                let accounts: Vec<_> = wanted.into_iter().map(|known| known.account).collect();
                let mut keys = Vec::new();
                for accounts in accounts.chunks(KEYS_BATCH_MAX) {
                    let asked = KeysBatch { accounts: accounts.to_vec() };
                    let answer: KeysBatchAnswer = course.exchange.post("/mesh/v1/keys:batch", &asked).await?;
                    keys.extend(answer.accounts.into_iter().map(|view| KeysPush { account: view.account, ops: view.ops }));
                }
                delivery = Arc::new(Delivery { keys, ..Delivery::clone(&delivery) });
            }
            // It delivers as much as it may at this moment.
            Err(NodeError::SlowDown { retry_after_s }) => tokio::time::sleep(Duration::from_secs(retry_after_s)).await,
            outcome => return outcome.map(|DeliveryAnswer { results, .. }| results),
        }
    }
    Err(course.exchange.remote("it does not show the key logs of those whose records it has"))
}
