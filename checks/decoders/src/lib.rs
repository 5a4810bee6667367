//! Every decoder of bytes from outside, in one shape: bytes in, nothing out,
//! no panic whatever the bytes are. What decodes must encode to the same bytes.
//!
//! The fuzz targets call these, and so does a test with the saved corpora.

pub mod cast;

use std::{convert::Infallible, hint::black_box, sync::OnceLock};

use cast::{CAST, OFFER, VAULT};
use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use vault_core::{
    boxes::KemPublicKey,
    catalog::Catalog,
    chunk::{ChunkId, ChunkKind, ChunkSource},
    index::{OwnPack, Segment, sorted},
    keys::{AccountSecrets, DeviceKeys, RecoveryPhrase, VaultKeys},
    labels,
    links::{Capsule, LinkSecret, LinkUrl, Links, OpenLinkError},
    offer::{SealedOffer, UnverifiedOffer},
    pack::{MAX_PACK_LEN, MIN_PACK_LEN, TRAILER_LEN, read_pack_entries},
    pairing::{PairingCode, PairingStep},
    printed_head::PrintedHead,
    root::open_root,
    seal::Decompressor,
    settings::AccountSettings,
    snapshot::Snapshot,
    stream::StreamRef,
    tree::{Node, Step, Walk},
};
use vault_proto::{
    account_log::AccountLog,
    address::{Address, parse_fingerprint},
    canonical::decode_canonical,
    device::DevicePublic,
    head::{
        Head, HeadContext, PreviousHeads, SEALED_ROOT_BYTES, SIGNED_HEAD_BYTES, SeenHeads,
        SignedHead, UnverifiedHead, verify_path,
    },
    ids::{AccountId, DeviceId, EntryHash, HeadHash, PackId, PackListHash, RootHash, VaultId},
    invitation::Invitation,
    login::{Hello, Login},
    origin::Origin,
    pack_list::PackList,
    position::{HeadPosition, LogPosition},
    sign::{SIGNATURE_BYTES, SignLabel, VerifyingKey},
    vault_log::VaultLog,
    wire,
};

