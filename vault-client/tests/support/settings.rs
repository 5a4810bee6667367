//! What another device writes into the settings of an account.

use bytes::Bytes;
use vault_client::remote::memory::MemoryHoster;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::pack::PackBuilder;
use vault_core::seal::{CompressionLevel, Compressor};
use vault_core::settings::{AccountSettings, KnownHoster, KnownVault};
use vault_proto::ids::{PackId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::wire::{Located, Root, VaultKind};

use super::{Other, rng};

impl Other {
    /// Writes down a vault that somebody has given to this member, and where it
    /// is.
    pub(crate) fn know_vault(
        &self,
        home: &MemoryHoster,
        at: &MemoryHoster,
        vault: VaultId,
        name: &str,
    ) {
        self.change_settings(home, |settings| {
            let hoster = KnownHoster {
                hoster: at.id(),
                origin: at.origin().to_string(),
                tls: TlsTrust::Proxy,
            };
            settings.set_hoster(hoster).unwrap();
            let known = KnownVault {
                vault,
                hoster: at.id(),
                name: name.into(),
                deleted: false,
                shared_by: None,
            };
            settings.set_vault(known).unwrap();
        });
    }

    fn change_settings(&self, home: &MemoryHoster, change: impl FnOnce(&mut AccountSettings)) {
        let listed = self.remote.list_vaults().unwrap();
        let (id, _) = listed
            .iter()
            .find(|(_, kind)| *kind == VaultKind::Account)
            .unwrap();
        let sight = self.look(*id);
        let at = sight.root.settings.as_ref().unwrap();
        let pack = home.pack(id, &PackId::from_slice(&at.pack).unwrap());
        let pack = pack.unwrap();
        let sealed = &pack[at.offset as usize..][..at.sealed_length as usize];
        let chunk = ChunkId::from_slice(&at.chunk_id).unwrap();
        let kind = ChunkKind::Settings;
        let bytes = sight.keys.open_chunk(at.epoch, kind, &chunk, sealed);
        let mut settings = AccountSettings::decode(&bytes.unwrap()).unwrap();
        change(&mut settings);

        let plaintext = settings.encode();
        let chunk = sight.keys.chunk_id(kind, &plaintext);
        let epoch = sight.keys.current_epoch();
        let keys = std::sync::Arc::new(sight.keys);
        let mut builder = PackBuilder::new(keys, epoch);
        let mut compressor = Compressor::new(CompressionLevel::default());
        let offset = builder
            .push_chunk(kind, &chunk, &plaintext, &mut compressor, &mut rng())
            .unwrap()
            .unwrap();
        let pack = builder.finish(&mut rng());
        let sealed_length = pack.entries[0].sealed_length;
        let sealed = &pack.bytes[offset as usize..][..sealed_length as usize];
        let root = Root {
            settings: Some(Located {
                chunk_id: chunk.as_bytes().to_vec(),
                pack: pack.id.to_vec(),
                epoch,
                offset,
                sealed_length,
                sealed_hash: blake3::hash(sealed).as_bytes().to_vec(),
                pack_size: u32::try_from(pack.bytes.len()).unwrap(),
            }),
            pack_count: sight.root.pack_count + 1,
            ..sight.root
        };
        let put = self.remote.put_pack(id, &pack.id, Bytes::from(pack.bytes));
        put.unwrap();
        self.commit_change(*id, &root, &[pack.id], &[]);
    }
}
