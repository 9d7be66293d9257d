//! What the operator decides: `mesh.toml` in the data folder, over it `MESHD_…` from the environment; and the domain's secret keys beside it.

pub(crate) mod stamp;

use anyhow::{Context, bail};
use mesh_node::buckets::Rates;
use mesh_node::registration::RegistrationRules;
use mesh_proto::address::Domain;
use mesh_proto::api::RegistrationMode;
use mesh_proto::bytes::{array_from_base64url, base64url};
use mesh_proto::key::SecretKey;
use mesh_proto::port::{Rng, random};
use mesh_store::{Capture, FjallStore, Kv};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use stamp::{FORMAT, State, state};

/// Names of the files in the data folder.
pub(crate) const CONFIG_FILE: &str = "mesh.toml";
pub(crate) const KEYS_FILE: &str = "keys.toml";
pub(crate) const STORE_FOLDER: &str = "store";
/// The search index in a data folder: made from the store, and made anew if it is missing.
pub(crate) const SEARCH_FOLDER: &str = "search";

/// `mesh.toml`. Everything but the domain has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The domain that this server is.
    pub domain: Domain,
    /// Addresses to listen on. A domain under `localhost` listens on loopback only, on the port in its name.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// HTTPS: `off` (a proxy does it), certificates from `files`, or got by `acme`.
    #[serde(default)]
    pub tls: TlsMode,
    /// Addresses to listen on without TLS, only to send people who come by `http://` to `https://`.
    #[serde(default)]
    pub redirect: Vec<SocketAddr>,
    /// Who may register: `open`, `invite`, `proof-of-work` or `closed`.
    #[serde(default = "open")]
    pub registration: RegistrationMode,
    /// With `proof-of-work`: leading zero bits that a client must find; 20 take about a second.
    #[serde(default = "pow_bits")]
    pub pow_bits: u8,
    /// Megabytes of other domains' posts and comments kept on disk; 0 keeps none.
    #[serde(default = "cache_mb")]
    pub cache_mb: u64,
    /// People of other domains of whose posts a copy is kept here, so that they survive their home; 0 keeps none.
    #[serde(default)]
    pub mirrors_max: u32,
    /// Megabytes of memory for the store.
    #[serde(default = "store_memory_mb")]
    pub store_memory_mb: u64,
    /// How people reach the operator: an address beginning with `mailto:`, `https://` or `tel:`. It stands on the page about the domain and in `security.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What strangers may ask for.
    #[serde(default)]
    pub limits: Limits,
}

/// How connections are encrypted. Paths count from the data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum TlsMode {
    /// Not here: domains under `localhost` need none, and others have a proxy in front.
    #[default]
    Off,
    /// By a certificate that somebody else renews; it is read again when the files change.
    Files {
        /// The chain, PEM, the domain's own certificate first.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
    /// By a certificate that the server gets and renews itself.
    Acme {
        /// E-mail addresses to which the authority may write; may be empty.
        #[serde(default)]
        contact: Vec<String>,
        /// The authority's directory; Let's Encrypt's if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// Certificates, PEM, by which a directory of one's own is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roots: Option<PathBuf>,
    },
}

/// What strangers may ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: u32,
    /// Writes per second from one address block, with a burst of ten times as many.
    pub writes_per_second: NonZeroU32,
    /// Records per second from one domain, with a burst of ten times as many.
    pub deliveries_per_second: NonZeroU32,
    /// Seconds that a client may take to send a request's head, and be silent between requests.
    pub head_seconds_max: NonZeroU32,
    /// Seconds that a client may take to send a body, and leave an answer unread.
    pub body_seconds_max: NonZeroU32,
}

impl Limits {
    pub(crate) fn head_wait(&self) -> Duration {
        Duration::from_secs(u64::from(self.head_seconds_max.get()))
    }

    pub(crate) fn body_wait(&self) -> Duration {
        Duration::from_secs(u64::from(self.body_seconds_max.get()))
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rates = Rates::default();
        let seconds = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            connections_max: 4_096,
            writes_per_second: rates.writes,
            deliveries_per_second: rates.deliveries,
            head_seconds_max: seconds(10),
            body_seconds_max: seconds(30),
        }
    }
}

