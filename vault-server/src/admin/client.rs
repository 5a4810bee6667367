//! The commands' end of the socket.

use std::{io, path::Path};

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use vault_rpc::admin::admin_client::AdminClient;

use super::socket;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing listens there.
    #[error("no coffre-server is running on this data directory")]
    NotRunning,
    /// The socket cannot be used.
    #[error("the server's socket cannot be used: {0}")]
    Io(#[source] io::Error),
    /// The other end does not speak gRPC.
    #[error("the server does not answer: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Connects to the server that runs on the data directory.
///
/// # Errors
/// See [`ClientError`].
pub async fn connect(data: &Path) -> Result<AdminClient<Channel>, ClientError> {
    // Once outside the transport, whose errors do not tell why.
    let stream = socket::dial(data)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
            _ => ClientError::Io(error),
        })?;
    let mut stream = Some(TokioIo::new(stream));
    let connector = service_fn(move |_: Uri| {
        let stream = stream.take().ok_or(io::ErrorKind::NotConnected);
        async move { stream.map_err(io::Error::from) }
    });
    let endpoint = Endpoint::from_static("http://admin.invalid");
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok(AdminClient::new(channel))
}
