//! The feed as it grows: an event stream that heals itself.
//!
//! When the connection breaks, or the server says that it dropped something, the feed is read again and what was not seen is handed over
//! first; then the stream goes on. Nothing is handed over twice among the last [`SEEN_MAX`] items.

use crate::error::{ClientError, Result};
use crate::home::Page;
use crate::http::Signer;
use crate::limits::SEEN_MAX;
use crate::reader::{Reader, Shown};
use crate::sse::{Parser, event};
use mesh_proto::api::{Event, Notification};
use mesh_proto::envelope::RecordId;
use mesh_proto::limits::PAGE_MAX;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The first wait before a new connection; doubled up to [`WAIT_MAX`], and jittered.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a follower is told.
#[derive(Debug)]
pub enum News {
    /// A new item of the feed, verified.
    Item(Box<Shown>),
    /// Something happened to one's own things.
    Notification(Box<Notification>),
    /// The connection broke; the next try is after this time.
    Broken {
        /// Why.
        error: ClientError,
        /// How long it waits.
        wait: Duration,
    },
}

/// Follows a feed.
pub struct Follow {
    reader: Reader,
    signer: Signer,
    stream: Option<(reqwest::Response, Parser)>,
    ready: VecDeque<News>,
    seen: BTreeSet<RecordId>,
    seen_order: VecDeque<RecordId>,
    /// The last wait before its jitter; none while all is well.
    wait: Option<Duration>,
    /// How long to wait before the next connection.
    pause: Duration,
}

impl Follow {
    /// Follows the signer's feed. `shown`: the items that are known already.
    pub fn new(reader: Reader, signer: Signer, shown: &[Shown]) -> Self {
        let mut follow = Self {
            reader,
            signer,
            stream: None,
            ready: VecDeque::new(),
            seen: BTreeSet::new(),
            seen_order: VecDeque::new(),
            wait: None,
            pause: Duration::ZERO,
        };
        for item in shown {
            follow.see(item.view.card.id);
        }
        follow
    }

    /// Waits for the next news; for ever, if need be.
    ///
    /// # Errors
    /// Those that no waiting mends: the device was revoked, the account closed.
    pub async fn next(&mut self) -> Result<News> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Ok(news);
            }
            if let Err(error) = self.advance().await {
                self.stream = None;
                if !is_mended_by_waiting(&error) {
                    return Err(error);
                }
                let wait = self.next_wait();
                self.ready.push_back(News::Broken { error, wait });
            }
        }
    }

    /// Connects if need be, and reads the next piece of the stream.
    async fn advance(&mut self) -> Result<()> {
        let domain = self.reader.home().domain().clone();
        let Some((response, parser)) = &mut self.stream else {
            return self.connect().await;
        };
        let broken = |source: reqwest::Error| ClientError::Network { domain: domain.clone(), source: source.without_url() };
        let Some(bytes) = response.chunk().await.map_err(broken)? else {
            return Err(ClientError::malformed(&domain, "the event stream ended"));
        };
        let messages = parser.push(&bytes).map_err(|error| ClientError::malformed(&domain, error))?;
        self.wait = None;
        for event in messages.iter().filter_map(event) {
            match event {
                Event::Feed(view) => {
                    let shown = self.reader.show_one(*view).await;
                    self.hand_over(shown);
                }
                Event::Notification(notification) => self.ready.push_back(News::Notification(notification)),
                Event::Missed(_) => self.fill().await?,
            }
        }
        Ok(())
    }

    /// Opens the stream, then fills the gap: in this order nothing falls between.
    async fn connect(&mut self) -> Result<()> {
        crate::pause(std::mem::take(&mut self.pause)).await;
        let response = self.reader.home().events(&self.signer).await?;
        self.stream = Some((response, Parser::default()));
        self.fill().await
    }

    /// Reads the newest page of the feed and hands over what was not seen, oldest first.
    async fn fill(&mut self) -> Result<()> {
        let page = self.reader.feed(&self.signer, &Page::first(PAGE_MAX)).await?;
        for shown in page.items.into_iter().rev() {
            self.hand_over(shown);
        }
        Ok(())
    }

    fn hand_over(&mut self, shown: Shown) {
        if self.see(shown.view.card.id) {
            self.ready.push_back(News::Item(Box::new(shown)));
        }
    }

    /// Remembers an item; whether it was new.
    fn see(&mut self, id: RecordId) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        self.seen_order.push_back(id);
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    /// Full jitter between half and whole of a wait that doubles.
    fn next_wait(&mut self) -> Duration {
        let wait = self.wait.map_or(WAIT_MIN, |wait| (wait * 2).min(WAIT_MAX));
        self.wait = Some(wait);
        let [byte] = self.reader.home().http().random::<1>();
        self.pause = wait / 2 + wait / 2 * u32::from(byte) / 255;
        self.pause
    }
}

fn is_mended_by_waiting(error: &ClientError) -> bool {
    use crate::error::ErrorKind;
    matches!(error.kind(), ErrorKind::Network | ErrorKind::Failed)
}
