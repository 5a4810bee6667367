use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};
use vault_proto::ids::{HeadHash, VaultId};
use vault_proto::position::HeadPosition;

use super::{array, hex, noise32, number, refused, run, text};
use crate::labels;
use crate::printed_head::PrintedHead;

const DESCRIPTION: &str = "Heads as they are printed. A reader of `text` who has the vault in \
    mind finds the number and the first 20 bytes of the hash of a head, or refuses; `printed` is \
    how that head is written.";

#[test]
fn printed_heads() {
    run("printed_heads.json", DESCRIPTION, generate, check);
}

/// As format.md says it, apart from the program.
fn printed(vault: &VaultId, seq: u64, hash: &[u8; 20]) -> String {
    let place = [vault.as_bytes(), &seq.to_le_bytes()[..], hash].concat();
    let check = blake3::derive_key(labels::PRINTED_HEAD, &place);
    let text = BASE32_NOPAD.encode(&[&hash[..], &check[..5]].concat());
    let text = text.to_ascii_lowercase();
    let groups: Vec<_> = (0..10).map(|group| &text[4 * group..][..4]).collect();
    format!("{seq}-{}", groups.join("-"))
}

fn head_hash(seq: u64) -> [u8; 20] {
    let hash = noise32(&format!("head {seq}"));
    *hash.first_chunk().unwrap()
}

fn generate() -> Vec<Value> {
    let vault = VaultId::from_array(noise32("vault"));
    let seqs = [1, 12, 131_072, u64::MAX].into_iter();
    let plain = seqs.map(|seq| {
        let text = printed(&vault, seq, &head_hash(seq));
        read_as(&format!("head {seq}"), &vault, seq, &text)
    });
    let right = printed(&vault, 12, &head_hash(12));
    let spellings = spellings(&right).into_iter();
    let spelled = spellings.map(|(name, text)| read_as(name, &vault, 12, &text));
    let refusals = refusals(&vault, &right).into_iter();
    let refused = refusals.map(|(name, text)| {
        json!({
            "name": name,
            "result": "refused",
            "vault": hex(vault.as_bytes()),
            "text": text,
        })
    });
    plain.chain(spelled).chain(refused).collect()
}

/// What a reader takes for the same.
fn spellings(right: &str) -> Vec<(&'static str, String)> {
    let (number, letters) = right.split_once('-').unwrap();
    let bare = letters.replace('-', "");
    vec![
        ("in upper case", right.to_uppercase()),
        ("without dashes but the first", format!("{number}-{bare}")),
        ("with spaces for dashes", {
            format!("  {number}-{}\n", letters.replace('-', " "))
        }),
        ("with dashes elsewhere", {
            format!("{number}--{}-", letters.replacen('-', "", 3))
        }),
        ("of 128 bytes", {
            format!(
                "{number}-{bare}{}-",
                " ".repeat(127 - number.len() - 1 - bare.len())
            )
        }),
    ]
}

fn refusals(vault: &VaultId, right: &str) -> Vec<(&'static str, String)> {
    let other = VaultId::from_array(noise32("another vault"));
    let (number, letters) = right.split_once('-').unwrap();
    let bare = letters.replace('-', "");
    let wrong = if letters.starts_with('a') { "b" } else { "a" };
    let of = |number: &str| format!("{number}-{letters}");
    vec![
        (
            "a wrong letter",
            format!("{number}-{wrong}{}", &letters[1..]),
        ),
        ("another number", of("13")),
        ("of another vault", printed(&other, 12, &head_hash(12))),
        ("without a number", letters.to_owned()),
        (
            "without a dash",
            format!("{number} {}", letters.replace('-', " ")),
        ),
        ("a number with a sign", of("+12")),
        ("a number with a zero before it", of("012")),
        ("a number with a space in it", of("1 2")),
        ("a space before the first dash", of("12 ")),
        ("number 0", printed(vault, 0, &head_hash(12))),
        ("a number too high", of("18446744073709551616")),
        ("a letter less", right[..right.len() - 1].to_owned()),
        ("a letter more", format!("{right}a")),
        ("a letter that base 32 has not", {
            format!("{number}-1{}", &letters[1..])
        }),
        ("padded", format!("{right}=")),
        ("of 129 bytes", {
            format!(
                "{number}-{bare}{}-",
                " ".repeat(128 - number.len() - 1 - bare.len())
            )
        }),
        ("nothing", String::new()),
    ]
}

fn read_as(name: &str, vault: &VaultId, seq: u64, text: &str) -> Value {
    let hash = head_hash(seq);
    json!({
        "name": name,
        "result": "opens",
        "vault": hex(vault.as_bytes()),
        "text": text,
        "seq": seq,
        "hash": hex(hash),
        "printed": printed(vault, seq, &hash),
    })
}

fn check(case: &Value) {
    let vault = VaultId::from_array(array(case, "vault"));
    let read = PrintedHead::parse(&vault, text(case, "text"));
    if refused(case) {
        assert_eq!(read, None);
        return;
    }
    let read = read.unwrap();
    // The rest of the hash is not printed.
    let mut whole = [9; 32];
    whole[..20].copy_from_slice(&array::<20>(case, "hash"));
    let hash = HeadHash::from_array(whole);
    assert_eq!(read.seq(), number(case, "seq"));
    assert!(read.names(&hash));
    let seq = read.seq();
    let printed = PrintedHead::of(&vault, &HeadPosition { seq, hash });
    assert_eq!(printed, read);
    assert_eq!(printed.to_string(), text(case, "printed"));
}