/// A decoder and its name, which is also the name of its fuzz target and corpus.
pub type Decoder = (&'static str, fn(&[u8]));

/// All decoders.
pub const DECODERS: &[Decoder] = &[
    ("account_entry", account_entry),
    ("address", address),
    ("capsule", capsule),
    ("catalog", catalog),
    ("chunk", chunk),
    ("device_keys", device_keys),
    ("device_name", device_name),
    ("directory", directory),
    ("head", head),
    ("head_path", head_path),
    ("invitation", invitation),
    ("kem_key", kem_key),
    ("link_url", link_url),
    ("links", links),
    ("login", login),
    ("node", node),
    ("offer", offer),
    ("pack", pack),
    ("pack_list", pack_list),
    ("pairing", pairing),
    ("phrase", phrase),
    ("printed_head", printed_head),
    ("root", root),
    ("segment", segment),
    ("settings", settings),
    ("snapshot", snapshot),
    ("sorted_segment", sorted_segment),
    ("stream", stream),
    ("vault_entry", vault_entry),
];

/// A genesis of an account log, then entries that follow it, each preceded by
/// its length as a varint. Devices of the [`cast`] sign what bears their names, and
/// try to open the account in the end.
pub fn account_entry(bytes: &[u8]) {
    let mut rest = bytes;
    let label = SignLabel::AccountEntry;
    let Some(genesis) = next_entry(&mut rest, label) else {
        return;
    };
    let Ok(mut log) = AccountLog::verify_genesis(&genesis) else {
        return;
    };
    while let Some(entry) = next_entry(&mut rest, label) {
        let before = log.position();
        let told = log.verify_next(&entry);
        let done = log.append(&entry);
        assert_eq!(told, done);
        if done.is_err() {
            assert_eq!(log.position(), before, "a refused entry changes nothing");
        }
    }
    for member in &CAST.members {
        for device in [&member.laptop, &member.phone, &member.paper] {
            black_box(AccountSecrets::open(&log, device).is_ok());
        }
    }
}

/// A genesis of a vault log, then entries that follow it, likewise. The members
/// are those of the [`cast`], who try to open the vault in the end. The same
/// bytes are tried as a payload, too.
pub fn vault_entry(bytes: &[u8]) {
    if let Ok(entry) = decode_canonical::<wire::VaultEntry>(bytes, 256 << 10) {
        assert_eq!(entry.encode_to_vec(), bytes);
    }
    let mut rest = bytes;
    let label = SignLabel::VaultEntry;
    let Some(genesis) = next_entry(&mut rest, label) else {
        return;
    };
    let Ok(mut log) = VaultLog::verify_genesis(&genesis, &CAST.logs) else {
        return;
    };
    while let Some(entry) = next_entry(&mut rest, label) {
        let before = log.position();
        let told = log.verify_next(&entry, &CAST.logs).map(drop);
        let done = log.append(&entry, &CAST.logs);
        assert_eq!(told, done);
        if done.is_err() {
            assert_eq!(log.position(), before, "a refused entry changes nothing");
        }
    }
    for member in &CAST.members {
        black_box(VaultKeys::open(&log, &member.secrets).is_ok());
    }
}

/// The secret file of a device's keys.
pub fn device_keys(bytes: &[u8]) {
    if let Ok(keys) = DeviceKeys::from_secret_bytes(bytes) {
        assert_eq!(keys.to_secret_bytes().as_slice(), bytes);
    }
}

/// A key to seal to.
pub fn kem_key(bytes: &[u8]) {
    if let Ok(key) = KemPublicKey::from_slice(bytes) {
        assert_eq!(key.as_bytes().as_slice(), bytes);
    }
}

/// A sealed name of a device.
pub fn device_name(bytes: &[u8]) {
    for member in &CAST.members {
        black_box(member.secrets.open_name(bytes).is_ok());
    }
}

/// A signed head: as it is, and as the first of the vault of the [`cast`], by the
/// device that it names if that is one of theirs.
pub fn head(bytes: &[u8]) {
    let Ok(head) = UnverifiedHead::decode(bytes) else {
        return;
    };
    assert_eq!(head.to_bytes().as_slice(), bytes);
    let claims = head.claims();
    let Some(device) = CAST.device(claims.device.as_bytes()) else {
        return;
    };
    let signature = device.sign(SignLabel::Head, &claims.to_signed_bytes());
    let signed = SignedHead::new(claims.clone(), signature).to_bytes();
    let head = UnverifiedHead::decode(&signed).expect("it was decoded before");
    let author = head.verify_author(&VAULT.log, &CAST.logs);
    let seen = SeenHeads::none();
    let context = |previous| HeadContext {
        vault_log: &VAULT.log,
        account_logs: &CAST.logs,
        previous,
    };
    let next = head.clone().verify(&context(PreviousHeads::Next(&seen)));
    assert!(next.is_err() || author.is_ok());
    // A skip hash may lead to the beginning from any power of two, but what comes
    // next after nothing is the first.
    let first = claims.seq == 1;
    match seen.follow(vec![head.clone()]) {
        Ok(path) if first => {
            let along = head.verify(&context(PreviousHeads::Path(&path)));
            assert_eq!(along.map(drop), next.map(drop), "a path of one is the next");
        }
        Ok(_) => assert!(next.is_err(), "the next after nothing is the first"),
        Err(_) => assert!(next.is_err(), "what does not follow is not the next"),
    }
}

/// Signed heads end to end, the newest first: from the beginning of the chain,
/// and from the last of them as what is known.
pub fn head_path(bytes: &[u8]) {
    let (heads, _) = bytes.as_chunks::<SIGNED_HEAD_BYTES>();
    let decoded = heads.iter().map(|head| UnverifiedHead::decode(head));
    let Ok(heads) = decoded.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let known = heads.last().map(UnverifiedHead::position);
    black_box(verify_path(known, &heads).is_ok());
    if let Ok(path) = SeenHeads::none().follow(heads.clone()) {
        assert_eq!(verify_path(None, &heads), Ok(()));
        assert_eq!(path.newest(), &heads[0]);
    }
}

/// The packs that a head adds or removes.
pub fn pack_list(bytes: &[u8]) {
    if let Ok(list) = PackList::from_bytes(bytes) {
        assert_eq!(list.to_bytes(), bytes);
        assert!(list.packs().iter().all(|pack| list.contains(pack)));
    }
}

/// What is sealed as a root, without the zeros at its end: a length of 4 bytes,
/// and an encoded root. The same bytes are tried as a sealed root, too.
pub fn root(bytes: &[u8]) {
    let sealed_len = match bytes.len() {
        0..4_056 => SEALED_ROOT_BYTES[0],
        4_056..16_344 => SEALED_ROOT_BYTES[1],
        _ => return,
    };
    let nobody = |byte| LogPosition {
        seq: 1,
        hash: EntryHash::from_array([byte; 32]),
    };
    let head = |root: &[u8]| Head {
        vault: VAULT_ID,
        seq: 1,
        previous: None,
        skip: None,
        vault_position: nobody(1),
        account: AccountId::from_array([2; 32]),
        device: DeviceId::from_array([3; 32]),
        account_position: nobody(4),
        epoch: 1,
        root: RootHash::of(root),
        adds: PackListHash::from_array([5; 32]),
        removes: PackListHash::from_array([6; 32]),
        reconciled: None,
    };
    let mut padded = bytes.to_vec();
    padded.resize(sealed_len - 40, 0);
    let key = sealed::derived(labels::ROOT_SEALING_KEY);
    let sealed = sealed::seal(&key, &head(&[]).to_root_associated_data(), &padded);
    let keys = keys();
    if let Ok(root) = open_root(&keys, &head(&sealed), &sealed) {
        assert_eq!(root.encode_to_vec(), padded[4..][..root.encoded_len()]);
    }
    padded.resize(sealed_len, 0);
    black_box(open_root(&keys, &head(&padded), &padded).is_ok());
}

/// An invitation's URL, or an origin.
pub fn invitation(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(Invitation::parse(text).is_ok());
        if let Ok(origin) = Origin::parse_exact(text) {
            assert_eq!(Origin::parse(text), Ok(origin));
        }
        black_box(Origin::parse(text).is_ok());
    }
}

