//! A certificate in two files that somebody else renews.

use anyhow::Context;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The files, and what was last read of them.
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    read: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Files {
    pub(super) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let read = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), read })
    }

    /// Reads the files anew whenever they change, for ever. While they do not fit together, what was read before goes on.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = self.changed();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.changed();
            if now == seen {
                continue;
            }
            seen = now;
            match read(&self.certificate, &self.key) {
                Ok(fresh) => {
                    *self.read.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                    tracing::info!("tls.read_again");
                }
                Err(error) => tracing::error!(error.message = format!("{error:#}"), "tls.unreadable"),
            }
        }
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.read.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let unreadable = |path: &Path| format!("cannot read {} as PEM", path.display());
    let chain = CertificateDer::pem_file_iter(certificate).with_context(|| unreadable(certificate))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().with_context(|| unreadable(certificate))?;
    anyhow::ensure!(!chain.is_empty(), "there is no certificate in {}", certificate.display());
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| unreadable(key))?;
    let read = CertifiedKey::new(chain, any_supported_type(&secret).context("the key is of a kind that is not known")?);
    read.keys_match().with_context(|| format!("{} is not the key of the certificate in {}", key.display(), certificate.display()))?;
    Ok(read)
}
