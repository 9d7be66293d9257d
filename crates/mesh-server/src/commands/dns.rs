//! `meshd dns`: the name, and what answers under it.

use super::folder::runtime;
use mesh_proto::address::Domain;
use mesh_proto::api::{Discovery, DomainKeyUse};
use mesh_proto::guard::is_public;
use mesh_server::config::{self, Folder};
use mesh_server::serve;
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// Addresses to which a way is looked up, so that this machine's own become known; nothing is sent.
const SOMEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// `meshd dns show`.
pub(super) fn show(data: &Path) -> anyhow::Result<()> {
    print_records(&config::read(data)?.config.domain);
    Ok(())
}

/// The records that a domain needs, as a zone file has them.
pub(super) fn print_records(domain: &Domain) {
    let name = domain.host();
    let own = own_addresses();
    let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) = own.iter().partition(|address| address.is_ipv4());
    let or = |found: Vec<&IpAddr>, what: &str| {
        found.first().map_or_else(|| format!("<this machine's {what} address>"), |address| address.to_string())
    };
    println!("{name}.  A     {}", or(v4, "IPv4"));
    println!("{name}.  AAAA  {}", or(v6, "IPv6"));
    println!("{name}.  CAA   0 issue \"letsencrypt.org\"");
}

/// `meshd dns check`.
pub(super) fn check(data: &Path) -> anyhow::Result<()> {
    let folder = config::read(data)?;
    let findings = runtime()?.block_on(findings(&folder));
    let mut wrong = 0;
    for finding in findings {
        match finding {
            Ok(words) => println!("ok     {words}"),
            Err(words) => {
                wrong += 1;
                println!("wrong  {words}");
            }
        }
    }
    anyhow::ensure!(wrong == 0, "{wrong} things are not as they should be");
    Ok(())
}

type Finding = Result<String, String>;

async fn findings(folder: &Folder) -> Vec<Finding> {
    let domain = &folder.config.domain;
    let found: BTreeSet<IpAddr> = match tokio::net::lookup_host((domain.host(), domain.port().unwrap_or(443))).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            let words =
                format!("{domain} does not resolve ({error}): put in the records of `meshd dns show`, and wait until they are known");
            return vec![Err(words)];
        }
    };
    let list = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let mut findings = vec![Ok(format!("{domain} resolves to {list}"))];
    let own = own_addresses();
    if domain.is_local() {
        // Loopback, by rule.
    } else if found.iter().any(|address| own.contains(address)) {
        findings.push(Ok("that is this machine".into()));
    } else if own.iter().all(|address| is_public(*address)) {
        let own = own.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        findings.push(Err(format!("that is not this machine, which is {own}: mend the records, or send its traffic here")));
    } else {
        findings.push(Ok("this machine's own address is a private one: whether the other leads here shows below".into()));
    }
    findings.push(answer(folder).await);
    findings
}

/// Whether what answers under the name is this domain.
async fn answer(folder: &Folder) -> Finding {
    let domain = &folder.config.domain;
    let url = format!("{}/.well-known/mesh", domain.base_url());
    let body = serve::fetch(folder, "/.well-known/mesh").await;
    let body =
        body.map_err(|error| format!("{url} does not answer: {error:#}. Does the server run, and may the world reach its ports?"))?;
    let shown: Discovery = serde_json::from_slice(&body).map_err(|_| format!("what answers at {url} is not a MESH server"))?;
    match shown.key(DomainKeyUse::Log) == Some(folder.log_key.id()) {
        true => Ok(format!("{url} answers with the keys of this domain")),
        false => Err(format!("{url} is another server: its keys are not those of this data folder")),
    }
}

fn own_addresses() -> Vec<IpAddr> {
    let own = SOMEWHERE.into_iter().filter_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    own.filter(|address| !address.is_loopback() && !address.is_unspecified()).collect()
}
