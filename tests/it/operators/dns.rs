//! `meshd dns check` before a real DNS server, pebble's.

use super::{Running, free_port, meshd, name_server, text};
use crate::network::until;
use serde_json::json;
use std::path::PathBuf;

/// A name server that can be told what to say, and a domain that asks it. No server of the domain runs.
struct World {
    dns: u16,
    management: u16,
    data: PathBuf,
    _names: Running,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let made = meshd().args(["setup", "--domain", "home.mesh.test", "--data", text(&data)]).output().expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (dns, management) = (free_port(), free_port());
        let world = Self { dns, management, data, _names: name_server(dns, management), _folder: folder };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", world.dns)).await.is_ok();
        until("the name server listens", listens).await;
        until("it can be told what to say", async || world.say("clear-caa", json!({ "host": "nobody.test" })).await.is_ok()).await;
        world
    }

    /// Tells the name server something.
    async fn say(&self, what: &str, about: serde_json::Value) -> reqwest::Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://127.0.0.1:{}/{what}", self.management);
        client.post(url).body(about.to_string()).send().await?.error_for_status().map(drop)
    }

    async fn caa(&self, host: &str, policies: &[(&str, &str)]) {
        let policies: Vec<_> = policies.iter().map(|(tag, value)| json!({ "tag": tag, "value": value })).collect();
        self.say("clear-caa", json!({ "host": host })).await.expect("forgotten");
        self.say("add-caa", json!({ "host": host, "policies": policies })).await.expect("told");
    }

    /// What `meshd dns check` prints.
    fn check(&self) -> String {
        let server = format!("127.0.0.1:{}", self.dns);
        let said = meshd().args(["dns", "check", "--server", &server, "--data", text(&self.data)]).output().expect("runs");
        assert!(!said.status.success(), "nothing answers under that name");
        String::from_utf8(said.stdout).expect("text")
    }

    fn says(&self, expected: &str) {
        let said = self.check();
        assert!(said.lines().any(|line| line.starts_with(expected)), "{expected:?} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caa_records_that_forbid_the_authority_are_found_with_the_next_step() {
    let world = World::new().await;
    world.says("ok     home.mesh.test resolves to 127.0.0.1");
    world.says("ok     no CAA records");
    // Those of a name above count where the name has none of its own.
    world.caa("mesh.test", &[("issue", "other.example")]).await;
    world.says("wrong  the CAA records of mesh.test forbid letsencrypt.org");
    world.says("wrong  the CAA records of mesh.test forbid letsencrypt.org to make certificates, so this server will get none: add `home.mesh.test. CAA 0 issue \"letsencrypt.org\"`");
    world.caa("home.mesh.test", &[("issue", "letsencrypt.org")]).await;
    world.says("ok     the CAA records of home.mesh.test let letsencrypt.org make certificates");
    world.caa("home.mesh.test", &[("issue", "letsencrypt.org; validationmethods=dns-01")]).await;
    world.says("wrong  a CAA record of home.mesh.test allows letsencrypt.org, but not by tls-alpn-01");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_server_that_does_not_answer_is_said() {
    let world = World::new().await;
    let nobody = format!("127.0.0.1:{}", free_port());
    let said = meshd().args(["dns", "check", "--server", &nobody, "--data", text(&world.data)]).output().expect("runs");
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(said.starts_with("wrong  home.mesh.test does not resolve") && said.contains("meshd dns show"), "{said}");
}
