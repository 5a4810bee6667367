//! Who ends TLS, and with which key.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use vault_proto::invitation::TlsTrust;

use crate::hoster_key::write_secret;

/// How TLS is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Here, with a key of our own that invitations pin; made in `DIR/tls/` at
    /// the first start.
    SelfSigned,
    /// Here, with a certificate of a public authority.
    Files {
        /// The chain, in PEM, the server's own certificate first.
        certificate: PathBuf,
        /// Its private key, in PEM.
        key: PathBuf,
    },
    /// By a reverse proxy on this machine, which passes plain HTTP/2 on.
    BehindProxy,
}

/// Why TLS cannot be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A file holds no PEM of its kind.
    #[error("{0}: {1}")]
    Pem(PathBuf, #[source] pem::Error),
    /// A key or certificate could not be made.
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// Key and certificate do not fit together, or are of no use for TLS.
    #[error("the certificate and its key are of no use: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS as it is ended: `acceptor` is `None` behind a proxy.
pub(crate) struct Ended {
    pub(crate) acceptor: Option<TlsAcceptor>,
    pub(crate) trust: TlsTrust,
    /// What may be renewed while the server runs; `None` behind a proxy, and
    /// where the key is our own, which invitations pin.
    pub(crate) renewable: Option<Renewable>,
}

/// Reads or makes what TLS needs.
pub(crate) fn end_tls(tls: &Tls, directory: &Path) -> Result<Ended, TlsError> {
    match tls {
        Tls::BehindProxy => Ok(Ended {
            acceptor: None,
            trust: TlsTrust::Proxy,
            renewable: None,
        }),
        Tls::Files { certificate, key } => {
            let presented = Presented::new(read(certificate, key)?);
            Ok(Ended {
                acceptor: Some(acceptor(Arc::clone(&presented))?),
                trust: TlsTrust::Public,
                renewable: Some(Renewable {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    presented,
                }),
            })
        }
        Tls::SelfSigned => {
            let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
            let pair = load_or_create_key(directory, &key)?;
            // A new certificate at each start: what members pin is the key.
            let made = CertificateParams::new(vec!["coffre-server".into()])?.self_signed(&pair)?;
            write_secret(&certificate, made.pem().as_bytes())
                .map_err(|error| TlsError::File(certificate.clone(), error))?;
            let presented = Presented::new(read(&certificate, &key)?);
            Ok(Ended {
                acceptor: Some(acceptor(presented)?),
                trust: TlsTrust::Pinned(Sha256::digest(pair.subject_public_key_info()).into()),
                renewable: None,
            })
        }
    }
}

/// What became of a certificate that was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// New connections get another certificate than before.
    Renewed,
    /// The files hold the one that is in use.
    Unchanged,
    /// There are no files: a reverse proxy ends TLS, or the key is the server's
    /// own, which invitations pin, and its certificate has no end.
    NotFromFiles,
}

/// A certificate that comes from files.
pub(crate) struct Renewable {
    certificate: PathBuf,
    key: PathBuf,
    presented: Arc<Presented>,
}

impl Renewable {
    /// Reads the files again. Connections that are there keep what they have;
    /// new ones get what the files hold, if that is of any use.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use stays in use then.
    pub(crate) fn renew(&self) -> Result<Renewal, TlsError> {
        let found = read(&self.certificate, &self.key)?;
        if found.cert == self.presented.current().cert {
            return Ok(Renewal::Unchanged);
        }
        self.presented.replace(found);
        Ok(Renewal::Renewed)
    }
}

/// The certificate that new connections get.
struct Presented(RwLock<Arc<CertifiedKey>>);

impl Presented {
    fn new(certificate: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(certificate))))
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, certificate: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented")
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn load_or_create_key(directory: &Path, path: &Path) -> Result<KeyPair, TlsError> {
    let file = |error| TlsError::File(path.to_owned(), error);
    match fs::read_to_string(path) {
        Ok(text) => Ok(KeyPair::from_pem(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory).map_err(file)?;
            let pair = KeyPair::generate()?;
            write_secret(path, pair.serialize_pem().as_bytes()).map_err(file)?;
            Ok(pair)
        }
        Err(error) => Err(file(error)),
    }
}

/// A chain and its key, which belong together.
fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &Path, error: pem::Error| match error {
        pem::Error::Io(error) => TlsError::File(path.to_owned(), error),
        error => TlsError::Pem(path.to_owned(), error),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(certificate, error))?;
    if chain.is_empty() {
        let error = pem::Error::NoItemsFound;
        return Err(TlsError::Pem(certificate.to_owned(), error));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, error))?;
    let provider = aws_lc_rs::default_provider();
    Ok(CertifiedKey::from_der(chain, key, &provider)?)
}

/// TLS 1.3 only: members' programs are ours, and its exporter binds logins
/// without conditions. X25519MLKEM768 is the first choice for the key exchange.
fn acceptor(presented: Arc<Presented>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(presented);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
