//! Every public function of `vault-proto` and `vault-core` that takes bytes or claims from
//! outside, and every answer of a hoster, is reached by a decoder, or stands here with why
//! it need not be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use coffre_decoders::DECODERS;

/// How the name of a function begins that takes what others have made.
const VERBS: [&str; 9] = [
    "decode",
    "from_bytes",
    "from_secret_bytes",
    "from_slice",
    "from_wire",
    "open",
    "parse",
    "read",
    "verify",
];

/// Those that a decoder calls, itself or by way of another: file, type and function, and
/// the decoder.
const REACHED: &[(&str, &str, &str)] = &[
    (
        "proto/src/account_log/mod.rs",
        "AccountLog::verify_genesis",
        "account_entry",
    ),
    (
        "proto/src/account_log/mod.rs",
        "AccountLog::verify_next",
        "account_entry",
    ),
    ("proto/src/address.rs", "Address::parse", "address"),
    ("proto/src/address.rs", "Address::parse_exact", "address"),
    ("proto/src/address.rs", "parse_fingerprint", "address"),
    ("proto/src/canonical.rs", "decode_canonical", "vault_entry"),
    ("proto/src/device.rs", "DevicePublic::from_wire", "pairing"),
    ("proto/src/head/layout.rs", "UnverifiedHead::decode", "head"),
    ("proto/src/head/path.rs", "verify_path", "head_path"),
    ("proto/src/head/verify.rs", "UnverifiedHead::verify", "head"),
    (
        "proto/src/head/verify.rs",
        "UnverifiedHead::verify_author",
        "head",
    ),
    ("proto/src/invitation.rs", "Invitation::parse", "invitation"),
    ("proto/src/login.rs", "Hello::verify", "login"),
    ("proto/src/login.rs", "Login::verify", "login"),
    ("proto/src/origin.rs", "Origin::parse", "invitation"),
    ("proto/src/origin.rs", "Origin::parse_exact", "invitation"),
    (
        "proto/src/pack_list.rs",
        "PackList::from_bytes",
        "pack_list",
    ),
    ("proto/src/sign.rs", "VerifyingKey::from_slice", "login"),
    (
        "proto/src/vault_log/mod.rs",
        "VaultLog::verify_genesis",
        "vault_entry",
    ),
    (
        "proto/src/vault_log/mod.rs",
        "VaultLog::verify_next",
        "vault_entry",
    ),
    (
        "vault-core/src/boxes.rs",
        "KemPublicKey::from_slice",
        "kem_key",
    ),
    ("vault-core/src/catalog.rs", "Catalog::decode", "catalog"),
    (
        "vault-core/src/index/segment.rs",
        "Segment::decode",
        "segment",
    ),
    (
        "vault-core/src/index/sorted.rs",
        "SortedSegment::open",
        "sorted_segment",
    ),
    (
        "vault-core/src/index/sorted.rs",
        "SortedSegment::read_all",
        "sorted_segment",
    ),
    (
        "vault-core/src/keys/account.rs",
        "AccountSecrets::open",
        "account_entry",
    ),
    (
        "vault-core/src/keys/account.rs",
        "AccountSecrets::open_name",
        "device_name",
    ),
    (
        "vault-core/src/keys/device.rs",
        "DeviceKeys::from_secret_bytes",
        "device_keys",
    ),
    (
        "vault-core/src/keys/phrase.rs",
        "RecoveryPhrase::parse",
        "phrase",
    ),
    (
        "vault-core/src/keys/vault.rs",
        "VaultKeys::open",
        "vault_entry",
    ),
    (
        "vault-core/src/links/capsule/mod.rs",
        "SharedChunk::open",
        "capsule",
    ),
    (
        "vault-core/src/links/capsule/seal.rs",
        "Capsule::open",
        "capsule",
    ),
    ("vault-core/src/links/list.rs", "Links::decode", "links"),
    ("vault-core/src/links/url.rs", "LinkUrl::open", "link_url"),
    ("vault-core/src/links/url.rs", "LinkUrl::parse", "link_url"),
    (
        "vault-core/src/offer.rs",
        "SealedOffer::from_slice",
        "offer",
    ),
    ("vault-core/src/offer.rs", "SealedOffer::open", "offer"),
    ("vault-core/src/offer.rs", "SealedOffer::parse", "offer"),
    (
        "vault-core/src/offer.rs",
        "UnverifiedOffer::decode",
        "offer",
    ),
    (
        "vault-core/src/offer.rs",
        "UnverifiedOffer::verify",
        "offer",
    ),
    (
        "vault-core/src/offer.rs",
        "UnverifiedOffer::verify_sender",
        "offer",
    ),
    ("vault-core/src/pack/reader.rs", "read_pack_entries", "pack"),
    ("vault-core/src/pairing.rs", "PairingCode::parse", "pairing"),
    (
        "vault-core/src/pairing/messages.rs",
        "PairingCode::open_end",
        "pairing",
    ),
    (
        "vault-core/src/pairing/messages.rs",
        "PairingCode::open_introduction",
        "pairing",
    ),
    (
        "vault-core/src/pairing/messages.rs",
        "PairingCode::open_proposal",
        "pairing",
    ),
    (
        "vault-core/src/pairing/messages.rs",
        "PairingCode::open_signature",
        "pairing",
    ),
    (
        "vault-core/src/printed_head.rs",
        "PrintedHead::parse",
        "printed_head",
    ),
    ("vault-core/src/root.rs", "open_root", "root"),
    ("vault-core/src/seal.rs", "ChunkKey::open_chunk", "chunk"),
    ("vault-core/src/seal.rs", "VaultKeys::open_chunk", "chunk"),
    (
        "vault-core/src/settings.rs",
        "AccountSettings::decode",
        "settings",
    ),
    ("vault-core/src/snapshot.rs", "Snapshot::decode", "snapshot"),
    (
        "vault-core/src/stream/mod.rs",
        "StreamRef::from_wire",
        "stream",
    ),
    ("vault-core/src/tree/node.rs", "Node::decode", "node"),
];

