//! News: what was just made durable, told to those who follow along and to the caches that must not lag behind.

use crate::heads::Heads;
use crate::index::News;
use crate::objects::Objects;
use crate::queue::Waiting;
use crate::tables::PeerNo;
use std::sync::Arc;
use tokio::sync::broadcast;

/// News that a slow listener may lag behind before it misses some.
const NEWS_KEPT: usize = 4_096;

/// Where news goes.
pub struct Bus {
    sender: broadcast::Sender<News>,
    heads: Arc<Heads>,
    objects: Arc<Objects>,
    /// Where the outbox looks.
    pub(crate) waiting: Arc<Waiting>,
}

impl Bus {
    pub(crate) fn new(heads: Arc<Heads>, objects: Arc<Objects>) -> Self {
        Self { sender: broadcast::Sender::new(NEWS_KEPT), heads, objects, waiting: Arc::default() }
    }

    /// Tells what is now durable.
    pub(crate) fn publish(&self, news: &[News]) {
        for one in news {
            match one {
                News::Timeline { author, received, lid } => self.heads.advance(*author, (*received, *lid)),
                News::Withdrawn { author, id } => {
                    self.heads.forget(*author);
                    self.objects.forget(id);
                }
                News::Notice { .. } => {}
                News::Waiting { peer } => {
                    self.waiting.note(*peer);
                    continue;
                }
            }
            // Nobody listening is fine.
            let _ = self.sender.send(*one);
        }
    }

    /// Wakes the lane of a domain for which something was queued, if any was.
    pub fn waiting_for(&self, peer: Option<PeerNo>) {
        if let Some(peer) = peer {
            self.waiting.note(peer);
        }
    }

    /// All news from now on.
    pub fn listen(&self) -> broadcast::Receiver<News> {
        self.sender.subscribe()
    }
}
