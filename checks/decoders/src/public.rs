//! What both sides see: decoders of `vault-proto`.

use std::hint::black_box;

use prost::Message;
use vault_core::keys::{AccountSecrets, VaultKeys};
use vault_proto::{
    account_log::AccountLog,
    address::{Address, parse_fingerprint},
    canonical::decode_canonical,
    head::{
        HeadContext, PreviousHeads, SIGNED_HEAD_BYTES, SeenHeads, SignedHead, UnverifiedHead,
        verify_path,
    },
    invitation::Invitation,
    login::{Hello, Login},
    origin::Origin,
    pack_list::PackList,
    sign::{SIGNATURE_BYTES, SignLabel, VerifyingKey},
    vault_log::VaultLog,
    wire,
};

use crate::cast::{CAST, VAULT};

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
