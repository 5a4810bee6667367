//! Every saved input of the fuzzers, through its decoder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use coffre_decoders::{
    DECODERS,
    cast::{CAST, CastVault, HOME, OFFER, VAULT, rng, root},
};
use prost::Message;
use vault_core::{
    author::{AccountAuthor, NamedDevice, create_account},
    printed_head::PrintedHead,
};
use vault_proto::{
    ids::{HeadHash, HosterId, PackId, VaultId},
    origin::Origin,
    pack_list::PackList,
    position::HeadPosition,
    wire,
};

fn corpus(name: &str) -> PathBuf {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    corpora.join(name)
}

#[test]
fn no_saved_input_makes_a_decoder_panic() {
    for (name, decode) in DECODERS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus(name)).unwrap_or_else(|e| panic!("{name}: {e}")) {
            decode(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no saved input");
        decode(&[]);
    }
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (name, _) in DECODERS {
        let target = fs::read_to_string(targets.join(format!("{name}.rs"))).unwrap();
        assert!(
            target.contains(&format!("coffre_decoders::{name}(")),
            "{name}"
        );
    }
    assert_eq!(fs::read_dir(targets).unwrap().count(), DECODERS.len());
}

/// Inputs from which a fuzzer gets deep, as they are made here.
///
/// `COFFRE_REGENERATE_CORPORA=1` writes them.
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
#[test]
fn the_corpora_begin_with_what_is_accepted() {
    let is_to_write = std::env::var_os("COFFRE_REGENERATE_CORPORA").is_some();
    for (name, file, seed) in seeds() {
        let path = corpus(name).join(file);
        if is_to_write {
            fs::create_dir_all(corpus(name)).unwrap();
            fs::write(&path, &seed).unwrap();
        }
        let saved = fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(saved == seed, "{name}/{file}");
    }
}

/// A decoder, a file, and what is in it.
type Seed = (&'static str, &'static str, Vec<u8>);

fn seeds() -> Vec<Seed> {
    let accepted = accepted().into_iter();
    let mut seeds: Vec<Seed> = accepted
        .map(|(name, seed)| (name, "accepted", seed))
        .collect();
    seeds.push(("account_entry", "moved", moved()));
    let spelled = printed_head().to_uppercase().replace('-', " -  ");
    let spelled = spelled.replacen(" -", "-", 1).into_bytes();
    seeds.push(("printed_head", "spelled", spelled));
    seeds
}

/// A log that its paper moves.
fn moved() -> Vec<u8> {
    let member = &CAST.members[0];
    let named = |keys, name| NamedDevice { keys, name };
    let laptop = named(&member.laptop, "laptop");
    let others = [named(&member.paper, "paper")];
    let account = create_account(HOME, laptop, &others, &mut rng(10)).unwrap();
    let author = AccountAuthor {
        log: &account.log,
        secrets: &account.secrets,
        device: &member.paper,
    };
    let origin = Origin::parse("elsewhere.example:443").unwrap();
    let moved = author.moved(HosterId::from_array([0x41; 32]), &origin);
    delimited(&[account.genesis, moved.unwrap()])
}

/// See [`coffre_decoders::login`].
fn login() -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        &[3],
        &[1; 32],
        &[2; 32],
        &1_800_000_000_u64.to_le_bytes(),
        b"coffre.example:443",
    ];
    parts.concat()
}

fn printed_head() -> String {
    let hash = HeadHash::from_array([7; 32]);
    let head = HeadPosition { seq: 12, hash };
    PrintedHead::of(&VaultId::from_array([1; 32]), &head).to_string()
}

fn delimited(entries: &[wire::SignedEntry]) -> Vec<u8> {
    let encode = wire::SignedEntry::encode_length_delimited_to_vec;
    entries.iter().flat_map(encode).collect()
}

fn accepted() -> Vec<(&'static str, Vec<u8>)> {
    let CastVault { log, heads, .. } = &*VAULT;
    let member = &CAST.members[0];
    let mut account = member.log.clone();
    let author = AccountAuthor {
        log: &member.log,
        secrets: &member.secrets,
        device: &member.laptop,
    };
    let addition = author
        .draft_addition(member.phone.public(), "phone", &mut rng(8))
        .unwrap();
    let signature = addition.sign(&member.phone).unwrap();
    let entry = author.complete_addition(&addition, &signature).unwrap();
    account.append(&entry).unwrap();

    let root = root();
    let length = u32::try_from(root.encoded_len()).unwrap().to_le_bytes();
    let oldest = heads.last().unwrap();
    let packs = [1, 2, 3].map(|byte| PackId::from_array([byte; 32]));
    let packs = PackList::from_unordered(packs.to_vec()).unwrap();
    vec![
        ("account_entry", delimited(account.entries())),
        ("vault_entry", delimited(log.entries())),
        ("device_keys", member.laptop.to_secret_bytes().to_vec()),
        (
            "device_name",
            member.secrets.seal_name("laptop", &mut rng(9)).unwrap(),
        ),
        ("head", oldest.to_vec()),
        ("head_path", heads.concat()),
        ("kem_key", member.laptop.kem_key().as_bytes().to_vec()),
        ("login", login()),
        ("offer", OFFER.signed.clone()),
        ("pack_list", packs.to_bytes()),
        ("printed_head", printed_head().into_bytes()),
        ("root", [&length[..], &root.encode_to_vec()].concat()),
    ]
}
