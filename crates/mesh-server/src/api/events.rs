//! Server-sent events: one's feed and notifications as they happen.

use crate::App;
use crate::auth;
use crate::problem::Answer;
use axum::extract::{Request, State};
use axum::response::sse::{KeepAlive, Sse};
use futures_util::Stream;
use mesh_node::News;
use mesh_node::accounts::Account;
use mesh_proto::api::Event;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// One's feed and notifications as they happen.
#[utoipa::path(get, path = "/api/v1/events", responses((status = 200, body = Event, content_type = "text/event-stream"), (status = 401)))]
pub(crate) async fn stream(
    State(app): State<App>,
    request: Request,
) -> Answer<Sse<impl Stream<Item = Result<axum::response::sse::Event, Infallible>>>> {
    let (parts, _) = request.into_parts();
    let account = auth::device(&app, &parts).await?;
    let news = app.node.bus.listen();
    let stopping = app.stopping.clone();
    let listener = Listener { app, account, news };
    let events =
        futures_util::stream::unfold(listener, |mut listener| async move { listener.next().await.map(|event| (Ok(event), listener)) });
    let until_stop = futures_util::StreamExt::take_until(events, async move { stopping.cancelled().await });
    Ok(Sse::new(until_stop).keep_alive(KeepAlive::default()))
}

struct Listener {
    app: App,
    account: Arc<Account>,
    news: Receiver<News>,
}

impl Listener {
    /// The next event that concerns the account; `None` when there will be no more.
    async fn next(&mut self) -> Option<axum::response::sse::Event> {
        loop {
            let event = match self.news.recv().await {
                Ok(news) => self.event(&news).await,
                Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
                Err(RecvError::Closed) => return None,
            };
            if let Some(event) = event {
                return Some(to_wire(&event));
            }
        }
    }

    async fn event(&self, news: &News) -> Option<Event> {
        let node = &self.app.node;
        let told = match news {
            News::Timeline { author, lid, .. } => match node.feed.concerns(self.account.lid, *author) {
                Ok(true) => node.views.at(*lid).await.map(|view| Some(Event::Feed(Box::new(view)))),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            },
            News::Notice { .. } => {
                node.notices.of_news(self.account.lid, news).map(|notice| notice.map(|n| Event::Notification(Box::new(n))))
            }
            News::Withdrawn { .. } | News::Waiting { .. } => Ok(None),
        };
        told.unwrap_or_else(|error| {
            tracing::warn!(error.message = %error, "events.unreadable");
            None
        })
    }
}

/// The event's name is the variant's, its data the variant's content.
fn to_wire(event: &Event) -> axum::response::sse::Event {
    let (name, data) = match event {
        Event::Feed(view) => ("feed", serde_json::to_string(view)),
        Event::Notification(notice) => ("notification", serde_json::to_string(notice)),
        Event::Missed(count) => ("missed", serde_json::to_string(count)),
    };
    axum::response::sse::Event::default().event(name).data(data.unwrap_or_default())
}
