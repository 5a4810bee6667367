//! What only a member sees, and what strangers bring him: decoders of `vault-core`.

use std::{convert::Infallible, hint::black_box, sync::OnceLock};

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use vault_core::{
    boxes::KemPublicKey,
    catalog::Catalog,
    chunk::{ChunkId, ChunkKind, ChunkSource},
    index::{OwnPack, Segment, sorted},
    keys::{DeviceKeys, RecoveryPhrase},
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
    canonical::decode_canonical,
    device::DevicePublic,
    head::{Head, SEALED_ROOT_BYTES},
    ids::{AccountId, DeviceId, EntryHash, HeadHash, PackId, PackListHash, RootHash},
    position::{HeadPosition, LogPosition},
    sign::SignLabel,
    wire,
};

use crate::{
    EPOCH_SECRET, VAULT_ID,
    cast::{CAST, OFFER, VAULT},
    keys, sealed,
};

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
