//! `meshd dns`: the name, who may make certificates for it, and what answers under it.

mod caa;

use super::folder::runtime;
use anyhow::Context;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use mesh_proto::api::{Discovery, DomainKeyUse};
use mesh_proto::guard::is_public;
use mesh_server::config::{self, Config, Folder, TlsMode};
use mesh_server::serve;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

/// Addresses to which a way is looked up, so that this machine's own become known; nothing is sent.
const SOMEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// `meshd dns show`.
pub(super) fn show(data: &Path) -> anyhow::Result<()> {
    print_records(&config::read(data)?.config);
    Ok(())
}

/// The records that a domain needs, as a zone file has them.
pub(super) fn print_records(config: &Config) {
    let name = config.domain.host();
    // Behind an address translation this machine does not know what the world sees.
    let own: Vec<IpAddr> = own_addresses().into_iter().filter(|address| is_public(*address)).collect();
    let record = |kind: &str, found: Option<&IpAddr>, what: &str| {
        println!("{name}.  {kind:<4}  {}", found.map_or_else(|| format!("<this machine's public {what}>"), IpAddr::to_string));
    };
    record("A", own.iter().find(|address| address.is_ipv4()), "IPv4 address");
    record("AAAA", own.iter().find(|address| address.is_ipv6()), "IPv6 address; leave this out if it has none");
    if matches!(config.tls, TlsMode::Acme { directory: None, .. }) {
        println!("{name}.  CAA   0 issue \"{}\"", caa::LETS_ENCRYPT);
    }
}

/// The address of a name server, with its port or without.
pub(super) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let alone = || text.parse().map(|ip: IpAddr| SocketAddr::from((ip, 53)));
    text.parse().or_else(|_| alone()).map_err(|_| "an address such as 9.9.9.9, with a port if it is not 53".to_owned())
}

/// `meshd dns check`.
pub(super) fn check(data: &Path, server: Option<SocketAddr>) -> anyhow::Result<()> {
    let folder = config::read(data)?;
    let findings = runtime()?.block_on(async {
        let resolver = resolver(server).context("cannot read which name servers this machine asks")?;
        anyhow::Ok(findings(&folder, &resolver).await)
    })?;
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
    match wrong {
        0 => Ok(()),
        1 => anyhow::bail!("one thing is not as it should be"),
        _ => anyhow::bail!("{wrong} things are not as they should be"),
    }
}

/// Asks this name server, or those of the system.
fn resolver(server: Option<SocketAddr>) -> anyhow::Result<TokioResolver> {
    let builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            ways.iter_mut().for_each(|way| way.port = server.port());
            let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, ways)]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    Ok(builder.build()?)
}

/// What is as it should be, and what is not, in words.
type Finding = Result<String, String>;

async fn findings(folder: &Folder, resolver: &TokioResolver) -> Vec<Finding> {
    let domain = &folder.config.domain;
    // With a dot at its end, so that no search list of this machine is tried.
    let found: BTreeSet<IpAddr> = match resolver.lookup_ip(format!("{}.", domain.host())).await {
        Ok(found) => found.iter().collect(),
        Err(error) => {
            let words =
                format!("{domain} does not resolve ({error}): put in the records of `meshd dns show`, and wait until they are known");
            return vec![Err(words)];
        }
    };
    let mut findings = vec![Ok(format!("{domain} resolves to {}", list(&found)))];
    let own = own_addresses();
    if domain.is_local() {
        // Loopback, by rule.
    } else if found.iter().any(|address| own.contains(address)) {
        findings.push(Ok("that is this machine".into()));
    } else if own.iter().all(|address| is_public(*address)) {
        findings.push(Err(format!("that is not this machine, which is {}: mend the records, or send its traffic here", list(&own))));
    } else {
        findings.push(Ok("this machine's own address is a private one: whether the other leads here shows below".into()));
    }
    if let TlsMode::Acme { directory, roots, .. } = &folder.config.tls {
        let roots = roots.as_ref().map(|roots| folder.root.join(roots));
        findings.push(caa::finding(resolver, domain.host(), (directory.as_deref(), roots.as_deref())).await);
    }
    findings.push(answer(folder).await);
    findings
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    addresses.into_iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
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
