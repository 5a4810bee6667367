//! A member with one device, who signs what he sends. Secrets are random bytes:
//! the server cannot tell.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use tonic::{Request, Status, transport::Channel};
use vault_proto::{
    account_log::{self, AccountLog},
    device::{DeviceKind, DevicePublic, KemKey},
    entry::{BOX_BYTES, UnsignedEntry},
    head::{Head, SeenHeads, SignedHead},
    ids::{AccountId, DeviceId, HeadHash, HosterId, PackId, RootHash, VaultId},
    invitation::Invitation,
    login::{Hello, Login},
    origin::Origin,
    pack_list::PackList,
    position::HeadPosition,
    sign::VerifyingKey,
    vault_log::{self, VaultLog, member_ref},
    wire,
};
use vault_rpc::hoster::{
    AppendAccountEntryRequest, AppendVaultEntryRequest, CommitHeadRequest, CommitHeadResponse,
    CreateAccountRequest, CreateVaultRequest, HelloRequest, HelloResponse, LoginRequest,
    LoginResponse, PackRange, PutPackHeader, PutPackRequest, PutPackResponse, ReadPacksRequest,
    SyncVaultRequest, SyncVaultResponse, commit_head_response::Outcome,
    hoster_client::HosterClient, put_pack_request::Part,
};

use super::{Dialled, TestServer};

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

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

/// A device's keys.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) signing: SigningKey,
    pub(crate) public: DevicePublic,
}

impl Device {
    pub(crate) fn generate(kind: DeviceKind) -> Self {
        let signing = SigningKey::from_bytes(&random());
        let key = VerifyingKey::from_slice(signing.verifying_key().as_bytes()).unwrap();
        let kem = KemKey::from_slice(&random::<1216>()).unwrap();
        Self {
            signing,
            public: DevicePublic::new(kind, key, kem),
        }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.public.id()
    }

    pub(crate) fn sign_entry(&self, entry: UnsignedEntry) -> wire::SignedEntry {
        let signature = self.signing.sign(&entry.to_sign()).to_bytes();
        entry.with_signatures([(self.id(), signature)])
    }
}

/// A member as the test drives him.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) device: Device,
    pub(crate) log: AccountLog,
    pub(crate) origin: Origin,
    pub(crate) hoster: HosterId,
    pub(crate) client: HosterClient<Channel>,
    pub(crate) exporter: Option<[u8; 32]>,
    pub(crate) token: Vec<u8>,
}

/// A genesis of one paper device.
pub(crate) fn genesis(device: &Device, home: HosterId) -> wire::SignedEntry {
    let entry = account_log::genesis_entry(
        device.id(),
        wire::AccountGenesis {
            salt: random::<32>().to_vec(),
            home: home.to_vec(),
            devices: vec![wire::NewDevice {
                public: Some(device.public.to_wire()),
                sealed_name: vec![1; 40],
            }],
            account_key: Some(wire::AccountKey {
                generation: 1,
                kem_key: random::<1216>().to_vec(),
                seeds: vec![sealed_seed(&device.id())],
                previous_seed: Vec::new(),
            }),
        },
    );
    device.sign_entry(UnsignedEntry::account(&entry))
}

impl Member {
    /// A member who has not said anything yet.
    pub(crate) fn new(server_dialled: Dialled, invitation: &Invitation) -> Self {
        let device = Device::generate(DeviceKind::Paper);
        let genesis = genesis(&device, invitation.hoster);
        Self {
            log: AccountLog::verify_genesis(&genesis).unwrap(),
            device,
            origin: invitation.origin.clone(),
            hoster: invitation.hoster,
            client: HosterClient::new(server_dialled.channel).max_decoding_message_size(8 << 20),
            exporter: server_dialled.exporter,
            token: Vec::new(),
        }
    }

    pub(crate) async fn sign_up(server: &TestServer, invitation: &Invitation) -> Self {
        let dialled = server.dial(invitation).await;
        let mut member = Self::new(dialled, invitation);
        member.create_account(invitation).await.unwrap();
        member.log_in().await;
        member
    }

    pub(crate) fn id(&self) -> AccountId {
        self.log.id()
    }

    pub(crate) async fn create_account(&mut self, invitation: &Invitation) -> Result<u64, Status> {
        let request = CreateAccountRequest {
            invitation: invitation.secret.as_bytes().to_vec(),
            genesis: Some(self.log.entries()[0].clone()),
        };
        let answer = self.client.create_account(request).await?;
        Ok(answer.into_inner().quota_bytes)
    }

    /// Dials again, as after a restart of the server.
    pub(crate) fn reconnect(&mut self, dialled: Dialled) {
        self.client = HosterClient::new(dialled.channel).max_decoding_message_size(8 << 20);
        self.exporter = dialled.exporter;
    }

    /// The hoster's half, verified.
    pub(crate) async fn hello(&mut self) -> Result<([u8; 32], HelloResponse), Status> {
        let client_nonce = random();
        let request = HelloRequest {
            client_nonce: client_nonce.to_vec(),
            origin: self.origin.to_string(),
        };
        let answer = self.client.hello(request).await?.into_inner();
        let hello = Hello {
            hoster: self.hoster,
            client_nonce,
            server_nonce: answer.server_nonce[..].try_into().unwrap(),
            time: answer.time,
            exporter: self.exporter,
            origin: self.origin.clone(),
        };
        let key = VerifyingKey::from_slice(&answer.hoster_key).unwrap();
        hello
            .verify(&key, answer.signature[..].try_into().unwrap())
            .unwrap();
        Ok((client_nonce, answer))
    }

