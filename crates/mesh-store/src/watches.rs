//! One change signal per space, shared by the engines.

use tokio::sync::watch;

use crate::space::Space;

/// The senders behind `Kv::watch`. A receiver sees the sequence of the newest commit that touched its space.
#[derive(Debug)]
pub(crate) struct Watches {
    /// Indexed by the number of the space.
    senders: Vec<watch::Sender<u64>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self { senders: (0..slots()).map(|_| watch::Sender::new(0)).collect() }
    }
}

/// How many slots an array needs that is indexed by a space's number.
pub(crate) fn slots() -> usize {
    Space::ALL.iter().map(|space| *space as usize + 1).max().unwrap_or(0)
}

impl Watches {
    pub(crate) fn watch(&self, space: Space) -> watch::Receiver<u64> {
        self.senders[space as usize].subscribe()
    }

    pub(crate) fn touch(&self, space: Space, sequence: u64) {
        let sender = &self.senders[space as usize];
        if sender.receiver_count() == 0 {
            return;
        }
        sender.send_if_modified(|last| {
            let newer = sequence > *last;
            *last = sequence.max(*last);
            newer
        });
    }
}
