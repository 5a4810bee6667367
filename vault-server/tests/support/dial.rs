//! The client's end of a connection.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use vault_proto::login::{EXPORTER_BYTES, EXPORTER_LABEL};

/// A connection, with what binds a login to it.
pub(crate) struct Dialled {
    pub(crate) channel: Channel,
    pub(crate) exporter: Option<[u8; EXPORTER_BYTES]>,
}

/// Connects once, over TLS 1.3 with the pinned key, or in the clear.
pub(crate) async fn dial(
    address: SocketAddr,
    pin: Option<[u8; 32]>,
) -> Result<Dialled, tonic::transport::Error> {
    let exporter = Arc::new(Mutex::new(None));
    let found = Arc::clone(&exporter);
    let connector = tower::service_fn(move |_: Uri| {
        let found = Arc::clone(&found);
        async move {
            let Some(pin) = pin else {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                return Ok(TokioIo::new(Box::new(socket) as Box<dyn Stream>));
            };
            let stream = dial_tls(address, pin).await?;
            let (_, session) = stream.get_ref();
            let output = [0; EXPORTER_BYTES];
            let output = session.export_keying_material(output, EXPORTER_LABEL, None);
            *found.lock().unwrap() = Some(output.map_err(io::Error::other)?);
            Ok::<_, io::Error>(TokioIo::new(Box::new(stream) as Box<dyn Stream>))
        }
    });
    let endpoint = Endpoint::from_static("http://coffre.invalid")
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    let channel = endpoint.connect_with_connector(connector).await?;
    let exporter = *exporter.lock().unwrap();
    Ok(Dialled { channel, exporter })
}

/// Connects, and speaks TLS but nothing inside it.
pub(crate) async fn dial_tls(
    address: SocketAddr,
    pin: [u8; 32],
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("coffre-server").unwrap();
    TlsConnector::from(tls(pin)).connect(name, socket).await
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

fn tls(pin: [u8; 32]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| rustls::CertificateError::BadEncoding)?;
        let found: [u8; 32] = Sha256::digest(certificate.subject_public_key_info()).into();
        if found == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