/// A member's address, or a fingerprint alone.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    black_box(parse_fingerprint(text).is_some());
    if let Ok(address) = Address::parse(text) {
        assert_eq!(Address::parse_exact(&address.to_string()), Ok(address));
    }
}

/// An offer of membership, as its recipient finds it when he has opened it: a device of
/// the [`cast`] signs what bears its name, and it is sealed, opened, and verified. The
/// same bytes are tried as a sealed one, and as its text.
pub fn offer(bytes: &[u8]) {
    let decoded = UnverifiedOffer::decode(bytes);
    let signed = match &decoded {
        Ok(offer) => offer_signed_by(&offer.claims().sender_device, bytes),
        Err(_) => bytes.to_vec(),
    };
    let [sender, recipient] = &CAST.members;
    if let Some(sealed) = OFFER.with(&signed)
        && let Ok(opened) = sealed.open(&recipient.secrets)
    {
        assert_eq!(opened.claims().recipient, recipient.log.id());
        let is_his = opened.verify_sender(&sender.log).is_ok();
        let verified = opened.verify(&sender.log, &VAULT.log);
        assert!(verified.is_err() || is_his);
    }
    if let Ok(offer) = SealedOffer::from_slice(bytes) {
        assert_eq!(SealedOffer::parse(&offer.to_text()), Ok(offer));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(SealedOffer::parse(text).is_ok());
    }
}

fn offer_signed_by(device: &DeviceId, signed: &[u8]) -> Vec<u8> {
    match (
        CAST.device(device.as_bytes()),
        wire::SignedOffer::decode(signed),
    ) {
        (Some(device), Ok(mut offer)) => {
            offer.signature = device.sign(SignLabel::Offer, &offer.payload).to_vec();
            offer.encode_to_vec()
        }
        _ => signed.to_vec(),
    }
}

