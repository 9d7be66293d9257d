//! What every command works with: the folder, the client, what was seen before.

use crate::cli::{Global, KeystoreChoice, Mode};
use crate::fault::Fault;
use crate::out::Out;
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::drafts::Drafts;
use mesh_client::home::Home;
use mesh_client::http::Http;
use mesh_client::identity::{Identity, Stage, StoreKind, StoredIdentity};
use mesh_client::keystore::Keystore;
use mesh_client::pins::PinBook;
use mesh_client::ports::{SystemClock, SystemRng};
use mesh_client::reader::Reader;
use mesh_client::reader::private::PrivateFile;
use mesh_client::session::Session;
use mesh_client::verify::Verifying;
use mesh_proto::address::{Address, Domain};
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::KeyId;
use mesh_proto::keylog::NewOp;
use mesh_proto::record::Record;
use mesh_proto::uri::{Person, Target};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// What every command works with.
pub(crate) struct Context {
    pub(crate) out: Out,
    pub(crate) mode: Mode,
    pub(crate) keystore: Keystore,
    pub(crate) http: Http,
    pub(crate) pins: PinBook,
    pub(crate) private: PrivateFile,
    pub(crate) drafts: Drafts,
    /// The folder was named: it is to hold everything, the key too.
    folder_is_given: bool,
}

/// What `--dry-run` prints as JSON.
#[derive(Serialize)]
struct Draft<'a> {
    dry_run: bool,
    to: String,
    payload_type: String,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<RecordId>,
}

impl Context {
    pub(crate) fn new(global: &Global, out: &Out) -> Result<Self> {
        let folder_is_given = global.home.is_some();
        let folder = match &global.home {
            Some(folder) => folder.clone(),
            None => data_folder()?,
        };
        Ok(Self {
            out: *out,
            mode: global.mode(),
            pins: PinBook::open(&folder)?,
            private: PrivateFile::new(&folder),
            drafts: Drafts::new(&folder),
            keystore: Keystore::new(folder),
            http: Http::new(Arc::new(SystemClock), Arc::new(SystemRng))?,
            folder_is_given,
        })
    }

    /// Makes proofs.
    pub(crate) fn verifying(&self) -> Verifying {
        // A damaged identity is told by the commands that need it.
        let own = self.stored().ok().flatten().map(|stored| stored.address.domain().clone());
        Verifying::new(self.http.clone(), self.pins.clone()).through(own)
    }

    pub(crate) fn home(&self, domain: &Domain) -> Home {
        Home::new(self.http.clone(), domain.clone())
    }

    /// Who one is here, if anybody.
    pub(crate) fn stored(&self) -> Result<Option<StoredIdentity>> {
        let stored = self.keystore.stored().map_err(mesh_client::ClientError::from)?;
        Ok(stored.filter(|stored| stored.stage.is_ready()))
    }

    /// Who one is here, with the key.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let missing = || Fault::new(ErrorKind::NotFound, "there is no identity here yet".to_owned(), "mesh init".to_owned());
        let identity = self.keystore.load().map_err(mesh_client::ClientError::from)?.ok_or_else(missing)?;
        let unfinished = |next: &str| {
            let message = format!("{} is not ready yet on this device", identity.stored.address);
            Fault::new(ErrorKind::Permission, message, next.to_owned())
        };
        match identity.stored.stage {
            Stage::Active | Stage::Moving(_) => Ok(identity),
            Stage::Registering { .. } => Err(unfinished(&format!("mesh init --address {}", identity.stored.address)).into()),
            Stage::Pairing => Err(unfinished(&format!("mesh init --pair --address {}", identity.stored.address)).into()),
        }
    }

    /// The session of the identity here.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(Session::new(&self.http, self.identity()?, self.pins.clone()))
    }

    /// Reads through one's own home, or without an identity through the home that the link names.
    pub(crate) fn reader(&self, target: &Target) -> Result<Reader> {
        let domain = match self.stored()? {
            Some(stored) => stored.address.domain().clone(),
            None => domain_of(target)
                .cloned()
                .ok_or_else(|| Fault::usage(format!("{target} does not say where to ask"), "add ?home=DOMAIN to the link".to_owned()))?,
        };
        Ok(Reader::new(self.home(&domain), self.pins.clone()))
    }

    /// Where a new key goes.
    pub(crate) fn choose_store(&self, choice: KeystoreChoice) -> StoreKind {
        match choice {
            KeystoreChoice::File => StoreKind::File,
            KeystoreChoice::Os => StoreKind::OsKeyring,
            KeystoreChoice::Auto if self.folder_is_given => StoreKind::File,
            KeystoreChoice::Auto => self.keystore.best_store(),
        }
    }

    /// Prints a record that is not sent to this path of its home.
    pub(crate) fn dry_run_record(&self, record: &Record, home: &Domain, path: &str) {
        let id = mesh_proto::envelope::id_of_pae(&record.pae());
        self.dry_run((record.kind(), Some(id)), &record.body(), &format!("{}{path}", home.base_url()));
    }

    /// Prints a key operation that is not sent.
    pub(crate) fn dry_run_key(&self, op: &NewOp, signer: KeyId, to: &str) {
        self.dry_run((Kind::Key, None), &op.body(signer), to);
    }

    fn dry_run(&self, what: (Kind, Option<RecordId>), body: &[u8], to: &str) {
        let (kind, id) = what;
        let body = String::from_utf8_lossy(body);
        let to = format!("POST {to}");
        if self.out.is_json() {
            self.out.json(&Draft { dry_run: true, to, payload_type: kind.payload_type(), body: &body, id });
        } else {
            self.out.talk(&format!("dry run: this would be signed as {} and sent with {to}", kind.payload_type()));
            self.out.data(&body);
        }
    }
}

/// `$XDG_DATA_HOME/mesh`, or what stands for it.
fn data_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else {
        // A relative path in this variable is to be ignored, says the XDG base directory specification.
        let given = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        given.or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    let missing = || Fault::usage("there is no home folder to keep the identity in".to_owned(), "name one: --home DIR".to_owned());
    Ok(base.ok_or_else(missing)?.join("mesh"))
}

/// The domain that a link names.
pub(crate) fn domain_of(target: &Target) -> Option<&Domain> {
    match target.person() {
        Person::Address(address) => Some(address.domain()),
        Person::Account { home, .. } => home.as_ref(),
    }
}

/// Reads a link as people give it: any form of link, or an address in any case.
pub(crate) fn target(text: &str) -> Result<Target> {
    let text = text.trim();
    match Target::parse(text) {
        Ok(target) => Ok(target),
        Err(error) => {
            let address = (!text.contains('/')).then(|| Address::from_human(text).ok()).flatten();
            address.map(|address| Target::Person(Person::Address(address))).ok_or_else(|| {
                let message = format!("{}: {error}", crate::safe::line(text));
                Fault::usage(message, "give a mesh:// link, a page, or an address such as neo@mesh.org".to_owned()).into()
            })
        }
    }
}
