//! A hoster who swaps and alters, and makers who wish harm.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use prost::Message;
use vault_client::error::ErrorCode;
use vault_client::remote::NewLink;
use vault_client::vault::{CommitPlan, CommitResult};
use vault_core::keys::DeviceKeys;
use vault_core::links::{CapsuleError, LinkSecret};
use vault_proto::ids::PackId;
use vault_proto::sign::SignLabel;
use vault_proto::wire;

use super::*;

/// Sealing as `vault-core/docs/format.md` says it, for who does as he likes.
fn sealed_with(key: [u8; 32], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let nonce = [5; 24];
    let mut sealed = [&nonce, plaintext].concat();
    let tag = XChaCha20Poly1305::new(&key.into())
        .encrypt_inout_detached(&XNonce::from(nonce), associated, (&mut sealed[24..]).into())
        .unwrap();
    sealed.extend_from_slice(&tag);
    sealed
}

fn opened_with(key: [u8; 32], associated: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (nonce, rest) = sealed.split_first_chunk::<24>().unwrap();
    let (plaintext, tag) = rest.split_last_chunk::<16>().unwrap();
    let mut plaintext = plaintext.to_vec();
    XChaCha20Poly1305::new(&key.into())
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            associated,
            plaintext.as_mut_slice().into(),
            &(*tag).into(),
        )
        .unwrap();
    plaintext
}

fn secret_of(url: &LinkUrl) -> [u8; 32] {
    let url = url.to_url();
    let (_, fragment) = url.split_once('#').unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(fragment.as_bytes())
        .unwrap();
    let message = wire::LinkUrl::decode(bytes.as_slice()).unwrap();
    message.secret.try_into().unwrap()
}

fn key_of(secret: [u8; 32]) -> [u8; 32] {
    blake3::derive_key("coffre v1 link capsule key", &secret)
}

fn associated(secret: [u8; 32]) -> Vec<u8> {
    let id = LinkSecret::from_array(secret).id();
    [b"coffre v1 link capsule", &id.as_bytes()[..]].concat()
}

/// What the capsule of a link holds, as anybody reads it who has the URL.
fn payload_of(maker: &Maker, url: &LinkUrl) -> wire::Capsule {
    let secret = secret_of(url);
    let sealed = maker
        .member
        .hoster
        .pack(&maker.vault.id(), &url.capsule)
        .unwrap();
    let padded = opened_with(key_of(secret), &associated(secret), &sealed);
    let frame_len = u32::from_le_bytes(*padded.first_chunk().unwrap()) as usize;
    let length = u32::from_le_bytes(*padded[4..].first_chunk().unwrap()) as usize;
    let mut signed = Vec::with_capacity(length);
    zstd::bulk::Decompressor::new()
        .unwrap()
        .decompress_to_buffer(&padded[8..8 + frame_len], &mut signed)
        .unwrap();
    let signed = wire::SignedCapsule::decode(signed.as_slice()).unwrap();
    wire::Capsule::decode(signed.payload.as_slice()).unwrap()
}

const FORGER: [u8; 32] = [77; 32];

/// Signs and seals whatever a maker likes, for the link of [`FORGER`].
fn forged(change: impl FnOnce(&mut wire::Capsule), honest: &wire::Capsule) -> Vec<u8> {
    let device = DeviceKeys::generate(&mut rng());
    let mut capsule = wire::Capsule {
        link: LinkSecret::from_array(FORGER).id().to_vec(),
        device: Some(device.public().to_wire()),
        ..honest.clone()
    };
    change(&mut capsule);
    let payload = capsule.encode_to_vec();
    let signature = device.sign(SignLabel::Capsule, &payload).to_vec();
    let signed = wire::SignedCapsule { payload, signature }.encode_to_vec();
    let frame = zstd::bulk::compress(&signed, 3).unwrap();
    padded_and_sealed(frame.len(), signed.len(), &frame)
}

fn padded_and_sealed(frame_len: usize, length: usize, frame: &[u8]) -> Vec<u8> {
    let mut padded = (frame_len as u32).to_le_bytes().to_vec();
    padded.extend((length as u32).to_le_bytes());
    padded.extend_from_slice(frame);
    let size = (padded.len() + 40).next_power_of_two().max(16 << 10);
    padded.resize(size - 40, 0);
    sealed_with(key_of(FORGER), &associated(FORGER), &padded)
}