/// Those that none needs to call, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "proto/src/device.rs",
        "KemKey::from_slice",
        "takes a length and nothing else; KemPublicKey looks inside",
    ),
    ("proto/src/ids.rs", "from_slice", "32 bytes, or none"),
    (
        "proto/src/invitation.rs",
        "TlsTrust::from_wire",
        "a number and a pin; by way of Invitation::parse",
    ),
    (
        "proto/src/position.rs",
        "HeadPosition::from_wire",
        "a number and 32 bytes; by way of UnverifiedOffer::decode",
    ),
    (
        "proto/src/position.rs",
        "LogPosition::from_wire",
        "a number and 32 bytes; by way of UnverifiedOffer::decode",
    ),
    (
        "proto/src/sign.rs",
        "VerifyingKey::verify",
        "by way of Hello::verify and all the others",
    ),
    (
        "proto/src/vault_log/kinds.rs",
        "Role::from_wire",
        "a number; by way of UnverifiedOffer::decode",
    ),
    (
        "vault-core/src/author/account.rs",
        "Addition::decode",
        "by way of PairingCode::open_proposal",
    ),
    (
        "vault-core/src/chunk.rs",
        "ChunkId::from_slice",
        "32 bytes, or none",
    ),
    (
        "vault-core/src/pack/reader.rs",
        "VaultKeys::open_pack_footer",
        "by way of read_pack_entries",
    ),
    (
        "vault-core/src/pack/reader.rs",
        "VaultKeys::open_pack_trailer",
        "by way of read_pack_entries",
    ),
    (
        "vault-core/src/seal.rs",
        "VaultKeys::open_chunk_with",
        "by way of VaultKeys::open_chunk",
    ),
    (
        "vault-core/src/snapshot.rs",
        "SeriesId::from_slice",
        "16 bytes, or none",
    ),
    (
        "vault-core/src/snapshot.rs",
        "SnapshotId::from_slice",
        "32 bytes, or none",
    ),
    (
        "vault-core/src/timestamp.rs",
        "Timestamp::from_wire",
        "two numbers; by way of Snapshot::decode",
    ),
];

/// Answers that `hoster_answer` leaves out, and why.
const ANSWERS_WITHOUT_BYTES: &[(&str, &str)] = &[
    ("AppendAccountEntryResponse", "empty"),
    ("AppendVaultEntryResponse", "empty"),
    ("CreateAccountResponse", "a number"),
    ("CreateLinkResponse", "empty"),
    ("CreateVaultResponse", "empty"),
    ("DropOfferResponse", "empty"),
    ("PutAccountLogResponse", "a number"),
    ("PutMessageResponse", "empty"),
    ("PutOfferResponse", "empty"),
    ("PutPackResponse", "yes or no"),
    (
        "ReadLinkResponse",
        "part of a pack, which is counted and then opened",
    ),
    (
        "ReadPacksResponse",
        "part of a pack, which is counted and then opened",
    ),
    ("RevokeLinkResponse", "empty"),
];

/// A file from the root of the workspace, and a function as `Type::name` or `name`.
type Function = (String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn functions() -> BTreeSet<Function> {
    let mut found = BTreeSet::new();
    for directory in ["proto/src", "vault-core/src"] {
        collect(directory, &mut found);
    }
    found
}

fn collect(directory: &str, found: &mut BTreeSet<Function>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{directory}/{name}");
        let is_apart = ["tests", "tests.rs", "vectors", "generated", "testing.rs"];
        if is_apart.contains(&&name[..]) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            found.extend(functions_of(&text).map(|function| (path.clone(), function)));
        }
    }
}

