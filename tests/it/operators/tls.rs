//! HTTPS with the real `meshd`: a certificate from files, and one that it gets from Debian's ACME server, pebble.

use super::{Running, free_port, meshd, name_server, text};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::network::until;

/// A name that leads nowhere: who speaks to it is told the address.
const NAME: &str = "mesh.test";

/// Makes an authority and a certificate by it for a name.
fn certificate(folder: &Path, name: &str) -> PathBuf {
    let path = |file: &str| folder.join(file);
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl").args(arguments).output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let (roots, root_key) = (path("roots.pem"), path("root-key.pem"));
    let own = ["req", "-x509", "-subj", "/CN=test authority", "-keyout", text(&root_key), "-out", text(&roots)];
    openssl(&[&own[..], &key[..]].concat());
    let extension = format!("subjectAltName=DNS:{name}");
    let leaf = ["req", "-x509", "-CA", text(&roots), "-CAkey", text(&root_key), "-subj", "/CN=server", "-addext", &extension];
    let (cert, leaf_key) = (path("cert.pem"), path("key.pem"));
    let constraints = ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", text(&leaf_key), "-out", text(&cert)];
    openssl(&[&leaf[..], &constraints[..], &key[..]].concat());
    roots
}

/// A domain behind TLS on a free port, not started.
struct Domain {
    data: PathBuf,
    port: u16,
}

impl Domain {
    fn set_up(folder: &Path, tls: &str) -> Self {
        let (data, port) = (folder.join("data"), free_port());
        let made = meshd().args(["setup", "--domain", NAME, "--data", text(&data)]).output().expect("runs");
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success() && said.contains("CAA") && said.contains("dns check"), "{said}");
        let config = std::fs::read_to_string(data.join("mesh.toml")).expect("a configuration");
        assert!(config.contains("acme"), "a public domain gets its own certificate: {config}");
        let kept = config
            .lines()
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.starts_with("listen") && !line.starts_with("redirect"));
        let config = kept.collect::<Vec<_>>().join("\n");
        let config = format!("{config}\nlisten = [\"127.0.0.1:{port}\"]\ntls = {tls}\n");
        std::fs::write(data.join("mesh.toml"), config).expect("written");
        Self { data, port }
    }

    fn serve(&self) -> Running {
        let mut child = meshd().args(["serve", "--data", text(&self.data)]).stderr(Stdio::piped()).spawn().expect("runs");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let running = Running(child);
        let mut said = Vec::new();
        let mut lines = lines.map_while(Result::ok);
        while let Some(line) = lines.next() {
            let ready = line.contains("server.ready");
            said.push(line);
            if ready {
                // What it says later must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return running;
            }
        }
        panic!("it ended before it was ready: {said:?}");
    }

    /// Someone who trusts the authorities in a file.
    fn client(&self, roots: &[u8]) -> reqwest::Client {
        let roots = reqwest::Certificate::from_pem_bundle(roots).expect("certificates");
        let client = reqwest::Client::builder().no_proxy().resolve(NAME, SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        client.tls_certs_only(roots).timeout(Duration::from_secs(5)).build().expect("a client")
    }

    async fn ready(&self, client: &reqwest::Client) -> bool {
        let answer = client.get(format!("https://{NAME}:{}/readyz", self.port)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_from_files_is_served_and_read_again_when_it_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = certificate(folder.path(), NAME);
    let files = format!("{{ mode = \"files\", certificate = \"{0}/cert.pem\", key = \"{0}/key.pem\" }}", text(folder.path()));
    let domain = Domain::set_up(folder.path(), &files);
    let _server = domain.serve();
    let before = std::fs::read(&roots).expect("read");
    let client = domain.client(&before);
    assert!(domain.ready(&client).await);
    let answer = client.get(format!("https://{NAME}:{}/", domain.port)).send().await.expect("answers");
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    // Nobody is served without TLS.
    let plain = reqwest::Client::builder().no_proxy().build().expect("a client");
    assert!(plain.get(format!("http://127.0.0.1:{}/readyz", domain.port)).send().await.is_err());
    certificate(folder.path(), NAME);
    let after = std::fs::read(&roots).expect("read");
    let fresh = domain.client(&after);
    until("the new certificate is served", async || domain.ready(&fresh).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_got_from_an_acme_server() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "localhost");
    let (directory, management, dns, http) = (free_port(), free_port(), free_port(), free_port());
    let tls = format!(
        "{{ mode = \"acme\", contact = [\"neo@mesh.test\"], directory = \"https://localhost:{directory}/dir\", roots = \"{}/roots.pem\" }}",
        text(folder.path())
    );
    let domain = Domain::set_up(folder.path(), &tls);
    let config = format!(
        r#"{{"pebble":{{"listenAddress":"127.0.0.1:{directory}","managementListenAddress":"127.0.0.1:{management}","certificate":"{0}/cert.pem",
            "privateKey":"{0}/key.pem","httpPort":{http},"tlsPort":{1},"ocspResponderURL":"","externalAccountBindingRequired":false}}}}"#,
        text(folder.path()),
        domain.port
    );
    let path = folder.path().join("pebble.json");
    std::fs::write(&path, config).expect("written");
    let dns01 = format!("127.0.0.1:{dns}");
    let _names = name_server(dns, free_port());
    let _authority =
        Running::quietly(Command::new("pebble").args(["-config", text(&path), "-dnsserver", &dns01]).env("PEBBLE_VA_NOSLEEP", "1"));
    let own = std::fs::read(folder.path().join("roots.pem")).expect("read");
    let asking = reqwest::Client::builder().no_proxy().tls_certs_only(reqwest::Certificate::from_pem_bundle(&own).expect("certificates"));
    let asking = asking.build().expect("a client");
    let root = async || asking.get(format!("https://localhost:{management}/roots/0")).send().await.ok()?.bytes().await.ok();
    until("pebble answers", async || root().await.is_some()).await;
    let _server = domain.serve();
    // The authority's own root, which it makes anew whenever it starts.
    let client = domain.client(&root().await.expect("answers"));
    until("the certificate is there", async || domain.ready(&client).await).await;
    assert!(std::fs::read_dir(domain.data.join("acme")).expect("a folder").count() >= 2, "account and certificate are kept");
}
