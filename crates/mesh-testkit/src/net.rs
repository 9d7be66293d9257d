//! A network in a struct: messages between nodes with delay, loss, duplication, reordering and partitions, all by one seed.
//!
//! Sans I/O: [`SimNetwork::send`] puts a message on its way, [`SimNetwork::next`] moves the time to the next arrival and hands it over. The
//! order of calls is the caller's; there is no other source of time or chance, so a failed run is repeated with its seed, which is printed.

use crate::ports::SeededRng;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// One end of the network.
pub type NodeId = usize;

/// What happens to messages on their way.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Shortest delay, milliseconds.
    pub delay_ms_min: u64,
    /// Longest delay, milliseconds: messages overtake each other if it is longer than the shortest.
    pub delay_ms_max: u64,
    /// Messages lost, of 1,000.
    pub loss_per_mille: u16,
    /// Messages that arrive twice, of 1,000.
    pub duplicate_per_mille: u16,
}

impl Link {
    /// One millisecond, nothing lost.
    pub const GOOD: Link = Link { delay_ms_min: 1, delay_ms_max: 1, loss_per_mille: 0, duplicate_per_mille: 0 };
    /// A bad day: up to two seconds, a tenth lost, a tenth doubled.
    pub const BAD: Link = Link { delay_ms_min: 5, delay_ms_max: 2000, loss_per_mille: 100, duplicate_per_mille: 100 };

    /// What becomes of one message: how long each copy of it that arrives is on its way, milliseconds. None arrives if it is lost.
    pub fn copies(&self, rng: &SeededRng) -> Vec<u64> {
        let copies = if rng.happens(self.duplicate_per_mille) { 2 } else { 1 };
        let spread = self.delay_ms_max.saturating_sub(self.delay_ms_min);
        (0..copies)
            .filter_map(|_| if rng.happens(self.loss_per_mille) { None } else { Some(self.delay_ms_min + rng.below(spread + 1)) })
            .collect()
    }
}

/// A message that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival<M> {
    /// When, milliseconds of simulated time.
    pub at_ms: u64,
    /// From whom.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What.
    pub message: M,
}

/// A message on its way: ordered by arrival, then by sending.
#[derive(Debug)]
struct Flying<M> {
    at_ms: u64,
    number: u64,
    from: NodeId,
    to: NodeId,
    message: M,
}

impl<M> PartialEq for Flying<M> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<M> Eq for Flying<M> {}

impl<M> PartialOrd for Flying<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Flying<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

/// The network.
#[derive(Debug)]
pub struct SimNetwork<M> {
    seed: u64,
    rng: SeededRng,
    link: Link,
    now_ms: u64,
    sent: u64,
    flying: BinaryHeap<Reverse<Flying<M>>>,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl<M: Clone> SimNetwork<M> {
    /// A network whose chances all follow from `seed`.
    pub fn new(seed: u64, link: Link) -> Self {
        Self { seed, rng: SeededRng::new(seed), link, now_ms: 0, sent: 0, flying: BinaryHeap::new(), cut: BTreeSet::new() }
    }

    /// Simulated time, milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The network's random source, for what else the run leaves to chance.
    pub fn rng(&self) -> &SeededRng {
        &self.rng
    }

    /// Changes what happens to messages sent from now on.
    pub fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Cuts the connection between two nodes, both ways; what is on its way is lost too.
    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    /// Mends the connection between two nodes.
    pub fn mend(&mut self, a: NodeId, b: NodeId) {
        self.cut.remove(&(a.min(b), a.max(b)));
    }

    /// Puts a message on its way.
    pub fn send(&mut self, from: NodeId, to: NodeId, message: M) {
        for delay_ms in self.link.copies(&self.rng) {
            let at_ms = self.now_ms + delay_ms;
            self.sent += 1;
            self.flying.push(Reverse(Flying { at_ms, number: self.sent, from, to, message: message.clone() }));
        }
    }

    /// Moves the time to the next arrival before `until_ms`; without one, to `until_ms`.
    pub fn next(&mut self, until_ms: u64) -> Option<Arrival<M>> {
        while self.flying.peek().is_some_and(|Reverse(next)| next.at_ms <= until_ms) {
            let Some(Reverse(next)) = self.flying.pop() else { break };
            self.now_ms = self.now_ms.max(next.at_ms);
            if !self.cut.contains(&(next.from.min(next.to), next.from.max(next.to))) {
                return Some(Arrival { at_ms: self.now_ms, from: next.from, to: next.to, message: next.message });
            }
        }
        self.now_ms = self.now_ms.max(until_ms);
        None
    }
}

impl<M> Drop for SimNetwork<M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulated network: repeat this run with MESH_SEED={}", self.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    fn arrivals(seed: u64, link: Link) -> Vec<u32> {
        let mut network = SimNetwork::new(seed, link);
        for message in 0..200 {
            network.send(0, 1, message);
        }
        std::iter::from_fn(|| network.next(10_000)).map(|arrival| arrival.message).collect()
    }

    #[test]
    fn good_link_keeps_everything_in_order() {
        assert_eq!(arrivals(seed(1), Link::GOOD), (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn bad_link_loses_doubles_and_reorders_the_same_way_for_one_seed() {
        let seed = seed(2);
        let got = arrivals(seed, Link::BAD);
        assert_eq!(got, arrivals(seed, Link::BAD));
        let distinct: BTreeSet<u32> = got.iter().copied().collect();
        assert!(distinct.len() < 200, "nothing was lost");
        assert!(got.len() > distinct.len(), "nothing was doubled");
        assert!(!got.is_sorted(), "nothing was overtaken");
    }

    #[test]
    fn cut_connection_carries_nothing_until_it_is_mended() {
        let mut network = SimNetwork::new(seed(3), Link::GOOD);
        network.send(0, 1, "lost");
        network.cut(1, 0);
        network.send(0, 2, "other way");
        assert_eq!(network.next(10).map(|arrival| arrival.message), Some("other way"));
        assert_eq!(network.next(10), None);
        network.mend(0, 1);
        network.send(0, 1, "again");
        assert_eq!(network.next(20).map(|arrival| (arrival.at_ms, arrival.message)), Some((11, "again")));
        assert_eq!((network.next(20), network.now_ms()), (None, 20));
    }
}
