//! Packs, up and down.

use tonic::Status;
use vault_proto::{
    ids::{PackId, VaultId},
    pack_list::PackList,
};
use vault_rpc::hoster::{
    PackRange, PutPackHeader, PutPackRequest, PutPackResponse, ReadPacksRequest,
    put_pack_request::Part,
};

use super::Member;

/// Something to upload.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(crate) id: PackId,
    pub(crate) bytes: Vec<u8>,
}

/// A pack of random bytes.
pub(crate) fn pack(size: usize) -> Packed {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    Packed {
        id: PackId::of(&bytes),
        bytes,
    }
}

/// The ids in their order.
pub(crate) fn sorted<'a>(packs: impl IntoIterator<Item = &'a Packed>) -> PackList {
    PackList::from_unordered(packs.into_iter().map(|pack| pack.id).collect()).unwrap()
}

impl Member {
    /// Uploads in messages of 64 KiB.
    pub(crate) async fn put(
        &mut self,
        vault: VaultId,
        pack: &Packed,
    ) -> Result<PutPackResponse, Status> {
        let size = u32::try_from(pack.bytes.len()).unwrap();
        self.put_as(vault, pack.id, size, &pack.bytes).await
    }

    /// Uploads bytes under any name and size.
    pub(crate) async fn put_as(
        &mut self,
        vault: VaultId,
        id: PackId,
        size: u32,
        bytes: &[u8],
    ) -> Result<PutPackResponse, Status> {
        let mut messages = vec![header(vault, id, size)];
        messages.extend(bytes.chunks(64 << 10).map(part));
        let request = self.request(tokio_stream::iter(messages));
        Ok(self.client.put_pack(request).await?.into_inner())
    }

    pub(crate) async fn read(
        &mut self,
        vault: VaultId,
        ranges: &[(PackId, u32, u32)],
    ) -> Result<Vec<u8>, Status> {
        let ranges = ranges.iter().map(|(pack, offset, length)| PackRange {
            pack: pack.to_vec(),
            offset: *offset,
            length: *length,
        });
        let request = self.request(ReadPacksRequest {
            vault: vault.to_vec(),
            ranges: ranges.collect(),
        });
        let mut stream = self.client.read_packs(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            bytes.extend_from_slice(&message.bytes);
        }
        Ok(bytes)
    }
}

pub(crate) fn header(vault: VaultId, pack: PackId, size: u32) -> PutPackRequest {
    PutPackRequest {
        part: Some(Part::Header(PutPackHeader {
            vault: vault.to_vec(),
            pack: pack.to_vec(),
            size,
            for_prune: false,
        })),
    }
}

pub(crate) fn part(bytes: &[u8]) -> PutPackRequest {
    PutPackRequest {
        part: Some(Part::Bytes(bytes.to_vec().into())),
    }
}