/// Both halves of a login: a byte of flags, the nonces, a time, the origin that was
/// dialled. Flags: who the two are, the channel's exporter, and what is wrong with the
/// signatures. The last 32 bytes are tried as a key, too.
pub fn login(bytes: &[u8]) {
    let Some((&[flags], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let is_set = |bit: u8| flags >> bit & 1 == 1;
    let Some((client_nonce, rest)) = rest.split_first_chunk() else {
        return;
    };
    let Some((server_nonce, rest)) = rest.split_first_chunk() else {
        return;
    };
    let Some((time, rest)) = rest.split_first_chunk() else {
        return;
    };
    let key = VerifyingKey::from_slice(rest.last_chunk::<32>().map_or(&[], |key| key));
    let [member, other] = &CAST.members;
    // The hoster has a key like a device's.
    let hoster = if is_set(0) {
        &member.phone
    } else {
        &other.phone
    };
    let device = if is_set(1) {
        &member.laptop
    } else {
        &member.paper
    };
    let Some(Ok(origin)) = std::str::from_utf8(rest).ok().map(Origin::parse) else {
        return;
    };
    let hello = Hello {
        hoster: member.phone.public().signing_key().hoster_id(),
        client_nonce: *client_nonce,
        server_nonce: *server_nonce,
        time: u64::from_le_bytes(*time),
        exporter: is_set(2).then_some([3; 32]),
        origin,
    };
    let login = Login {
        hoster: hello.hoster,
        client_nonce: hello.client_nonce,
        server_nonce: hello.server_nonce,
        time: hello.time,
        exporter: hello.exporter,
        account: if is_set(3) {
            other.log.id()
        } else {
            member.log.id()
        },
        device: device.id(),
        origin: hello.origin.clone(),
    };
    let mut signature = hoster.sign(SignLabel::Hello, &hello.to_payload());
    signature[0] ^= u8::from(is_set(4));
    let verified = hello.verify(hoster.public().signing_key(), &signature);
    assert_eq!(verified.is_ok(), is_set(0) && !is_set(4));
    if let Ok(key) = key {
        black_box(hello.verify(&key, &signature).is_ok());
    }
    let mut signature = device.sign(SignLabel::Login, &login.to_payload());
    signature[63] ^= u8::from(is_set(5));
    let verified = login.verify(&member.log, &signature);
    assert_eq!(verified.is_ok(), is_set(1) && !is_set(3) && !is_set(5));
}

/// A message of a pairing, well sealed: a byte for the step, then the message.
/// The same bytes are tried as a code.
pub fn pairing(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(code) = PairingCode::parse(text)
    {
        assert_eq!(code.to_text().as_str(), text.trim());
    }
    let Some((&first, message)) = bytes.split_first() else {
        return;
    };
    let number = first % 4;
    let step = PairingStep::ALL[usize::from(number)];
    let room = step.sealed_len() - 40 - 4;
    if message.len() > room {
        return;
    }
    // The code is that of the device that introduces itself, so that its other
    // fields are looked at.
    let introduced = wire::PairingIntroduction::decode(message).ok();
    let public = introduced
        .and_then(|introduction| introduction.public)
        .and_then(|public| DevicePublic::from_wire(&public).ok());
    let device = public.as_ref().map_or([3; 32], |new| *new.id().as_bytes());
    let code = wire::PairingCode {
        version: 1,
        secret: EPOCH_SECRET.to_vec(),
        device: device.to_vec(),
    };
    let code = BASE64URL_NOPAD.encode(&code.encode_to_vec());
    let code = PairingCode::parse(&format!("coffre-pair:{code}")).expect("a code");
    let mut padded = (message.len() as u32).to_le_bytes().to_vec();
    padded.extend_from_slice(message);
    padded.resize(4 + room, 0);
    let key = sealed::derived(labels::pairing_key(step));
    let place = [labels::PAIRING.as_bytes(), &[number + 1]].concat();
    let sealed = sealed::seal(&key, &place, &padded);
    let opens = match step {
        PairingStep::Introduction => code.open_introduction(&sealed).is_ok(),
        PairingStep::Proposal => code.open_proposal(&own_device(), &sealed).is_ok(),
        PairingStep::Signature => code.open_signature(&sealed).is_ok(),
        PairingStep::End => code.open_end(&sealed).is_ok(),
    };
    black_box(opens);
}

/// A device that a proposal could add.
fn own_device() -> DevicePublic {
    static DEVICE: OnceLock<DevicePublic> = OnceLock::new();
    let make = || {
        let bytes = [&[1][..], &[4; 64]].concat();
        let keys = DeviceKeys::from_secret_bytes(&bytes).expect("the keys of a machine");
        keys.public().clone()
    };
    DEVICE.get_or_init(make).clone()
}

/// A link's URL.
pub fn link_url(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(link) = LinkUrl::parse(text)
    {
        assert_eq!(LinkUrl::parse(&link.to_url()), Ok(link.clone()));
        // No text is the capsule that it names.
        assert!(link.open(bytes, None).is_err());
    }
}

/// A capsule as whoever has the link's secret can seal it, and a device sign it:
/// a byte of flags, then an encoded capsule, whose link and device are put right
/// unless a flag is set. The same bytes are tried as a sealed capsule, too.
pub fn capsule(bytes: &[u8]) {
    let secret = LinkSecret::from_array(EPOCH_SECRET);
    let key = secret.capsule_key(None);
    black_box(Capsule::open(&key, secret.id(), bytes).is_ok());
    let Some((&flags, payload)) = bytes.split_first() else {
        return;
    };
    let Ok(device) = DeviceKeys::from_secret_bytes(&[1; 65]) else {
        return;
    };
    let mut payload = payload.to_vec();
    if flags & 1 == 0
        && let Ok(mut capsule) = wire::Capsule::decode(payload.as_slice())
    {
        capsule.link = secret.id().to_vec();
        capsule.device = Some(device.public().to_wire());
        payload = capsule.encode_to_vec();
    }
    let signature = device.sign(SignLabel::Capsule, &payload).to_vec();
    let signed = wire::SignedCapsule { payload, signature }.encode_to_vec();
    let Ok(frame) = zstd::bulk::compress(&signed, 1) else {
        return;
    };
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let wrong = |bit: u8| u32::from(flags >> bit & 1);
    let mut padded = (narrow(frame.len()) ^ wrong(1)).to_le_bytes().to_vec();
    padded.extend((narrow(signed.len()) ^ wrong(2) << 30).to_le_bytes());
    padded.extend(frame);
    let size = (padded.len() + 40).next_power_of_two().max(MIN_PACK_LEN);
    if size > MAX_PACK_LEN {
        return;
    }
    padded.resize(size - 40, flags >> 3 & 1);
    let key_bytes = blake3::derive_key(labels::LINK_CAPSULE_KEY, &EPOCH_SECRET);
    let place = [labels::LINK_CAPSULE.as_bytes(), secret.id().as_bytes()].concat();
    let sealed = sealed::seal(&key_bytes, &place, &padded);
    match Capsule::open(&key, secret.id(), &sealed) {
        Ok(capsule) => {
            let fields = capsule.fields();
            assert!(fields.nodes.iter().all(|node| node.mode <= 0o777));
            for chunk in fields.chunks.iter().take(4) {
                assert!(chunk.open(bytes, &mut Decompressor::default()).is_err());
            }
            black_box((fields.totals(), fields.blocks().len()));
        }
        Err(error) => assert!(matches!(error, OpenLinkError::Malformed(_)), "{error}"),
    }
}

/// The list of a vault's links.
pub fn links(bytes: &[u8]) {
    if let Ok(links) = Links::decode(bytes) {
        assert_eq!(links.encode(), bytes);
    }
}

/// A pack of the vault that [`keys`] opens, as a member would seal it who does
/// as he likes: a byte of flags, the footer's offset and the number of chunks
/// (16 bits each, little-endian), then the footer's plaintext. The same bytes
/// are tried as a pack, too.
pub fn pack(bytes: &[u8]) {
    let read = |pack: &[u8]| read_pack_entries(&keys(), 1, &PackId::of(pack), pack);
    if bytes.len() <= MAX_PACK_LEN {
        black_box(read(bytes).is_ok());
    }
    let Some((&[flags, o0, o1, c0, c1], footer)) = bytes.split_first_chunk() else {
        return;
    };
    let key = sealed::derived(labels::PACK_FOOTER_KEY);
    let place = |part: &str| {
        let vault = VAULT_ID.as_bytes().as_slice();
        [&[1], part.as_bytes(), vault, &1_u64.to_le_bytes()].concat()
    };
    let footer = sealed::seal(&key, &place(labels::PACK_FOOTER), footer);
    let offset = usize::from(u16::from_le_bytes([o0, o1]));
    let end = offset + footer.len();
    let size = (end + TRAILER_LEN).next_power_of_two().max(MIN_PACK_LEN);
    if size > MAX_PACK_LEN {
        return;
    }
    // What the trailer says is right, unless a flag is set.
    let wrong = |bit: u8| u32::from(flags >> bit & 1);
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let words = [
        narrow(offset) ^ wrong(0) << 31,
        narrow(footer.len()) ^ wrong(1) << 31,
        u32::from(u16::from_le_bytes([c0, c1])) ^ wrong(2) << 31,
        wrong(3),
    ];
    let trailer: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut pack = vec![0; size];
    pack[offset..end].copy_from_slice(&footer);
    pack[size - TRAILER_LEN..].copy_from_slice(&sealed::seal(
        &key,
        &place(labels::PACK_TRAILER),
        &trailer,
    ));
    if let Ok(entries) = read(&pack) {
        let mut at = 0;
        for entry in entries {
            assert_eq!(entry.offset, at, "chunks stand end to end");
            at += entry.sealed_length;
        }
        assert_eq!(at as usize, offset, "and the footer after them");
    }
}

/// The kind of a chunk, and what is sealed under the id of the bytes after its
/// first: a body that says that it is not compressed opens, any other must not
/// under that id. The same bytes are tried as kind, id and sealed chunk, too.
pub fn chunk(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let Some(kind) = ChunkKind::from_byte(*kind) else {
        return;
    };
    let keys = keys();
    if let Some((id, sealed)) = rest.split_first_chunk() {
        let id = ChunkId::from_array(*id);
        black_box(keys.open_chunk(1, kind, &id, sealed).is_ok());
    }
    let plaintext = rest.get(1..).unwrap_or_default();
    let id = keys.chunk_id(kind, plaintext);
    let root = sealed::derived(labels::CHUNK_SEALING_KEY);
    let key = *blake3::keyed_hash(&root, id.as_bytes()).as_bytes();
    let sealed = sealed::seal(&key, &[1, kind.to_byte()], rest);
    let opened = keys.open_chunk(1, kind, &id, &sealed);
    if let Ok(key) = keys.export_chunk_key(1, &id) {
        let hash = *blake3::hash(&sealed).as_bytes();
        let through_a_link = key.open_chunk(kind, &hash, &sealed, &mut Decompressor::default());
        assert!(opened.is_err() || opened == through_a_link);
    }
    let is_raw = rest.first() == Some(&0) && plaintext.len() <= kind.max_len();
    assert_eq!(opened.ok().as_deref(), is_raw.then_some(plaintext));
}

/// An encoded stream.
pub fn stream(bytes: &[u8]) {
    let Ok(wire) = decode_canonical::<wire::Stream>(bytes, 64 << 10) else {
        return;
    };
    if let Ok(stream) = StreamRef::from_wire(&wire) {
        assert_eq!(stream.to_wire(), wire);
    }
}

/// One node of a directory.
pub fn node(bytes: &[u8]) {
    if let Ok(node) = Node::decode(bytes) {
        assert_eq!(node.encode(), bytes);
    }
}

/// A tree whose every chunk holds these bytes, whatever its id: the worst that
/// a source could do.
pub fn directory(bytes: &[u8]) {
    struct Same<'a>(&'a [u8]);
    impl ChunkSource for Same<'_> {
        type Error = Infallible;
        fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, Infallible> {
            Ok(self.0.to_vec())
        }
    }
    let Ok(length) = u32::try_from(bytes.len()) else {
        return;
    };
    let wire = wire::Stream {
        length: u64::from(length),
        depth: 0,
        chunk_ids: vec![1; 32],
        lengths: vec![length],
    };
    let Ok(tree) = StreamRef::from_wire(&wire) else {
        return;
    };
    let mut walk = Walk::new(&tree);
    // A walk's time is not bounded by itself: a tree may hold itself.
    for _ in 0..10_000 {
        match walk.next(&mut Same(bytes)) {
            Ok(Some(Step::Node(node))) => assert_eq!(Some(node.name()), walk.path().last()),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
}

/// An encoded snapshot.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        assert_eq!(snapshot.encode(), bytes);
    }
}