impl Maker {
    /// Serves a capsule of the maker's own making, with the blocks of `like`.
    fn serve(&mut self, sealed: Vec<u8>, like: &LinkUrl) -> LinkUrl {
        let id = PackId::of(&sealed);
        let remote = self.vault.remote();
        let size = sealed.len() as u64;
        remote
            .put_pack(&self.vault.id(), &id, Bytes::from(sealed))
            .unwrap();
        let root = self.vault.root().unwrap().clone();
        let plan = CommitPlan {
            adds: vec![id],
            removes: Vec::new(),
            root: vault_proto::wire::Root {
                pack_count: root.pack_count + 1,
                pack_bytes: root.pack_bytes + size,
                ..root
            },
        };
        let committed = self.vault.commit(plan).unwrap();
        assert!(matches!(committed, CommitResult::Committed(_)));
        let secret = LinkSecret::from_array(FORGER);
        let calls = self.member.hoster.calls();
        let told = calls.into_iter().find_map(|call| match call {
            Call::CreateLink(link) if link.link == like.id() => Some(link),
            _ => None,
        });
        remote.revoke_link(&self.vault.id(), &secret.id()).unwrap();
        let new = NewLink {
            link: secret.id(),
            capsule: id,
            ..told.unwrap()
        };
        remote.create_link(&new).unwrap();
        LinkUrl {
            secret,
            capsule: id,
            ..like.clone()
        }
    }
}

/// What comes of a capsule that its maker changed.
#[track_caller]
fn refused(change: impl FnOnce(&mut wire::Capsule)) -> CapsuleError {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let honest = payload_of(&maker, &url);
    let url = maker.serve(forged(change, &honest), &url);
    let around = target();
    let inside = around.path().join("target");
    let error = maker.get(&url, &inside).unwrap_err();
    assert_empty(around.path());
    assert_eq!(error.code(), ErrorCode::Corrupt);
    match error {
        GetError::Open(OpenLinkError::Malformed(error)) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_capsule_that_leads_out_or_contradicts_itself_writes_nothing() {
    let named = |name: &'static str| {
        refused(move |capsule| capsule.nodes[1].name = name.as_bytes().to_vec())
    };
    for name in [
        "..",
        ".",
        "../out",
        "/etc/cron.d/x",
        "a/b",
        "deep/../../x",
        "a\0b",
    ] {
        assert_eq!(named(name), CapsuleError::Name, "{name:?}");
    }
    let twice = refused(|c| c.nodes[3].name = c.nodes[2].name.clone());
    assert_eq!(twice, CapsuleError::Name);
    let device = refused(|c| c.nodes.last_mut().unwrap().kind = 7);
    assert_eq!(device, CapsuleError::Kind);
    let privileged = refused(|c| c.nodes.last_mut().unwrap().mode = 0o4755);
    assert_eq!(privileged, CapsuleError::Mode);
    let bomb = refused(|c| {
        let directory = c.nodes[0].clone();
        c.nodes.extend((1..4_000).map(|depth| wire::CapsuleNode {
            depth,
            name: b"zz".to_vec(),
            ..directory.clone()
        }));
    });
    assert_eq!(bomb, CapsuleError::Depth);
    let many = refused(|c| c.nodes = vec![wire::CapsuleNode::default(); 1 << 20]);
    assert_eq!(many, CapsuleError::Nodes);
    let beyond = refused(|c| c.offsets[0] = u32::MAX);
    assert_eq!(beyond, CapsuleError::Chunks);
    let large = refused(|c| c.nodes.last_mut().unwrap().size = u64::MAX);
    assert_eq!(large, CapsuleError::Holes);
}

#[test]
fn a_capsule_that_says_it_is_larger_than_any_takes_no_memory() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    for sealed in [
        padded_and_sealed(bomb.len(), 64 << 20, &bomb),
        padded_and_sealed(bomb.len(), 1_000, &bomb),
        padded_and_sealed(bomb.len(), u32::MAX as usize, &bomb),
        padded_and_sealed(u32::MAX as usize, 1_000, &bomb),
    ] {
        let mut maker = Maker::new();
        let like = maker.link("album");
        let url = maker.serve(sealed, &like);
        let saved = target();
        let error = maker.get(&url, saved.path()).unwrap_err();
        let padding = GetError::Open(OpenLinkError::Malformed(CapsuleError::Padding));
        assert_eq!(error.to_string(), padding.to_string());
        assert_empty(saved.path());
    }
    // A hoster who says that the capsule is huge, or tiny.
    for size in [u32::MAX, 32 << 20, 1, 0] {
        let meddle = Meddle {
            opened: Some(Box::new(move |opened| opened.capsule_size = size)),
            ..Meddle::default()
        };
        let lying = Meddling::with(&maker, meddle);
        let saved = target();
        let error = got(&lying, &url, None, saved.path()).unwrap_err();
        assert!(
            matches!(error, GetError::Open(OpenLinkError::NotThisCapsule)),
            "{error}"
        );
        assert_empty(saved.path());
    }
}

