//! What a delivery takes beyond its signed records: checkpoint, proofs, and of each leaf its place, salt and time.

use crate::content::Objects;
use crate::crowd::{MIX, PEOPLE_EACH};
use crate::http::now_ms;
use crate::people::mixed;
use crate::sender::Sender;
use mesh_proto::api::{Delivery, DeliveryItem};
use mesh_proto::limits::BATCH_RECORDS_MAX;

/// Leaves of the log.
pub(crate) const LEAVES: u64 = 1_000_000;
/// Leaves that the log grew by since the receiver last saw a checkpoint.
const GROWN: u64 = 10_000;
/// Every so many leaves there is a record in a sparse delivery.
pub(crate) const SPARSE: u64 = 50;
/// Deliveries of each sort.
const DELIVERIES: usize = 10;

/// Bytes for each record.
pub(crate) struct Overhead {
    /// Of the JSON, as a pull is answered for whoever reads no zstd.
    pub(crate) json: f64,
    /// Compressed, as deliveries are sent and pulls of our servers are answered.
    pub(crate) compressed: f64,
}

/// Of full deliveries: of leaves one after the other, and of leaves far from one another.
pub(crate) fn measure(objects: &Objects) -> anyhow::Result<(Overhead, Overhead)> {
    let mut sender = Sender::new("log.localhost:7998".parse()?, PEOPLE_EACH)?;
    until(&mut sender, LEAVES / 2);
    let mut parts: Vec<_> = (0..DELIVERIES).map(|_| part(&mut sender, objects, 1)).collect();
    parts.extend((0..DELIVERIES).map(|_| part(&mut sender, objects, SPARSE)));
    until(&mut sender, LEAVES - GROWN);
    // Shows the checkpoint from which the log grew.
    sender.deliveries(Vec::new());
    until(&mut sender, LEAVES);
    let deliveries = sender.deliveries(parts);
    let (dense, sparse) = deliveries.split_at(DELIVERIES);
    Ok((overhead(dense)?, overhead(sparse)?))
}

fn until(sender: &mut Sender, size: u64) {
    while sender.size() < size {
        sender.log_for_others();
    }
}

/// The records of one delivery, `step` leaves apart.
fn part(sender: &mut Sender, objects: &Objects, step: u64) -> Vec<DeliveryItem> {
    let items = (0..BATCH_RECORDS_MAX).map(|_| {
        (1..step).for_each(|_| sender.log_for_others());
        let turn = sender.size();
        let person = (mixed(turn) % PEOPLE_EACH) as usize;
        let envelope = sender.people[person].sign(MIX.content(objects, mixed(person as u64), turn), turn, now_ms());
        sender.log(person, envelope)
    });
    items.collect()
}

/// What is left when the records by themselves are taken off.
fn overhead(deliveries: &[Delivery]) -> anyhow::Result<Overhead> {
    let (mut json, mut compressed, mut records) = (0, 0, 0);
    for delivery in deliveries {
        let whole = serde_json::to_vec(delivery)?;
        let bare = serde_json::to_vec(&delivery.items.iter().map(|item| &item.envelope).collect::<Vec<_>>())?;
        json += whole.len() - bare.len();
        compressed += zstd::bulk::compress(&whole, 1)?.len() - zstd::bulk::compress(&bare, 1)?.len();
        records += delivery.items.len();
    }
    let each = |bytes: usize| bytes as f64 / records as f64;
    Ok(Overhead { json: each(json), compressed: each(compressed) })
}