fn open() -> RegistrationMode {
    RegistrationMode::Open
}

fn pow_bits() -> u8 {
    20
}

fn cache_mb() -> u64 {
    256
}

fn store_memory_mb() -> u64 {
    64
}

/// The keys of a domain, in a file that only its owner reads.
#[derive(Serialize, Deserialize)]
struct KeysFile {
    request_seed: String,
    log_seed: String,
}

/// A data folder, read and checked.
pub struct Folder {
    /// The folder itself.
    pub root: PathBuf,
    /// The operator's decisions.
    pub config: Config,
    /// Signs requests.
    pub request_key: SecretKey,
    /// Signs checkpoints.
    pub log_key: SecretKey,
    /// Where the store is.
    pub store: PathBuf,
}

impl Folder {
    /// Opens the store. Blocks.
    pub fn open_store(&self) -> anyhow::Result<Arc<dyn Kv>> {
        let settings = mesh_store::Config { cache_bytes: self.config.store_memory_mb * 1024 * 1024, ..mesh_store::Config::default() };
        Ok(Arc::new(FjallStore::open(&self.store, settings)?))
    }

    /// The files of the store while no server runs, which cannot start meanwhile.
    pub(crate) fn capture_store(&self) -> anyhow::Result<Capture> {
        Ok(mesh_store::fjall::capture_stopped(&self.store)?)
    }
}

impl Config {
    /// The defaults for a domain.
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            listen: Vec::new(),
            tls: TlsMode::Off,
            redirect: Vec::new(),
            registration: open(),
            pow_bits: pow_bits(),
            cache_mb: cache_mb(),
            mirrors_max: 0,
            store_memory_mb: store_memory_mb(),
            contact: None,
            limits: Limits::default(),
        }
    }

    /// Where to listen.
    pub fn listen(&self) -> Vec<SocketAddr> {
        match (&self.listen[..], self.domain.port()) {
            ([], Some(port)) => vec![(Ipv4Addr::LOCALHOST, port).into()],
            ([], None) if self.tls != TlsMode::Off => vec![(Ipv6Addr::UNSPECIFIED, 443).into()],
            ([], None) => vec![(Ipv4Addr::LOCALHOST, if self.domain.is_local() { 80 } else { 8080 }).into()],
            (listen, _) => listen.to_vec(),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.domain.is_local()
            && let Some(open) = self.listen().iter().find(|address| !address.ip().is_loopback())
        {
            bail!(
                "{} is a domain under localhost, so it may listen on loopback only, not on {open}: change `listen` in {CONFIG_FILE}",
                self.domain
            );
        }
        if self.domain.is_local() && (self.tls != TlsMode::Off || !self.redirect.is_empty()) {
            bail!(
                "{} is a domain under localhost, which is spoken to without TLS: take `tls` and `redirect` out of {CONFIG_FILE}",
                self.domain
            );
        }
        let reaches = |contact: &str| {
            ["mailto:", "https://", "tel:"].iter().any(|start| contact.starts_with(start)) && !contact.contains(char::is_control)
        };
        if self.contact.as_deref().is_some_and(|contact| !reaches(contact)) {
            bail!("contact begins with mailto:, https:// or tel:, such as mailto:postmaster@{}", self.domain);
        }
        if self.pow_bits > mesh_proto::limits::POW_BITS_MAX {
            bail!("pow_bits is at most {}", mesh_proto::limits::POW_BITS_MAX);
        }
        Ok(())
    }

    /// Who may register, for the node.
    pub fn rules(&self) -> RegistrationRules {
        RegistrationRules { mode: self.registration, pow_bits: self.pow_bits }
    }

    /// How fast strangers may go, for the node.
    pub fn rates(&self) -> Rates {
        Rates { writes: self.limits.writes_per_second, deliveries: self.limits.deliveries_per_second }
    }
}

