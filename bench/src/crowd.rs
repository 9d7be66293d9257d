//! Domains that deliver to the server under measurement, all of them at once.

use crate::content::{Mix, Objects};
use crate::http::{Connection, signed};
use crate::prefill::domain;
use crate::sender::{Packed, Sender, Turns};
use anyhow::bail;
use mesh_proto::api::{DeliveryAnswer, ItemResult};
use mesh_proto::key::SecretKey;
use mesh_proto::limits::BATCH_RECORDS_MAX;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) const DOMAINS: usize = 8;
pub(crate) const PEOPLE_EACH: u64 = 1_280;
/// Deliveries of one domain that are under way at once.
pub(crate) const AT_ONCE: usize = 2;
pub(crate) const MIX: Mix = Mix { posts: 0, likes: 60, comments: 30 };

/// How a domain sends.
pub(crate) struct Identity {
    address: SocketAddr,
    target: String,
    keyid: String,
    key: SecretKey,
}

impl Identity {
    /// How a domain sends to the server at an address.
    pub(crate) fn new(sender: &Sender, address: SocketAddr) -> anyhow::Result<Arc<Self>> {
        let target = format!("{}/mesh/v1/deliveries", domain()?.base_url());
        Ok(Arc::new(Self { address, target, keyid: sender.keyid(), key: sender.request_key.clone() }))
    }
}

/// Lets all domains work at once.
pub(crate) fn on_all<T: Send>(senders: &mut [Sender], work: impl Fn(&mut Sender) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = senders.iter_mut().map(|sender| scope.spawn(move || work(sender))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a panic is a bug of the bench")).collect()
        })
    })
}

/// Deliveries that introduce everyone of a domain.
pub(crate) const INTRODUCTIONS: usize = (PEOPLE_EACH as usize).div_ceil(BATCH_RECORDS_MAX);

/// Statements of one person after the other, with the key logs of those who speak.
pub(crate) fn introduction(sender: &mut Sender, objects: &Objects, deliveries: usize) -> anyhow::Result<Vec<Packed>> {
    let parts = (0..deliveries).map(|_| sender.next(MIX, objects, Turns::InOrder)).collect();
    let deliveries = sender.deliveries(parts).into_iter().map(|mut delivery| {
        delivery.keys = sender.keys_of(&delivery)?;
        Packed::new(&delivery)
    });
    deliveries.collect()
}

/// Delivers everything; answers the number of records and what each delivery took.
pub(crate) async fn send(identities: &[Arc<Identity>], deliveries: Vec<Vec<Packed>>) -> anyhow::Result<(usize, Vec<Duration>)> {
    let mut lanes = JoinSet::new();
    for (identity, deliveries) in identities.iter().zip(deliveries) {
        let waiting = Arc::new(Mutex::new(deliveries.into_iter()));
        for _ in 0..AT_ONCE {
            lanes.spawn(lane(Arc::clone(identity), Arc::clone(&waiting)));
        }
    }
    let (mut records, mut taken) = (0, Vec::new());
    while let Some(lane) = lanes.join_next().await {
        let (delivered, times) = lane??;
        records += delivered;
        taken.extend(times);
    }
    Ok((records, taken))
}

async fn lane(identity: Arc<Identity>, waiting: Arc<Mutex<std::vec::IntoIter<Packed>>>) -> anyhow::Result<(usize, Vec<Duration>)> {
    let mut connection = Connection::open(identity.address).await?;
    let (mut records, mut taken) = (0, Vec::new());
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(packed) = next else { return Ok((records, taken)) };
        let headers = signed("POST", &identity.target, packed.digest, (&identity.keyid, &identity.key))?;
        let started = Instant::now();
        let reply = connection.post("/mesh/v1/deliveries", &format!("{headers}content-encoding: zstd\r\n"), &packed.body).await?;
        taken.push(started.elapsed());
        let answer: DeliveryAnswer = reply.json()?;
        if let Some(other) = answer.results.iter().find(|result| **result != ItemResult::Accepted) {
            bail!("a delivery was not accepted: {other:?}");
        }
        records += packed.records;
    }
}
