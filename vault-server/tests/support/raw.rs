//! Calls whose messages are any bytes, and connections without calls.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, BufMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

/// A message is its bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// Calls a method of the service with these messages, whatever it expects, and
/// returns the first message of the answer.
pub(crate) async fn call(
    channel: &Channel,
    method: &str,
    messages: impl tokio_stream::Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<Option<Vec<u8>>, Status> {
    let path = format!("/coffre.rpc.v1.Hoster/{method}");
    let path = PathAndQuery::from_maybe_shared(path).unwrap();
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let answer = grpc.streaming(Request::new(messages), path, Raw).await?;
    answer.into_inner().message().await
}

/// Connects and says, again and again, what HTTP/2 lets anybody say, until the
/// other end has enough of it.
pub(crate) async fn talk_until_closed(address: SocketAddr, pin: [u8; 32]) {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let stream = super::dial_tls(address, pin).await.unwrap();
    let (mut hear, mut say) = tokio::io::split(stream);
    let talk = async {
        say.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        say.write_all(SETTINGS).await?;
        loop {
            say.write_all(PING).await?;
            say.flush().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let listen = async {
        let mut heard = [0; 4096];
        while matches!(hear.read(&mut heard).await, Ok(length) if length > 0) {}
    };
    tokio::select! {
        end = talk => {
            let _: std::io::Result<()> = end;
        }
        () = listen => {}
    }
}
