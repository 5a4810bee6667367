//! Vaults: their logs and heads.

use ed25519_dalek::Signer;
use tonic::Status;
use vault_proto::{
    account_log,
    entry::{BOX_BYTES, UnsignedEntry},
    head::{Head, SeenHeads, SignedHead, head_for_entry},
    ids::{HeadHash, RootHash, VaultId},
    pack_list::PackList,
    position::HeadPosition,
    vault_log::{self, VaultLog, member_ref},
    wire,
};
use vault_rpc::hoster::{
    AppendVaultEntryRequest, CommitHeadRequest, CommitHeadResponse, CreateVaultRequest,
    SyncVaultRequest, SyncVaultResponse, commit_head_response::Outcome,
};

use super::{Member, logs, random};

impl Member {
    pub(crate) async fn create_vault(&mut self) -> VaultOf {
        self.try_create_vault().await.unwrap()
    }

    pub(crate) async fn try_create_vault(&mut self) -> Result<VaultOf, Status> {
        let position = self.log.position();
        let genesis = vault_log::genesis_entry(
            &self.id(),
            &position,
            &self.device.id(),
            wire::VaultGenesis {
                salt: random::<32>().to_vec(),
                kind: wire::VaultKind::Storage.into(),
                home: self.hoster.to_vec(),
                epoch: Some(wire::Epoch {
                    number: 1,
                    commitment: random::<32>().to_vec(),
                    boxes: vec![wire::EpochBox {
                        member: Some(member_ref(&self.id(), &position)),
                        generation: 1,
                        r#box: random::<BOX_BYTES>().to_vec(),
                    }],
                    previous_secret: Vec::new(),
                }),
            },
        );
        let genesis = self.device.sign_entry(UnsignedEntry::vault(&genesis));
        let log = VaultLog::verify_genesis(&genesis, &self.log).unwrap();
        let request = CreateVaultRequest {
            genesis: Some(genesis),
        };
        let request = self.request(request);
        self.client.create_vault(request).await?;
        Ok(VaultOf {
            log,
            seen: SeenHeads::none(),
        })
    }

    /// Makes `other` a member of the vault, who accepts.
    pub(crate) async fn share(&mut self, vault: &mut VaultOf, other: &mut Self, role: wire::Role) {
        self.add(vault, other, role).await.unwrap();
        other.accept(vault, self).await;
    }