/// Public functions of one of the verbs, each with the type whose `impl` it stands in.
fn functions_of(text: &str) -> impl Iterator<Item = String> {
    let mut owner = String::new();
    let mut found = Vec::new();
    let mut is_for_tests = false;
    for line in text.lines() {
        if is_for_tests && line.starts_with("mod ") && line.ends_with('{') {
            break;
        }
        is_for_tests = line.starts_with("#[cfg(test)]");
        if line.starts_with('}') {
            owner.clear();
        } else if let Some(rest) = line.strip_prefix("impl") {
            owner = owner_of(rest);
        }
        let declared = line.trim_start().strip_prefix("pub ").unwrap_or_default();
        let declared = declared.strip_prefix("const ").unwrap_or(declared);
        let Some(name) = declared.strip_prefix("fn ") else {
            continue;
        };
        let name: String = name
            .chars()
            .take_while(|c| *c == '_' || c.is_alphanumeric())
            .collect();
        if VERBS.iter().any(|verb| is_of(&name, verb)) {
            let path = [owner.as_str(), &name]
                .into_iter()
                .filter(|part| !part.is_empty());
            found.push(path.collect::<Vec<_>>().join("::"));
        }
    }
    found.into_iter()
}

fn is_of(name: &str, verb: &str) -> bool {
    name.strip_prefix(verb)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Of what follows `impl`: the type, without parameters and without a trait.
fn owner_of(rest: &str) -> String {
    let rest = rest.rsplit(" for ").next().unwrap_or(rest);
    let rest = match rest.strip_prefix('<') {
        Some(parameters) => parameters.split_once("> ").map_or("", |(_, rest)| rest),
        None => rest.trim_start(),
    };
    rest.chars()
        .take_while(|c| *c == '_' || c.is_alphanumeric())
        .collect()
}

#[test]
fn every_function_that_takes_bytes_from_outside_is_reached_by_a_decoder() {
    let listed = REACHED.iter().chain(EXCEPTIONS);
    let listed: BTreeMap<_, _> = listed
        .map(|(file, function, why)| ((file.to_string(), function.to_string()), *why))
        .collect();
    assert_eq!(
        listed.len(),
        REACHED.len() + EXCEPTIONS.len(),
        "one is listed twice"
    );
    let found = functions();
    let listed: BTreeSet<_> = listed.into_keys().collect();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "in no list: {unlisted:#?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "listed and not there: {gone:#?}");
    assert!(found.len() > 40, "{}", found.len());
}

/// The decoder is one, and what it does is in its text: the function's name, or that of
/// the one by whose way it is reached.
#[test]
fn what_is_said_to_be_reached_is_called() {
    let files = ["public.rs", "secret.rs"].map(|file| {
        let file = root().join("checks/decoders/src").join(file);
        fs::read_to_string(file).unwrap()
    });
    let text = files.concat();
    for (file, function, decoder) in REACHED {
        assert!(
            DECODERS.iter().any(|(name, _)| name == decoder),
            "{decoder}"
        );
        let start = text.find(&format!("pub fn {decoder}(")).unwrap();
        let body = &text[start..];
        let body = &body[..body.find("\n}\n").unwrap()];
        let name = function.rsplit("::").next().unwrap();
        assert!(
            body.contains(&format!("{name}("))
                || body.contains(&format!("{name}::<"))
                || body.contains(&format!("{function})")),
            "{decoder} does not call {function} of {file}"
        );
    }
}

#[test]
fn every_answer_of_a_hoster_is_converted_by_a_decoder() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let schema = read("proto/coffre/rpc/v1/hoster.proto");
    let answers = schema.lines().filter_map(|line| {
        let (_, returned) = line.split_once("returns (")?;
        let returned = returned.strip_prefix("stream ").unwrap_or(returned);
        Some(returned.split_once(')')?.0)
    });
    let answers: BTreeSet<_> = answers.collect();
    let decoder = read("vault-client/src/remote/grpc/fuzzing.rs");
    let (decoder, _) = decoder.split_once("#[cfg(test)]").unwrap();
    let excepted: BTreeSet<_> = ANSWERS_WITHOUT_BYTES
        .iter()
        .map(|(name, _)| *name)
        .collect();
    for answer in &answers {
        let is_converted = decoder.contains(&format!("(answer: wire::{answer})"));
        assert!(is_converted != excepted.contains(answer), "{answer}");
    }
    assert!(excepted.is_subset(&answers));
    assert!(answers.len() > 20, "{answers:?}");
}

#[test]
fn the_search_finds_functions_whatever_they_stand_in() {
    let text = "
pub fn decode_all(bytes: &[u8]) {}
impl Head {
    pub const fn from_slice(bytes: &[u8]) {}
    fn parse_inside() {}
    pub fn opened(&self) {}
}
impl<M: Message> Reader<M> {
    pub fn open(self) {}
}
impl fmt::Debug for Other {
    pub fn verify_it() {}
}
#[cfg(test)]
mod tests {
    pub fn read() {}
}
";
    let found: Vec<_> = functions_of(text).collect();
    let expected = [
        "decode_all",
        "Head::from_slice",
        "Reader::open",
        "Other::verify_it",
    ];
    assert_eq!(found, expected);
}