#[test]
fn a_file_that_names_one_chunk_again_and_again_does_not_fill_the_disk() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let honest = payload_of(&maker, &url);
    // About 10^12 bytes out of a few hundred thousand.
    let bomb = forged(
        |capsule| {
            // Where files are cut, the vault's random key says.
            let length = |node: &wire::CapsuleNode| match node.chunks[..] {
                [only] => u64::from(capsule.lengths[only as usize]),
                _ => 0,
            };
            let file = capsule.nodes.iter().max_by_key(|node| length(node));
            let file = file.unwrap().clone();
            let length = length(&file);
            capsule
                .nodes
                .extend((0..5_000).map(|number| wire::CapsuleNode {
                    depth: 1,
                    name: format!("z{number:04}").into_bytes(),
                    chunks: vec![file.chunks[0]; 3_000],
                    size: length * 3_000,
                    ..file.clone()
                }));
        },
        &honest,
    );
    let url = maker.serve(bomb, &url);
    let saved = target();
    let error = maker.get(&url, saved.path()).unwrap_err();
    assert!(
        matches!(error, GetError::NoRoom { needed_bytes, .. } if needed_bytes > 1 << 38),
        "{error}"
    );
    assert_empty(saved.path());
}

#[test]
fn no_symlink_is_made_that_leads_out() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let honest = payload_of(&maker, &url);
    let symlinks = [
        ("z0", "/etc/passwd", false),
        ("z1", "..", false),
        ("z2", "../../x", false),
        ("z3", "deep/../../x", false),
        ("z4", "deep/..", false),
        ("z5", "deep/two.jpg", true),
        ("z6", ".", true),
    ];
    let capsule = forged(
        |capsule| {
            let file = capsule.nodes[1].clone();
            capsule
                .nodes
                .extend(symlinks.iter().map(|(name, to, _)| wire::CapsuleNode {
                    depth: 1,
                    name: name.as_bytes().to_vec(),
                    kind: 3,
                    symlink_target: to.as_bytes().to_vec(),
                    modified: file.modified,
                    ..wire::CapsuleNode::default()
                }));
        },
        &honest,
    );
    let url = maker.serve(capsule, &url);
    let saved = target();
    let report = maker.get(&url, saved.path()).unwrap();
    assert_eq!((report.files, report.symlinks), (4, 2));
    let left_out: Vec<_> = report
        .left_out
        .iter()
        .map(|l| (&l.path[..], l.reason))
        .collect();
    let expected: Vec<_> = ["/z0", "/z1", "/z2", "/z3", "/z4"]
        .map(|path| (path.as_bytes(), Reason::LeadsOut))
        .to_vec();
    assert_eq!(left_out, expected);
    for (name, to, is_made) in symlinks {
        let there = fs::read_link(saved.path().join(name)).ok();
        assert_eq!(there.is_some_and(|there| there == Path::new(to)), is_made);
    }
}

#[test]
fn a_symlink_that_stands_in_the_target_is_not_followed() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let (saved, outside) = (target(), target());
    symlink(outside.path(), saved.path().join("deep")).unwrap();
    symlink(outside.path().join("new"), saved.path().join("empty")).unwrap();
    let report = maker.get(&url, saved.path()).unwrap();
    assert_empty(outside.path());
    assert_eq!(report.left_out.len(), 1);
    assert_eq!(report.left_out[0].path, b"/deep");
    assert_eq!(content_of(saved.path())["one.jpg"], noise(1, 300_000));
}