/// An encoded catalog.
pub fn catalog(bytes: &[u8]) {
    if let Ok(catalog) = Catalog::decode(bytes) {
        assert_eq!(catalog.encode(), bytes);
    }
}

/// The settings of an account.
pub fn settings(bytes: &[u8]) {
    if let Ok(settings) = AccountSettings::decode(bytes) {
        assert_eq!(settings.encode(), bytes);
    }
}

/// An index segment, and the local file that is made of it.
pub fn segment(bytes: &[u8]) {
    let own = OwnPack {
        pack: PackId::from_array([7; 32]),
        epoch: 1,
        size: 16 << 20,
    };
    let Ok(segment) = Segment::decode(bytes, own) else {
        return;
    };
    for entry in segment.iter() {
        assert_eq!(segment.find(&entry.id), Some(entry));
    }
    sorted_segment(&sorted::encode(&segment, &[1; 32]));
}

/// The local file of an index segment.
pub fn sorted_segment(bytes: &[u8]) {
    let read_at = |at: u64, buffer: &mut [u8]| {
        let start = usize::try_from(at).map_err(drop)?;
        let end = start.checked_add(buffer.len()).ok_or(())?;
        buffer.copy_from_slice(bytes.get(start..end).ok_or(())?);
        Ok::<_, ()>(())
    };
    let Ok(opened) = sorted::SortedSegment::open(bytes.len() as u64, read_at) else {
        return;
    };
    black_box(opened.find(&ChunkId::from_array([3; 32]), read_at).is_ok());
    black_box(opened.read_all(read_at).is_ok());
}

