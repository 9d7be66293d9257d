//! HTTPS: certificates from files, read anew when they change, or got and renewed by ACME (RFC 8555) with the challenge TLS-ALPN-01 (RFC 8737), which
//! needs nothing but the port that is served anyway.

mod files;

use crate::config::{Folder, TlsMode};
use anyhow::Context;
use files::Files;
use futures_util::StreamExt;
use rustls_acme::caches::DirCache;
use rustls_acme::{AcmeConfig, is_tls_alpn_challenge};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// The folder of the ACME account and the certificate in the data folder.
const ACME_FOLDER: &str = "acme";
/// What is offered to clients, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How connections are encrypted.
#[derive(Clone)]
pub(crate) struct Tls {
    serving: Arc<ServerConfig>,
    /// For the certificate authority, when it looks whether the domain is ours.
    challenge: Option<Arc<ServerConfig>>,
}

impl Tls {
    /// What the configuration says, if it says anything. Whatever looks after certificates runs among `tasks`.
    pub(crate) fn open(folder: &Folder, tasks: &mut JoinSet<()>) -> anyhow::Result<Option<Self>> {
        match &folder.config.tls {
            TlsMode::Off => Ok(None),
            TlsMode::Files { certificate, key } => {
                let files = Arc::new(Files::open(&folder.root.join(certificate), &folder.root.join(key))?);
                let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(&files) as _);
                tasks.spawn(files.watch());
                Ok(Some(Self { serving: offering(config), challenge: None }))
            }
            TlsMode::Acme { contact, directory, roots } => {
                let roots = roots.as_ref().map(|roots| folder.root.join(roots));
                Self::acme(folder, (contact, directory.as_deref(), roots.as_deref()), tasks).map(Some)
            }
        }
    }

    fn acme(
        folder: &Folder,
        (contact, directory, roots): (&[String], Option<&str>, Option<&Path>),
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let mut config = AcmeConfig::new([folder.config.domain.host()])
            .contact(contact.iter().map(|address| format!("mailto:{address}")))
            .cache(DirCache::new(folder.root.join(ACME_FOLDER)))
            .directory_lets_encrypt(true);
        if let Some(directory) = directory {
            config = config.directory(directory);
        }
        if let Some(roots) = roots {
            config = config.client_tls_config(Arc::new(trusting(roots)?));
        }
        let mut state = config.state();
        let tls = Self {
            serving: offering(ServerConfig::clone(&state.default_rustls_config())),
            challenge: Some(state.challenge_rustls_config()),
        };
        tasks.spawn(async move {
            while let Some(event) = state.next().await {
                match event {
                    Ok(event) => tracing::info!(acme.event = ?event, "tls.acme"),
                    Err(error) => tracing::error!(error.message = %error, "tls.acme_failed"),
                }
            }
        });
        Ok(tls)
    }

    /// Encrypts a connection; `None`: it was the certificate authority's, and is done.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        let begun = LazyConfigAcceptor::new(Default::default(), tcp).await?;
        match self.challenge.as_ref().filter(|_| is_tls_alpn_challenge(&begun.client_hello())) {
            Some(challenge) => {
                tracing::info!("tls.acme_challenge");
                begun.into_stream(Arc::clone(challenge)).await?.shutdown().await?;
                Ok(None)
            }
            None => Ok(Some(begun.into_stream(Arc::clone(&self.serving)).await?)),
        }
    }
}

fn offering(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Arc::new(config)
}

/// A client that trusts the authorities in a file, for an ACME directory of one's own.
fn trusting(file: &Path) -> anyhow::Result<ClientConfig> {
    let unreadable = || format!("cannot read the certificates in {}", file.display());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(file).with_context(unreadable)? {
        roots.add(root.with_context(unreadable)?).with_context(unreadable)?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
