//! TLS as a device speaks it.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion,
};
use sha2::{Digest, Sha256};
use vault_proto::invitation::TlsTrust;

/// The configuration for a hoster that is trusted in this way.
///
/// TLS 1.3 alone where `coffre-server` ends it: its exporter binds logins
/// without conditions.
pub(super) fn client_config(trust: TlsTrust) -> Result<ClientConfig, Error> {
    let provider = provider();
    let versions: &[_] = if trust.binds_channel() {
        &[&TLS13]
    } else {
        &[&TLS13, &TLS12]
    };
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        TlsTrust::Pinned(pin) => Arc::new(PinVerifier {
            pin,
            provider: provider.clone(),
        }),
        // What the system trusts, its administrator's own authorities included.
        _ => Arc::new(rustls_platform_verifier::Verifier::new(provider.clone())?),
    };
    config(provider, versions, verifier)
}

/// The configuration for a hoster of which nothing is known yet.
pub(super) fn client_config_for(verifier: Arc<AnyKey>) -> Result<ClientConfig, Error> {
    config(verifier.provider.clone(), &[&TLS13, &TLS12], verifier)
}

fn config(
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// `SHA-256(SubjectPublicKeyInfo)`.
fn pin_of(end_entity: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    let certificate = ParsedCertificate::try_from(end_entity)?;
    Ok(Sha256::digest(certificate.subject_public_key_info()).into())
}

/// The checks without which whoever has seen a certificate could show it.
macro_rules! signatures_are_checked {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

/// Trusts one key, whatever the certificate around it says.
#[derive(Debug)]
struct PinVerifier {
    /// `SHA-256(SubjectPublicKeyInfo)`.
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if pin_of(end_entity)? == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    signatures_are_checked!();
}

/// Trusts any key, provided that whoever answers holds it, and remembers what it
/// saw. What is learnt over such a channel has to prove itself.
#[derive(Debug)]
pub(super) struct AnyKey {
    provider: Arc<CryptoProvider>,
    seen: OnceLock<Seen>,
}

/// A certificate that was shown.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `SHA-256(SubjectPublicKeyInfo)`.
    pub(super) pin: [u8; 32],
    /// Whether somebody whom this system trusts vouches for it; else why not.
    pub(super) vouched: Result<(), String>,
}

impl AnyKey {
    /// For one handshake.
    pub(super) fn new() -> Self {
        Self {
            provider: provider(),
            seen: OnceLock::new(),
        }
    }

    /// What the handshake showed.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.get().cloned()
    }
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pin = pin_of(end_entity)?;
        let vouched = rustls_platform_verifier::Verifier::new(self.provider.clone())
            .and_then(|system| {
                system.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                )
            })
            .map(|_| ())
            .map_err(|error| error.to_string());
        let _ = self.seen.set(Seen { pin, vouched });
        Ok(ServerCertVerified::assertion())
    }

    signatures_are_checked!();
}
