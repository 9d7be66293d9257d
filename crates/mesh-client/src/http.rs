//! The HTTP client: one for all requests, bounded in time and size, that follows no redirects.
//!
//! Local domains (`*.localhost`) are spoken to over plain HTTP on loopback, directly; all others over HTTPS only, through the proxy of the
//! environment if there is one.

#[cfg(not(target_arch = "wasm32"))]
mod native;
mod signer;

pub use signer::Signer;

use crate::error::{ClientError, Result};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_TIME_MAX, PROBLEM_BYTES_MAX};
use futures_util::StreamExt;
use mesh_proto::address::Domain;
use mesh_proto::api::{PROBLEM_PREFIX, Problem};
use mesh_proto::port::{Clock, Rng};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// The HTTP client with the clock and the random source that requests are signed with. Cloning is cheap.
#[derive(Clone)]
pub struct Http {
    local: reqwest::Client,
    public: reqwest::Client,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// One request: where to, and signed by whom.
#[derive(Clone, Copy)]
pub struct To<'a> {
    /// The server.
    pub domain: &'a Domain,
    /// Path and query, from `/`, percent-encoded.
    pub path: &'a str,
    /// Who signs the request, where it needs that.
    pub signer: Option<&'a Signer>,
    /// Longest wait for the answer.
    pub patience: Duration,
}

impl<'a> To<'a> {
    /// A request that nobody signs.
    pub fn new(domain: &'a Domain, path: &'a str) -> Self {
        Self { domain, path, signer: None, patience: ANSWER_TIME_MAX }
    }

    /// The same, signed.
    pub fn signed(self, signer: &'a Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// The same, to a server that may take longer.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl Http {
    /// A client on this clock and this random source.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self> {
        let (local, public) = native::clients().map_err(|error| ClientError::Input(format!("the HTTP client cannot start: {error}")))?;
        Ok(Self { local, public, clock, rng })
    }

    /// A client on this clock and this random source, over the browser's `fetch`.
    #[cfg(target_arch = "wasm32")]
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self> {
        let client = reqwest::Client::new();
        Ok(Self { local: client.clone(), public: client, clock, rng })
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        mesh_proto::port::random(&*self.rng)
    }

    /// `GET`, read as `T`.
    pub async fn get<T: DeserializeOwned>(&self, to: To<'_>) -> Result<T> {
        let response = self.send(Method::GET, to, None).await?;
        self.json(to.domain, response).await
    }

    /// `POST` of JSON, read as `T`.
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, to: To<'_>, body: &B) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Input(error.to_string()))?;
        let response = self.send(Method::POST, to, Some(body)).await?;
        self.json(to.domain, response).await
    }

    /// `DELETE`, read as `T`.
    pub async fn delete<T: DeserializeOwned>(&self, to: To<'_>) -> Result<T> {
        let response = self.send(Method::DELETE, to, None).await?;
        self.json(to.domain, response).await
    }

    /// `GET`, read as at most `bytes_max` bytes.
    pub async fn get_bytes(&self, to: To<'_>, bytes_max: usize) -> Result<Vec<u8>> {
        let response = self.send(Method::GET, to, None).await?;
        read(to.domain, response, bytes_max).await
    }

    /// `GET` of an event stream: the answer's head has come, its body has not. There is no limit on the time that it may take.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn get_stream(&self, to: To<'_>) -> Result<Response> {
        let request = self.request(Method::GET, to, None)?.header("accept", "text/event-stream");
        let response = check(to.domain, transmit(to.domain, request).await?).await?;
        let is_stream = content_type(&response).starts_with("text/event-stream");
        if is_stream { Ok(response) } else { Err(ClientError::malformed(to.domain, "expected an event stream")) }
    }

    /// `GET`, read as `T`, with the server's time from its `Date` header, milliseconds since the epoch.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn get_dated<T: DeserializeOwned>(&self, to: To<'_>) -> Result<(T, Option<u64>)> {
        let response = self.send(Method::GET, to, None).await?;
        let date = native::date_ms(response.headers());
        Ok((self.json(to.domain, response).await?, date))
    }

    async fn send(&self, method: Method, to: To<'_>, body: Option<Vec<u8>>) -> Result<Response> {
        let request = self.request(method, to, body)?;
        #[cfg(not(target_arch = "wasm32"))]
        let request = request.timeout(to.patience);
        check(to.domain, transmit(to.domain, request).await?).await
    }

    fn request(&self, method: Method, to: To<'_>, body: Option<Vec<u8>>) -> Result<RequestBuilder> {
        let target = format!("{}{}", to.domain.base_url(), to.path);
        let client = if to.domain.is_local() { &self.local } else { &self.public };
        let mut request = client.request(method.clone(), &target);
        if let Some(signer) = to.signer {
            let headers = signer.headers(self, (method.as_str(), &target), body.as_deref().unwrap_or_default())?;
            for (name, value) in headers {
                request = request.header(name, value);
            }
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        Ok(request)
    }

    async fn json<T: DeserializeOwned>(&self, domain: &Domain, response: Response) -> Result<T> {
        let bytes = read(domain, response, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::malformed(domain, error))
    }
}

async fn transmit(domain: &Domain, request: RequestBuilder) -> Result<Response> {
    request.send().await.map_err(|source| ClientError::Network { domain: domain.clone(), source: source.without_url() })
}

fn content_type(response: &Response) -> &str {
    response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Turns every answer but success into an error.
async fn check(domain: &Domain, response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() {
        return Err(ClientError::malformed(domain, format!("a redirect ({status}), which is never followed")));
    }
    let is_problem = content_type(&response).starts_with("application/problem+json");
    let body = read(domain, response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let parsed = if is_problem { serde_json::from_slice(&body).ok() } else { None };
    let problem = parsed.unwrap_or_else(|| bare_problem(status));
    Err(ClientError::Remote { domain: domain.clone(), problem: Box::new(Problem { status: status.as_u16(), ..problem }) })
}

/// What an error without a problem document is taken for: a proxy's, or a server that is not MESH.
fn bare_problem(status: StatusCode) -> Problem {
    let code = match status.as_u16() {
        404 => "no_endpoint",
        _ => "http",
    };
    Problem {
        problem_type: format!("{PROBLEM_PREFIX}{code}"),
        title: "HTTP error".to_owned(),
        status: status.as_u16(),
        detail: format!("{status}, without saying why"),
        keys_wanted: Vec::new(),
        checkpoint_wanted: None,
    }
}

async fn read(domain: &Domain, response: Response, bytes_max: usize) -> Result<Vec<u8>> {
    let too_large = || ClientError::malformed(domain, format!("it is larger than {bytes_max} bytes"));
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let broken = |source: reqwest::Error| ClientError::Network { domain: domain.clone(), source: source.without_url() };
    let mut body = Vec::new();
    let mut stream = std::pin::pin!(response.bytes_stream());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(broken)?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3, for one value of a query.
pub fn encode_query(value: &str) -> String {
    const UNRESERVED_MARKS: &[u8] = b"-._~";
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || UNRESERVED_MARKS.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_percent_encoded() {
        assert_eq!(encode_query("mesh://a@b:1/x?home=c d"), "mesh%3A%2F%2Fa%40b%3A1%2Fx%3Fhome%3Dc%20d");
        assert_eq!(encode_query("ü~-_."), "%C3%BC~-_.");
    }
}