    /// A login as this member would sign it.
    pub(crate) fn login(&self, client_nonce: [u8; 32], hello: &HelloResponse) -> Login {
        Login {
            hoster: self.hoster,
            client_nonce,
            server_nonce: hello.server_nonce[..].try_into().unwrap(),
            time: hello.time,
            exporter: self.exporter,
            account: self.id(),
            device: self.device.id(),
            origin: self.origin.clone(),
        }
    }

    pub(crate) fn sign_login(&self, login: &Login) -> LoginRequest {
        LoginRequest {
            client_nonce: login.client_nonce.to_vec(),
            server_nonce: login.server_nonce.to_vec(),
            origin: login.origin.to_string(),
            account: login.account.to_vec(),
            device: login.device.to_vec(),
            time: login.time,
            signature: self
                .device
                .signing
                .sign(&login.to_sign())
                .to_bytes()
                .to_vec(),
        }
    }

    pub(crate) async fn try_log_in(&mut self) -> Result<LoginResponse, Status> {
        let (nonce, hello) = self.hello().await?;
        let request = self.sign_login(&self.login(nonce, &hello));
        Ok(self.client.login(request).await?.into_inner())
    }

    pub(crate) async fn log_in(&mut self) {
        self.token = self.try_log_in().await.unwrap().token;
    }

    /// A request with this member's token.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let hex: String = self
            .token
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let value = format!("Bearer {hex}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }

    pub(crate) async fn create_vault(&mut self) -> VaultOf {
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
        self.client.create_vault(request).await.unwrap();
        VaultOf {
            log,
            seen: SeenHeads::none(),
        }
    }

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

    /// Adds a machine to the account, and is it.
    pub(crate) async fn add_device(&mut self) -> Self {
        let device = Device::generate(DeviceKind::Machine);
        let body = wire::account_entry::Body::AddDevice(wire::AddDevice {
            device: Some(wire::NewDevice {
                public: Some(device.public.to_wire()),
                sealed_name: vec![2; 40],
            }),
            seed: Some(sealed_seed(&device.id())),
        });
        let entry = self.log.next_entry(self.device.id(), body);
        let entry = UnsignedEntry::account(&entry);
        let to_sign = entry.to_sign();
        let signatures = [&self.device, &device]
            .map(|signer| (signer.id(), signer.signing.sign(&to_sign).to_bytes()));
        self.append(entry.with_signatures(signatures))
            .await
            .unwrap();
        Self {
            device,
            token: Vec::new(),
            ..self.clone()
        }
    }

    /// Removes a device of the account, which begins a new account key.
    pub(crate) async fn remove_device(&mut self, device: DeviceId) {
        let entry = self.removal(device);
        self.append(entry).await.unwrap();
    }

    pub(crate) fn removal(&self, device: DeviceId) -> wire::SignedEntry {
        let seq = self.log.position().seq;
        let staying = self
            .log
            .active_devices_at(seq)
            .map(|record| record.public.id());
        let seeds = staying
            .filter(|id| *id != device)
            .map(|id| sealed_seed(&id));
        let body = wire::account_entry::Body::RemoveDevice(wire::RemoveDevice {
            device: device.to_vec(),
            account_key: Some(wire::AccountKey {
                generation: self.log.account_key().generation + 1,
                kem_key: random::<1216>().to_vec(),
                seeds: seeds.collect(),
                previous_seed: random::<72>().to_vec(),
            }),
        });
        let entry = self.log.next_entry(self.device.id(), body);
        self.device.sign_entry(UnsignedEntry::account(&entry))
    }

    /// Appends to the account log, here and at the hoster.
    pub(crate) async fn append(&mut self, entry: wire::SignedEntry) -> Result<(), Status> {
        let mut log = self.log.clone();
        log.append(&entry).unwrap();
        self.send_account_entry(entry).await?;
        self.log = log;
        Ok(())
    }

    pub(crate) async fn send_account_entry(&self, entry: wire::SignedEntry) -> Result<(), Status> {
        let request = self.request(AppendAccountEntryRequest { entry: Some(entry) });
        self.client.clone().append_account_entry(request).await?;
        Ok(())
    }

    /// Makes `other` a member of the vault, who accepts.
    pub(crate) async fn share(&mut self, vault: &mut VaultOf, other: &mut Self, role: wire::Role) {
        let accounts = logs([&*self, &*other]);
        let add = wire::vault_entry::Body::AddMember(wire::AddMember {
            role: role.into(),
            r#box: Some(wire::EpochBox {
                member: Some(member_ref(&other.id(), &other.log.position())),
                generation: other.log.account_key().generation,
                r#box: random::<BOX_BYTES>().to_vec(),
            }),
        });
        let entry = self.vault_entry(vault, add, &accounts);
        self.send_vault_entry(vault.id(), entry).await.unwrap();
        let accept = wire::vault_entry::Body::Accept(wire::AcceptMembership {});
        let entry = other.vault_entry(vault, accept, &accounts);
        other.send_vault_entry(vault.id(), entry).await.unwrap();
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
            vault.seen.position(),
            body,
        );
        let entry = self.device.sign_entry(UnsignedEntry::vault(&entry));
        vault.log.append(&entry, accounts).unwrap();
        entry
    }
}

/// The logs of some members, to verify with.
pub(crate) fn logs<'a>(
    members: impl IntoIterator<Item = &'a Member>,
) -> BTreeMap<AccountId, AccountLog> {
    let logs = members
        .into_iter()
        .map(|member| (member.id(), member.log.clone()));
    logs.collect()
}

fn sealed_seed(device: &DeviceId) -> wire::SealedSeed {
    wire::SealedSeed {
        device: device.to_vec(),
        r#box: random::<BOX_BYTES>().to_vec(),
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