#[test]
fn another_capsule_in_its_place_is_noticed() {
    let mut maker = Maker::new();
    let wanted = maker.link("album");
    let other = maker.link("private");
    let capsule = other.capsule;
    // Retargeted by what is said.
    let meddle = Meddle {
        opened: Some(Box::new(move |opened| opened.capsule = capsule)),
        ..Meddle::default()
    };
    let lying = Meddling::with(&maker, meddle);
    let saved = target();
    let error = got(&lying, &wanted, None, saved.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    // By what is sent.
    let vault = maker.vault.id();
    assert!(
        maker
            .member
            .hoster
            .swap_packs(&vault, &wanted.capsule, &other.capsule)
    );
    for url in [&wanted, &other] {
        let error = maker.get(url, saved.path()).unwrap_err();
        assert!(
            matches!(error, GetError::Open(OpenLinkError::NotThisCapsule)),
            "{error}"
        );
    }
    assert!(
        maker
            .member
            .hoster
            .swap_packs(&vault, &wanted.capsule, &other.capsule)
    );
    // Every so many bytes of it, flipped.
    let bytes = maker.member.hoster.pack(&vault, &wanted.capsule).unwrap();
    for position in (0..bytes.len()).step_by(1_009) {
        let mut flipped = bytes.to_vec();
        flipped[position] ^= 1;
        maker
            .member
            .hoster
            .replace_pack(&vault, &wanted.capsule, flipped.into());
        let error = maker.get(&wanted, saved.path()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    }
    // Gone.
    maker.member.hoster.lose_pack(&vault, &wanted.capsule);
    let error = maker.get(&wanted, saved.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_empty(saved.path());
}

#[test]
fn another_links_secret_opens_nothing() {
    let mut maker = Maker::new();
    let wanted = maker.link("album");
    let other = maker.link("private");
    // A URL put together from two.
    let mixed = LinkUrl {
        capsule: wanted.capsule,
        ..other
    };
    let meddle = Meddle {
        opened: Some(Box::new(move |opened| opened.capsule = wanted.capsule)),
        ..Meddle::default()
    };
    let lying = Meddling::with(&maker, meddle);
    let saved = target();
    assert!(got(&lying, &mixed, None, saved.path()).is_err());
    assert_empty(saved.path());
}

#[test]
fn altered_bytes_of_chunks_never_reach_a_file() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let vault = maker.vault.id();
    let expected = content_of(&maker.files.path().join("album"));
    let capsule = payload_of(&maker, &url);
    for (place, row) in capsule.rows.iter().enumerate() {
        let pack: [u8; 32] = *capsule.packs[*row as usize * 32..].first_chunk().unwrap();
        let pack = PackId::from_array(pack);
        let bytes = maker.member.hoster.pack(&vault, &pack).unwrap();
        let start = capsule.offsets[place] as usize;
        let length = capsule.sealed_lengths[place] as usize;
        for position in [start, start + length / 2, start + length - 1] {
            let mut altered = bytes.to_vec();
            altered[position] ^= 0x80;
            maker
                .member
                .hoster
                .replace_pack(&vault, &pack, altered.into());
            assert_loses_some(&maker, &url, &expected);
        }
        // Another holder of the link knows the chunk's key, and works with the
        // hoster: he seals what he likes, as long as it was.
        let key: [u8; 32] = *capsule.keys[place * 32..].first_chunk().unwrap();
        let forged = [&[0], &vec![b'x'; length - 41][..]].concat();
        let mut altered = bytes.to_vec();
        altered[start..start + length].copy_from_slice(&sealed_with(key, &[1, 1], &forged));
        maker
            .member
            .hoster
            .replace_pack(&vault, &pack, altered.into());
        assert_loses_some(&maker, &url, &expected);
        maker.member.hoster.lose_pack(&vault, &pack);
        assert_loses_some(&maker, &url, &expected);
        maker.vault.remote().put_pack(&vault, &pack, bytes).unwrap();
    }
    let saved = target();
    maker.get(&url, saved.path()).unwrap();
    assert_eq!(content_of(saved.path()), expected);
}

/// Some files are missing, and those that are there are right.
#[track_caller]
fn assert_loses_some(
    maker: &Maker,
    url: &LinkUrl,
    expected: &std::collections::BTreeMap<String, Vec<u8>>,
) {
    let saved = target();
    let report = maker.get(url, saved.path()).unwrap();
    assert!(report.lost_by_hoster > 0);
    assert_eq!(report.lost_by_hoster as usize, report.left_out.len());
    assert!(
        report
            .left_out
            .iter()
            .all(|l| l.reason == Reason::LostByHoster)
    );
    let content = content_of(saved.path());
    assert!(content.len() < expected.len());
    for (name, bytes) in content {
        assert_eq!(bytes, expected[&name], "{name}");
    }
}

#[test]
fn a_maker_vouches_for_nothing_that_the_hoster_has_altered() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let capsule = payload_of(&maker, &url);
    let vault = maker.vault.id();
    let pack = PackId::from_array(*capsule.packs.first_chunk().unwrap());
    let bytes = maker.member.hoster.pack(&vault, &pack).unwrap();
    let mut altered = bytes.to_vec();
    altered[capsule.offsets[0] as usize + 100] ^= 1;
    maker
        .member
        .hoster
        .replace_pack(&vault, &pack, altered.into());
    let error = maker.make("album", &LinkOptions::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    maker.member.hoster.replace_pack(&vault, &pack, bytes);
    assert_eq!(maker.list().links.len(), 1);
}
