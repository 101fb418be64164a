//! Where the database is, and how the way to it is protected.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::{self, Hosts};
use crate::error::StoreError;
use crate::limits::{
    POSTGRES_CONNECT_MS_MAX, POSTGRES_READERS_MAX, POSTGRES_VANISHED_MS_MAX, POSTGRES_WRITERS_MAX,
};

/// What a `postgres://` URL says: libpq's parameters, and some of our own.
///
/// - `sslmode` is `disable`, `prefer` (the default: encrypted where the server can, without asking who it is), `require`
///   (encrypted, without asking who it is) or `verify-full` (the certificate has to be valid for the host's name).
/// - `sslrootcert` is a file of PEM certificates that are trusted for `verify-full`; without it, those of the system are.
/// - `writers` and `readers` bound the connections of one process.
pub(super) struct Address {
    pub(super) hosts: Hosts,
    pub(super) writers: usize,
    pub(super) readers: usize,
    /// For error messages: without user and password.
    pub(super) shown: String,
}

pub(super) fn parse(url: &str) -> Result<Address, StoreError> {
    let shown = crate::store::without_password(url);
    let wrong = |reason: String| StoreError::Open {
        path: shown.clone(),
        reason,
    };
    // Several hosts make no URL that `Url` reads, so the query is cut off before it is looked at.
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut kept = Vec::new();
    let (mut mode, mut root_file) = ("prefer".to_owned(), None);
    let (mut writers, mut readers) = (POSTGRES_WRITERS_MAX, POSTGRES_READERS_MAX);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "sslmode" => mode = value.into_owned(),
            "sslrootcert" => root_file = Some(value.into_owned()),
            "writers" => writers = connections(&name, &value).map_err(wrong)?,
            "readers" => readers = connections(&name, &value).map_err(wrong)?,
            _ => kept.push((name.into_owned(), value.into_owned())),
        }
    }
    let (ssl, verified) = match mode.as_str() {
        "disable" => (SslMode::Disable, false),
        "prefer" => (SslMode::Prefer, false),
        "require" => (SslMode::Require, false),
        "verify-full" => (SslMode::Require, true),
        other => {
            return Err(wrong(format!(
                "sslmode {other:?}: disable, prefer, require and verify-full are known"
            )));
        }
    };
    let each = hosts::apart(base, &kept)
        .into_iter()
        .map(|base| config(&base, &kept, ssl).map_err(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    let tls = client_config(verified, root_file.as_deref()).map_err(wrong)?;
    Ok(Address {
        hosts: Hosts::new(each, MakeRustlsConnect::new(tls)),
        writers,
        readers,
        shown,
    })
}

/// The settings of a connection to what `base` names, with the parameters of `query`.
fn config(base: &str, query: &[(String, String)], ssl: SslMode) -> Result<Config, String> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    // A space is `+` in a form, and `%20` in libpq's URLs.
    let query = query.replace('+', "%20");
    let url = if query.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{query}")
    };
    let mut config: Config = url
        .parse()
        .map_err(|error: tokio_postgres::Error| explain(&error))?;
    if config.get_dbname().is_none() {
        return Err("it names no database: …/NAME".to_owned());
    }
    config.ssl_mode(ssl);
    if config.get_application_name().is_none() {
        config.application_name("feedway");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_millis(POSTGRES_CONNECT_MS_MAX));
    }
    // A server that is gone without a word is noticed by this; so is a connection that a firewall forgot.
    config.tcp_user_timeout(Duration::from_millis(POSTGRES_VANISHED_MS_MAX));
    config.keepalives_idle(Duration::from_millis(POSTGRES_VANISHED_MS_MAX));
    Ok(config)
}

fn connections(name: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count) if (1..=1_000).contains(&count) => Ok(count),
        _ => Err(format!("{name}={value}: a number from 1 to 1000")),
    }
}

/// An error of the client with its causes: its own text leaves them out.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn client_config(verified: bool, root_file: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if !verified {
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    match root_file {
        Some(file) => {
            let failed = |error: String| format!("sslrootcert {file}: {error}");
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(
            "sslmode=verify-full: no certificate is trusted; name some by sslrootcert=FILE"
                .to_owned(),
        );
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes any certificate, as libpq does for `require`: it keeps listeners out, and nobody else.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match parse(url) {
            Ok(_) => panic!("{url} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn own_parameters_are_taken_out_and_the_rest_is_left() {
        let address = parse(
            "postgres://anna:secret@one:5433,two/shop?sslmode=require&writers=3&options=-c%20search_path%3Dorders&target_session_attrs=read-write",
        )
        .unwrap();
        assert_eq!(
            (address.writers, address.readers),
            (3, POSTGRES_READERS_MAX)
        );
        let config = address.hosts.config();
        assert_eq!(config.get_options(), Some("-c search_path=orders"));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_user(), Some("anna"));
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(address.hosts.count(), 2);
        assert!(!address.shown.contains("secret"), "{}", address.shown);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_the_password() {
        for (url, word) in [
            (
                "postgres://anna:secret@host/shop?sslmode=verify-ca",
                "verify-full",
            ),
            ("postgres://anna:secret@host/shop?writers=0", "1 to 1000"),
            ("postgres://anna:secret@host", "names no database"),
            ("postgres://anna:secret@host/shop?colour=red", "colour"),
            (
                "postgres://anna:secret@host/shop?sslmode=verify-full&sslrootcert=/nowhere",
                "/nowhere",
            ),
        ] {
            let error = refused(url);
            assert!(error.contains(word), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