/// A recovery phrase.
pub fn phrase(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(RecoveryPhrase::parse(text).is_ok());
    }
}

/// A head as it is printed. Bytes are tried as the number and the hash of one, too.
pub fn printed_head(bytes: &[u8]) {
    if let Some((seq, rest)) = bytes.split_first_chunk()
        && let Some(hash) = rest.first_chunk()
    {
        let seq = u64::from_le_bytes(*seq);
        let hash = HeadHash::from_array(*hash);
        let head = PrintedHead::of(&VAULT_ID, &HeadPosition { seq, hash });
        assert!(head.names(&hash));
        let read = PrintedHead::parse(&VAULT_ID, &head.to_string());
        assert_eq!(read, (seq > 0).then_some(head));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(head) = PrintedHead::parse(&VAULT_ID, text)
    {
        let is_part = |c: &char| *c != '-' && !c.is_whitespace();
        let bare = |text: &str| text.chars().filter(is_part).collect::<String>();
        let printed = head.to_string();
        assert_eq!(bare(text).to_ascii_lowercase(), bare(&printed));
        assert_eq!(PrintedHead::parse(&VAULT_ID, &printed), Some(head));
    }
}

const VAULT_ID: VaultId = VaultId::from_array([1; 32]);
const EPOCH_SECRET: [u8; 32] = [2; 32];

fn keys() -> VaultKeys {
    VaultKeys::from_epoch_secrets(VAULT_ID, &[EPOCH_SECRET])
}

/// Sealing as `vault-core/docs/format.md` says it: so a fuzzer gets past the
/// tags, to what only members can write.
pub(crate) mod sealed {
    use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};

    pub(crate) fn derived(label: &str) -> [u8; 32] {
        blake3::derive_key(label, &super::EPOCH_SECRET)
    }

    /// Under a nonce of zeros: what is sealed here is nobody's secret.
    pub(crate) fn seal(key: &[u8; 32], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = [0; 24];
        let mut sealed = [&nonce, plaintext].concat();
        let tag = XChaCha20Poly1305::new(key.into())
            .encrypt_inout_detached(&XNonce::from(nonce), associated, (&mut sealed[24..]).into())
            .expect("an input of a fuzzer is short");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// What was sealed by whoever it was.
    pub(crate) fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Vec<u8> {
        let (nonce, rest) = sealed.split_first_chunk().expect("a nonce");
        let (text, tag) = rest.split_last_chunk().expect("a tag");
        let mut text = text.to_vec();
        let nonce = XNonce::from(*nonce);
        XChaCha20Poly1305::new(key.into())
            .decrypt_inout_detached(
                &nonce,
                associated,
                text.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .expect("the key under which it was sealed");
        text
    }
}

/// The next entry, in which signatures of devices of the cast are right.
fn next_entry(rest: &mut &[u8], label: SignLabel) -> Option<wire::SignedEntry> {
    let mut entry = wire::SignedEntry::decode_length_delimited(&mut *rest).ok()?;
    // As many as any entry has: a fuzzer would spend its time on signing.
    for signature in entry.signatures.iter_mut().take(4) {
        let device = CAST.device(&signature.device);
        if let Some(device) = device
            && signature.signature.len() == SIGNATURE_BYTES
        {
            signature.signature = device.sign(label, &entry.payload).to_vec();
        }
    }
    Some(entry)
}