    /// Makes `other` a member of the vault.
    pub(crate) async fn add(
        &self,
        vault: &mut VaultOf,
        other: &Self,
        role: wire::Role,
    ) -> Result<(), Status> {
        let accounts = logs([self, other]);
        let add = wire::vault_entry::Body::AddMember(wire::AddMember {
            role: role.into(),
            r#box: Some(wire::EpochBox {
                member: Some(member_ref(&other.id(), &other.log.position())),
                generation: other.log.account_key().generation,
                r#box: random::<BOX_BYTES>().to_vec(),
            }),
        });
        let mut after = vault.clone();
        let entry = self.vault_entry(&mut after, add, &accounts);
        self.send_vault_entry(vault.id(), entry).await?;
        *vault = after;
        Ok(())
    }

    /// Takes up the membership that `other` gave.
    pub(crate) async fn accept(&self, vault: &mut VaultOf, other: &Self) {
        let accounts = logs([self, other]);
        let accept = wire::vault_entry::Body::Accept(wire::AcceptMembership {});
        let entry = self.vault_entry(vault, accept, &accounts);
        self.send_vault_entry(vault.id(), entry).await.unwrap();
    }

    /// Takes `other`'s membership away.
    pub(crate) async fn remove_member(&mut self, vault: &mut VaultOf, other: &Self) {
        let accounts = logs([&*self, other]);
        let remove = wire::vault_entry::Body::RemoveMember(wire::RemoveMember {
            member: Some(member_ref(&other.id(), &other.log.position())),
        });
        let entry = self.vault_entry(vault, remove, &accounts);
        self.send_vault_entry(vault.id(), entry).await.unwrap();
    }

    /// Begins an epoch for these members and this one.
    pub(crate) async fn rotate(&mut self, vault: &mut VaultOf, members: &[&Self]) {
        self.try_rotate(vault, members).await.unwrap();
    }

    pub(crate) async fn try_rotate(
        &mut self,
        vault: &mut VaultOf,
        members: &[&Self],
    ) -> Result<(), Status> {
        let mut members: Vec<_> = members.iter().map(|member| &member.log).collect();
        members.push(&self.log);
        members.sort_by_key(|log| log.id());
        members.dedup_by_key(|log| log.id());
        let boxes = members.iter().map(|log| wire::EpochBox {
            member: Some(member_ref(&log.id(), &log.position())),
            generation: log.account_key().generation,
            r#box: random::<BOX_BYTES>().to_vec(),
        });
        let rotate = wire::vault_entry::Body::Rotate(wire::RotateEpoch {
            epoch: Some(wire::Epoch {
                number: vault.log.epoch().number + 1,
                commitment: random::<32>().to_vec(),
                boxes: boxes.collect(),
                previous_secret: random::<72>().to_vec(),
            }),
        });
        let accounts = members.into_iter().map(|log| (log.id(), log.clone()));
        let accounts: std::collections::BTreeMap<_, _> = accounts.collect();
        let entry = self.vault_entry(vault, rotate, &accounts);
        self.send_vault_entry(vault.id(), entry).await
    }

    pub(crate) async fn send_vault_entry(
        &self,
        vault: VaultId,
        entry: wire::SignedEntry,
    ) -> Result<(), Status> {
        let request = self.request(AppendVaultEntryRequest {
            vault: vault.to_vec(),
            entry: Some(entry),
        });
        self.client.clone().append_vault_entry(request).await?;
        Ok(())
    }

    pub(crate) async fn sync(
        &self,
        request: SyncVaultRequest,
    ) -> Result<SyncVaultResponse, Status> {
        let request = self.request(request);
        Ok(self.client.clone().sync_vault(request).await?.into_inner())
    }

    /// An entry of this member's vault, signed and appended to his copy of the log.
    pub(crate) fn vault_entry(
        &self,
        vault: &mut VaultOf,
        body: wire::vault_entry::Body,
        accounts: &dyn account_log::AccountLogs,
    ) -> wire::SignedEntry {
        let entry = vault.log.next_entry(
            &self.id(),
            &self.log.position(),
            &self.device.id(),
            head_for_entry(&vault.log, vault.seen.newest()),
            body,
        );
        let entry = self.device.sign_entry(UnsignedEntry::vault(&entry));
        vault.log.append(&entry, accounts).unwrap();
        entry
    }

    /// The next head of the vault, unsigned, with a root.
    pub(crate) fn head(
        &self,
        vault: &VaultOf,
        adds: &PackList,
        removes: &PackList,
    ) -> (Head, Vec<u8>) {
        let root = random::<4096>().to_vec();
        let links = vault.seen.next_links();
        let head = Head {
            vault: vault.id(),
            seq: links.seq,
            previous: links.previous,
            skip: links.skip,
            vault_position: vault.log.position(),
            account: self.id(),
            device: self.device.id(),
            account_position: self.log.position(),
            epoch: vault.log.epoch().number,
            root: RootHash::of(&root),
            adds: adds.hash(),
            removes: removes.hash(),
            reconciled: None,
        };
        (head, root)
    }

    pub(crate) fn sign_head(&self, head: Head) -> SignedHead {
        let signature = self.device.signing.sign(&head.to_sign()).to_bytes();
        SignedHead::new(head, signature)
    }

    /// A commit, ready to be sent.
    pub(crate) fn commit_of(
        &self,
        vault: &VaultOf,
        adds: &PackList,
        removes: &PackList,
    ) -> CommitHeadRequest {
        let (head, root) = self.head(vault, adds, removes);
        CommitHeadRequest {
            head: self.sign_head(head).to_bytes().to_vec(),
            root,
            adds: adds.to_bytes(),
            removes: removes.to_bytes(),
        }
    }

    pub(crate) async fn send(
        &mut self,
        commit: &CommitHeadRequest,
    ) -> Result<CommitHeadResponse, Status> {
        let request = self.request(commit.clone());
        Ok(self.client.commit_head(request).await?.into_inner())
    }

    /// Commits, which must be accepted, and follows.
    pub(crate) async fn commit(
        &mut self,
        vault: &mut VaultOf,
        adds: &PackList,
        removes: &PackList,
    ) -> HeadPosition {
        let commit = self.commit_of(vault, adds, removes);
        let answer = self.send(&commit).await.unwrap();
        assert!(
            matches!(answer.outcome, Some(Outcome::Accepted(_))),
            "{answer:?}"
        );
        vault.follow(&commit)
    }
}

/// A vault as a member knows it.
#[derive(Clone)]
pub(crate) struct VaultOf {
    pub(crate) log: VaultLog,
    pub(crate) seen: SeenHeads,
}

impl VaultOf {
    pub(crate) fn id(&self) -> VaultId {
        self.log.id()
    }

    /// Takes an accepted commit for the newest head.
    pub(crate) fn follow(&mut self, commit: &CommitHeadRequest) -> HeadPosition {
        let mut hashes: Vec<HeadHash> = Vec::new();
        let head = vault_proto::head::UnverifiedHead::decode(&commit.head).unwrap();
        let mut seq = vault_proto::head::skip_seq(head.seq());
        let mut skip = head.claims().skip;
        // The skips of the head before lead on from where this one's begin.
        let older = self.seen.clone();
        while seq > 0 {
            let hash = skip.take().unwrap_or_else(|| hash_at(&older, seq));
            hashes.push(hash);
            seq = vault_proto::head::skip_seq(seq);
        }
        self.seen = SeenHeads::restore(&commit.head, &hashes).unwrap();
        head.position()
    }
}

fn hash_at(seen: &SeenHeads, wanted: u64) -> HeadHash {
    let newest = seen.position().unwrap();
    if newest.seq == wanted {
        return newest.hash;
    }
    let mut seq = vault_proto::head::skip_seq(newest.seq);
    for hash in seen.skips() {
        if seq == wanted {
            return hash;
        }
        seq = vault_proto::head::skip_seq(seq);
    }
    panic!("no head {wanted} is kept");
}
