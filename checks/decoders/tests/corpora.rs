//! Every saved input of the fuzzers, through its decoder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use coffre_client_decoders::cached_directory_seed;
use coffre_decoders::{
    DECODERS,
    cast::{CAST, CastVault, HOME, OFFER, VAULT, rng, root},
};
use data_encoding::HEXLOWER;
use prost::Message;
use vault_core::{
    author::{AccountAuthor, NamedDevice, create_account},
    chunk::ChunkKind,
    printed_head::PrintedHead,
};
use vault_proto::{
    ids::{HeadHash, HosterId, PackId, VaultId},
    login::Hello,
    origin::Origin,
    pack_list::PackList,
    position::HeadPosition,
    sign::SignLabel,
    wire,
};
use vault_rpc::hoster::{self as rpc, commit_head_response::Outcome};

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
    let rows = rows().into_iter();
    seeds.extend(rows.map(|(file, seed)| ("ledger_row", file, seed)));
    let answers = answers().into_iter();
    seeds.extend(answers.map(|(file, seed)| ("hoster_answer", file, seed)));
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

/// An answer of each kind, and a refusal.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let (member, CastVault { log, heads, .. }) = (&CAST.members[0], &*VAULT);
    let (account, vault) = (member.log.id().to_vec(), log.id().to_vec());
    let offers = vec![OFFER.header_and_box.clone(), OFFER.signed.clone()];
    vec![
        ("refusal", refusal().encode_to_vec()),
        ("hello", hello().encode_to_vec()),
        (
            "account",
            rpc::FindAccountResponse {
                account: account.clone(),
            }
            .encode_to_vec(),
        ),
        (
            "account_log",
            rpc::FetchAccountLogResponse {
                entries: member.log.entries().to_vec(),
                more: true,
            }
            .encode_to_vec(),
        ),
        (
            "vaults",
            rpc::ListVaultsResponse {
                vaults: vec![
                    rpc::ListedVault {
                        vault: vault.clone(),
                        kind: wire::VaultKind::Storage.into(),
                    };
                    2
                ],
            }
            .encode_to_vec(),
        ),
        (
            "sync",
            rpc::SyncVaultResponse {
                accounts: vec![rpc::AccountEntries {
                    account: account.clone(),
                    entries: member.log.entries().to_vec(),
                }],
                vault_entries: log.entries()[..1].to_vec(),
                heads: heads.iter().map(|head| head.to_vec()).collect(),
                root: vec![5; 40],
                newest_head_seq: 3,
                more: true,
            }
            .encode_to_vec(),
        ),
        (
            "news",
            rpc::WatchHeadsResponse {
                vault,
                head_seq: 3,
                head_hash: vec![6; 32],
            }
            .encode_to_vec(),
        ),
        (
            "there",
            rpc::HavePacksResponse {
                there: vec![1, 0, 1],
            }
            .encode_to_vec(),
        ),
        ("accepted", committed(Outcome::Accepted(rpc::Accepted {}))),
        (
            "lost_race",
            committed(Outcome::LostRace(rpc::LostRace {
                head_seq: 3,
                vault_log_seq: 4,
            })),
        ),
        (
            "missing",
            committed(Outcome::Missing(rpc::MissingPacks {
                packs: [[1; 32], [2; 32]].concat(),
            })),
        ),
        (
            "usage",
            rpc::UsageResponse {
                quota_bytes: 1 << 40,
                committed_bytes: 2,
                unclaimed_bytes: 3,
                trash_bytes: 4,
                record_bytes: 5,
                record_limit_bytes: 6,
            }
            .encode_to_vec(),
        ),
        (
            "token",
            rpc::LoginResponse {
                token: vec![7; 32],
                lifetime_seconds: 60,
            }
            .encode_to_vec(),
        ),
        (
            "message",
            rpc::AwaitMessageResponse {
                message: vec![8; 20],
            }
            .encode_to_vec(),
        ),
        ("offers", rpc::ListOffersResponse { offers }.encode_to_vec()),
        (
            "links",
            rpc::ListLinksResponse {
                links: vec![
                    rpc::LinkStatus {
                        link: vec![9; 32],
                        created: 1_800_000_000,
                        expires: 1_900_000_000,
                        max_downloads: 2,
                        downloads: 1,
                        account,
                    };
                    2
                ],
            }
            .encode_to_vec(),
        ),
        (
            "opened_link",
            rpc::OpenLinkResponse {
                ticket: vec![1; 32],
                lifetime_seconds: 60,
                capsule: vec![2; 32],
                capsule_size: 16 << 20,
            }
            .encode_to_vec(),
        ),
    ]
}

