use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vault_rpc::hoster::PutPackRequest;

use super::Member;

/// An upload that the test feeds message by message.
pub(crate) struct Slow {
    pub(crate) sender: mpsc::Sender<PutPackRequest>,
    pub(crate) answer: JoinHandle<Result<(), Status>>,
}

pub(crate) fn slow_upload(member: &Member) -> Slow {
    let (sender, receiver) = mpsc::channel(1);
    let request = member.request(ReceiverStream::new(receiver));
    let mut client = member.client.clone();
    let answer = tokio::spawn(async move { client.put_pack(request).await.map(drop) });
    Slow { sender, answer }
}
