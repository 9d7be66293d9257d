//! Whether the CAA records of a name let our certificate authority make certificates for it (RFC 8659), in the way in which we ask for them (RFC 8657).

use super::Finding;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::rdata::CAA;
use hickory_resolver::proto::rr::{RData, RecordType};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// What CAA records call the authority from which certificates come if nobody names another.
pub(super) const LETS_ENCRYPT: &str = "letsencrypt.org";
/// How we prove to an authority that the name is ours.
const METHOD: &str = "tls-alpn-01";
/// Properties that authorities know; a critical one that they do not know forbids them everything.
const KNOWN: [&str; 5] = ["issue", "issuewild", "iodef", "issuemail", "issuevmc"];
/// How long an authority's directory may take to answer.
const DIRECTORY_WAIT: Duration = Duration::from_secs(10);

/// What the CAA records of a host mean for the authority whose directory this is; Let's Encrypt if there is none.
pub(super) async fn finding(resolver: &TokioResolver, host: &str, (directory, roots): (Option<&str>, Option<&Path>)) -> Finding {
    let (at, records) = match relevant(resolver, host).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok("no CAA records: every authority may make certificates".to_owned()),
        Err((at, error)) => {
            return Err(format!(
                "the CAA records of {at} cannot be looked up ({error}), and authorities make no certificate while that is so: mend its name servers"
            ));
        }
    };
    let names = match directory {
        None => vec![LETS_ENCRYPT.to_owned()],
        Some(directory) => names(directory, roots).await.unwrap_or_default(),
    };
    let allowed = judge(&records, &names);
    match (allowed, names.first()) {
        (Err(Forbidden::Critical(tag)), _) => {
            Err(format!("{at} has a critical CAA record `{tag}`, which no authority may pass over: remove it"))
        }
        (Ok(()), Some(name)) => Ok(format!("the CAA records of {at} let {name} make certificates")),
        (Ok(()), None) => Ok(format!("the CAA records of {at} let every authority make certificates")),
        (Err(_), None) => {
            let directory = directory.unwrap_or_default();
            Err(format!("{at} has CAA records, and {directory} does not say by which name it goes in them: see that one of them allows it"))
        }
        (Err(Forbidden::Method), Some(name)) => Err(format!(
            "a CAA record of {at} allows {name}, but not by {METHOD}, which this server uses: add it to its `validationmethods`, or remove those"
        )),
        (Err(Forbidden::Authority), Some(name)) => Err(format!(
            "the CAA records of {at} forbid {name} to make certificates, so this server will get none: add `{host}. CAA 0 issue \"{name}\"`"
        )),
    }
}

/// The records that count for a host, and whose they are: its own, or those of the nearest name above it that has some.
async fn relevant(resolver: &TokioResolver, host: &str) -> Result<Option<(String, Vec<CAA>)>, (String, NetError)> {
    let mut at = host;
    loop {
        match resolver.lookup(format!("{at}."), RecordType::CAA).await {
            Ok(found) => {
                let records = found.answers().iter().filter_map(|record| match &record.data {
                    RData::CAA(caa) => Some(caa.clone()),
                    _ => None,
                });
                let records: Vec<CAA> = records.collect();
                if !records.is_empty() {
                    return Ok(Some((at.to_owned(), records)));
                }
            }
            Err(error) if error.is_no_records_found() => {}
            Err(error) => return Err((at.to_owned(), error)),
        }
        let Some((_, above)) = at.split_once('.') else { return Ok(None) };
        at = above;
    }
}

/// Why an authority may not make a certificate.
#[derive(Debug, PartialEq, Eq)]
enum Forbidden {
    /// A critical property that nobody knows.
    Critical(String),
    /// Only others may.
    Authority,
    /// It may, but not in our way.
    Method,
}

fn judge(records: &[CAA], names: &[String]) -> Result<(), Forbidden> {
    let unknown = |caa: &&CAA| caa.issuer_critical && !KNOWN.iter().any(|known| caa.tag.eq_ignore_ascii_case(known));
    if let Some(caa) = records.iter().find(unknown) {
        return Err(Forbidden::Critical(caa.tag.clone()));
    }
    let mut verdict = Ok(());
    for caa in records.iter().filter(|caa| caa.tag.eq_ignore_ascii_case("issue")) {
        let value = String::from_utf8_lossy(&caa.value);
        let mut parts = value.split(';').map(str::trim);
        let named = parts.next().is_some_and(|issuer| names.iter().any(|name| name.eq_ignore_ascii_case(issuer)));
        let mut methods = parts.filter_map(|part| part.split_once('=')).filter(|(key, _)| key.trim() == "validationmethods");
        match (named, methods.all(|(_, methods)| methods.split(',').any(|method| method.trim() == METHOD))) {
            (true, true) => return Ok(()),
            (true, false) => verdict = Err(Forbidden::Method),
            (false, _) => verdict = verdict.and(Err(Forbidden::Authority)),
        }
    }
    verdict
}

/// By which names an authority goes in CAA records, as its directory says (RFC 8555, section 7.1.1).
async fn names(directory: &str, roots: Option<&Path>) -> anyhow::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Directory {
        meta: Meta,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "caaIdentities")]
        caa_identities: Vec<String>,
    }
    let mut client = reqwest::Client::builder().timeout(DIRECTORY_WAIT);
    if let Some(roots) = roots {
        client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&std::fs::read(roots)?)?);
    }
    let answer = client.build()?.get(directory).send().await?;
    Ok(answer.error_for_status()?.json::<Directory>().await?.meta.caa_identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[(bool, &str, &str)], expected: Result<(), Forbidden>) {
        let record = |(critical, tag, value): &(bool, &str, &str)| {
            let mut caa = CAA::new_issue(*critical, None, Vec::new());
            caa.tag = (*tag).to_owned();
            caa.value = value.as_bytes().to_vec();
            caa
        };
        let found: Vec<CAA> = records.iter().map(record).collect();
        assert_eq!(judge(&found, &[LETS_ENCRYPT.to_owned()]), expected, "{records:?}");
    }

    #[test]
    fn authority_that_is_named_may_and_others_may_not() {
        check(&[(false, "issue", "letsencrypt.org")], Ok(()));
        check(&[(false, "issue", "other.example"), (false, "ISSUE", " LetsEncrypt.org ; a=b")], Ok(()));
        check(&[(false, "issue", "other.example")], Err(Forbidden::Authority));
        check(&[(false, "issue", ";")], Err(Forbidden::Authority));
        check(&[(false, "issue", "letsencrypt.org.evil.example")], Err(Forbidden::Authority));
    }

    #[test]
    fn records_about_other_things_forbid_nothing() {
        check(&[(false, "issuewild", ";"), (true, "iodef", "mailto:a@b.example")], Ok(()));
        check(&[(false, "something", "letsencrypt.org")], Ok(()));
    }

    #[test]
    fn critical_record_that_nobody_knows_forbids_everybody() {
        check(&[(false, "issue", "letsencrypt.org"), (true, "something", "")], Err(Forbidden::Critical("something".to_owned())));
    }

    #[test]
    fn authority_must_be_allowed_in_the_way_in_which_we_ask() {
        check(&[(false, "issue", "letsencrypt.org; validationmethods=dns-01")], Err(Forbidden::Method));
        check(&[(false, "issue", "letsencrypt.org; validationmethods=http-01, tls-alpn-01")], Ok(()));
        check(&[(false, "issue", "letsencrypt.org;validationmethods=dns-01"), (false, "issue", "letsencrypt.org")], Ok(()));
    }
}
