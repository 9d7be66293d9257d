//! What `/metrics` tells to Prometheus (OpenMetrics text): how requests fare, and how the domain is. Never who asked, nor for what.

use crate::App;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use mesh_node::{Health, Node};
use prometheus_client::encoding::text::{encode, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Instant;

/// Upper bounds of the classes of durations, seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Who a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Face {
    Api,
    Federation,
    Log,
    Pages,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    face: Face,
    /// The first digit of the status.
    class: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    face: Face,
}

/// What is counted while the server runs.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Of, Counter>,
    seconds: Family<By, Histogram, fn() -> Histogram>,
    under_way: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (requests, under_way) = (Family::<Of, Counter>::default(), Gauge::default());
        let seconds = Family::<By, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let mut registry = Registry::with_prefix("mesh");
        registry.register("http_requests", "Requests answered, by face and class of status", requests.clone());
        registry.register_with_unit("http_request_duration", "Until the head of the answer", Unit::Seconds, seconds.clone());
        registry.register("http_requests_under_way", "Requests of which the head of the answer is not sent", under_way.clone());
        Self { registry, requests, seconds, under_way }
    }

    /// All that is known, as text.
    pub(crate) fn text(&self, node: &Node) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &now(node))?;
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// How the domain is now.
fn now(node: &Node) -> Registry {
    let kept = node.kv().status();
    let waiting = node.peers.met().iter().filter(|peer| node.outbox.waiting(peer.no(), 1).is_ok_and(|waiting| waiting > 0)).count();
    let failing = node.peers.met().iter().filter(|peer| node.outbox.failing_since(peer.no()).is_some()).count();
    let mut registry = Registry::with_prefix("mesh");
    let mut gauge = |name: &str, help: &str, value: u64| registry.register(name, help, ConstGauge::new(value as i64));
    gauge("store_writable", "1 while the store takes writes", u64::from(kept.health == Health::Ok));
    gauge("store_bytes", "Bytes of the store on disk", kept.data_bytes);
    gauge("journal_bytes", "Bytes of its journal", kept.journal_bytes);
    gauge("log_leaves", "Leaves of the home log", node.log.size());
    gauge("domains", "Other domains that it has met", node.peers.met().len() as u64);
    gauge("domains_waiting", "Other domains for which something waits", waiting as u64);
    gauge("domains_failing", "Other domains to which deliveries fail", failing as u64);
    gauge("domains_forked", "Logs of other domains that showed two histories", node.peers.forked().len() as u64);
    registry
}

/// Counts a request.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let face = match path {
        _ if path.starts_with("/api/") || path.starts_with("/.well-known/") => Face::Api,
        _ if path.starts_with("/mesh/") => Face::Federation,
        _ if path.starts_with("/log/") => Face::Log,
        _ => Face::Pages,
    };
    let (metrics, begun) = (&app.metrics, Instant::now());
    metrics.under_way.inc();
    let response = next.run(request).await;
    metrics.under_way.dec();
    metrics.requests.get_or_create(&Of { face, class: response.status().as_u16() / 100 }).inc();
    metrics.seconds.get_or_create(&By { face }).observe(begun.elapsed().as_secs_f64());
    response
}