fn refusal() -> rpc::Refusal {
    rpc::Refusal {
        reason: rpc::Reason::QuotaExceeded.into(),
        message: "There is no room.".into(),
        quota_bytes: 5,
        used_bytes: 4,
    }
}

/// What a hoster says to the nonce and at the origin that the decoder has dialled.
fn hello() -> rpc::HelloResponse {
    let hoster = &CAST.members[0].phone;
    let key = hoster.public().signing_key();
    let hello = Hello {
        hoster: key.hoster_id(),
        client_nonce: [1; 32],
        server_nonce: [2; 32],
        time: 1_800_000_000,
        exporter: None,
        origin: Origin::parse("coffre.example:443").unwrap(),
    };
    rpc::HelloResponse {
        hoster_key: key.as_bytes().to_vec(),
        server_nonce: hello.server_nonce.to_vec(),
        time: hello.time,
        signature: hoster.sign(SignLabel::Hello, &hello.to_payload()).to_vec(),
    }
}

fn committed(outcome: Outcome) -> Vec<u8> {
    let outcome = Some(outcome);
    rpc::CommitHeadResponse { outcome }.encode_to_vec()
}

/// Rows of a hoster's ledger, whose bytes never change, and two of its keys.
fn rows() -> Vec<(&'static str, Vec<u8>)> {
    let time = 1_800_000_000_u64;
    let now = "80a4a7da06";
    let id = |byte: u8| HEXLOWER.encode(&[byte; 32]);
    let (a, d, h) = (id(1), id(2), id(3));
    let rows = [
        (
            "invitation",
            format!("0880e497d0121205616c69636518{now}2220{a}"),
        ),
        (
            "account",
            format!("0a05616c69636510{now}1880e497d0122001280230ac0238044088274a20{h}500658ac02"),
        ),
        ("token", format!("0a20{a}1220{d}18{now}")),
        ("vault", format!("08011220{a}180720092a20{h}")),
        ("pack", format!("08808001100318{now}")),
        ("head", format!("0a20{h}1202040518{now}2220{d}280630073808")),
        ("offer", format!("0a0204051a20{a}")),
        (
            "link",
            format!(
                "0a20{h}1220{a}1a20{d}208080012a20{h}30{now}38{now}4003480350025801608827\
                 6a20{d}"
            ),
        ),
        ("ticket", format!("0a20{a}10{now}18ac02")),
    ];
    let rows = rows.map(|(file, row)| (file, HEXLOWER.decode(row.as_bytes()).unwrap()));
    let offer = [&[1; 32], &time.to_be_bytes()[..], &[2; 32]].concat();
    let due = [&[0], &offer[32..40], &[1; 32], &[2; 32]].concat();
    rows.into_iter()
        .chain([("offer_key", offer), ("due_key", due)])
        .collect()
}

/// A pack of two chunks, after its size.
fn noted_pack() -> Vec<u8> {
    let footer = wire::PackFooter {
        kinds: vec![ChunkKind::FileData.to_byte(), ChunkKind::Tree.to_byte()],
        chunk_ids: [[1; 32], [2; 32]].concat(),
        sealed_lengths: vec![900, 124],
    };
    [&2048_u32.to_le_bytes(), &footer.encode_to_vec()[..]].concat()
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
        ("cached_directory", cached_directory_seed()),
        ("device_keys", member.laptop.to_secret_bytes().to_vec()),
        (
            "device_name",
            member.secrets.seal_name("laptop", &mut rng(9)).unwrap(),
        ),
        ("head", oldest.to_vec()),
        ("head_path", heads.concat()),
        ("kem_key", member.laptop.kem_key().as_bytes().to_vec()),
        ("login", login()),
        ("noted_pack", noted_pack()),
        ("offer", OFFER.signed.clone()),
        ("pack_list", packs.to_bytes()),
        ("printed_head", printed_head().into_bytes()),
        ("root", [&length[..], &root.encode_to_vec()].concat()),
    ]
}