/// Makes a data folder for a domain: configuration and keys. An existing one is left as it is.
pub fn set_up(folder: &Path, config: &Config, rng: &dyn Rng) -> anyhow::Result<()> {
    config.check()?;
    state(folder)?;
    make_private(folder)?;
    let keys_path = folder.join(KEYS_FILE);
    if keys_path.exists() {
        bail!("{} holds a domain already: start it with `meshd serve --data {}`", folder.display(), folder.display());
    }
    let keys = KeysFile { request_seed: base64url(&random::<32>(rng)), log_seed: base64url(&random::<32>(rng)) };
    let header = "# The secret keys of this domain. Whoever has them is this domain: keep a copy where only you can reach it.\n";
    write_private(&keys_path, &format!("{header}{}", toml::to_string(&keys)?))?;
    let header = "# A MESH domain. Every setting is explained in docs/run-a-domain.md; MESHD_REGISTRATION and the like override it.\n";
    std::fs::write(folder.join(CONFIG_FILE), format!("{header}{}", toml::to_string(config)?)).context("cannot write the configuration")?;
    stamp::write(folder, FORMAT)
}

/// Makes a folder that only its owner can look into; one that is there is left as it is.
pub(crate) fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// Reads a data folder that can be used.
pub fn read(folder: &Path) -> anyhow::Result<Folder> {
    let state = state(folder)?;
    let read = load(folder)?;
    match state {
        State::Current => Ok(read),
        State::Older(found) => bail!(
            "{} has format {found}, this program has format {FORMAT}: run `meshd upgrade --data {0}`, which makes a backup first",
            folder.display()
        ),
    }
}

/// Reads configuration and keys of a data folder, whatever its format.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Folder> {
    let text = read_own(folder, CONFIG_FILE)?;
    let mut config: Config = toml::from_str(&text).with_context(|| format!("{CONFIG_FILE} is not as it should be"))?;
    apply_environment(&mut config)?;
    config.check()?;
    let keys_path = folder.join(KEYS_FILE);
    check_private(&keys_path)?;
    let keys: KeysFile = toml::from_str(&read_own(folder, KEYS_FILE)?).context("keys.toml is damaged")?;
    let key = |text: &str| array_from_base64url::<32>(text, "key seed").map(|seed| SecretKey::from_seed(&seed));
    let (request_key, log_key) = (key(&keys.request_seed)?, key(&keys.log_seed)?);
    Ok(Folder { root: folder.to_owned(), config, request_key, log_key, store: folder.join(STORE_FOLDER) })
}

/// Reads a file without which a folder holds no domain.
fn read_own(folder: &Path, name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(folder.join(name)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::Error::new(error)
            .context(format!("{} is not the data folder of a domain: make one with `meshd setup --data {0} --domain …`", folder.display())),
        _ => anyhow::Error::new(error).context(format!("cannot read {name} in {}", folder.display())),
    })
}

fn check_private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} can be read by others: run `chmod 600 {}`", path.display(), path.display());
    }
    Ok(())
}

fn apply_environment(config: &mut Config) -> anyhow::Result<()> {
    if let Ok(mode) = std::env::var("MESHD_REGISTRATION") {
        config.registration =
            serde_json::from_value(mode.into()).context("MESHD_REGISTRATION must be open, invite, proof-of-work or closed")?;
    }
    if let Ok(bits) = std::env::var("MESHD_POW_BITS") {
        config.pow_bits = bits.parse().context("MESHD_POW_BITS must be a number")?;
    }
    if let Ok(megabytes) = std::env::var("MESHD_CACHE_MB") {
        config.cache_mb = megabytes.parse().context("MESHD_CACHE_MB must be a number")?;
    }
    if let Ok(accounts) = std::env::var("MESHD_MIRRORS_MAX") {
        config.mirrors_max = accounts.parse().context("MESHD_MIRRORS_MAX must be a number")?;
    }
    if let Ok(megabytes) = std::env::var("MESHD_STORE_MEMORY_MB") {
        config.store_memory_mb = megabytes.parse().context("MESHD_STORE_MEMORY_MB must be a number")?;
    }
    Ok(())
}
