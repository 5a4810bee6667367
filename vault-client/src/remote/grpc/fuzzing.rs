//! Every conversion of an answer, on whatever a hoster says: for the properties below, and
//! for the fuzz target `hoster_answer`. Where something of the answer is kept, it is that
//! and nothing else.

use prost::Message;
use tonic::{Code, Status};
use vault_core::pack::MAX_PACK_LEN;
use vault_proto::ids::PackId;
use vault_proto::origin::Origin;
use vault_proto::wire::VaultKind;
use vault_rpc::hoster::{self as wire, commit_head_response::Outcome};

use super::convert;
use super::greeting::Greeting;
use crate::remote::{CommitOutcome, CommitRequest, MAX_OFFERS, Presence};

/// The same bytes as an answer to every call, and as what comes with a status.
pub(super) fn answer(bytes: &[u8]) {
    status(bytes);
    each(bytes, hello);
    each(bytes, login);
    each(bytes, find_account);
    each(bytes, fetch_account_log);
    each(bytes, list_vaults);
    each(bytes, sync_vault);
    each(bytes, watch_heads);
    each(bytes, have_packs);
    each(bytes, commit_head);
    each(bytes, usage);
    each(bytes, await_message);
    each(bytes, list_offers);
    each(bytes, list_links);
    each(bytes, open_link);
}

fn each<M: Message + Default>(bytes: &[u8], convert: fn(M)) {
    if let Ok(message) = M::decode(bytes) {
        convert(message);
    }
}

fn status(bytes: &[u8]) {
    let code = Code::from_i32(bytes.first().copied().unwrap_or_default().into());
    let message = String::from_utf8_lossy(bytes);
    let refused = Status::with_details(code, message.clone(), bytes.to_vec().into());
    for status in [refused, Status::new(code, message)] {
        let error = convert::status_error(status);
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        let _ = (error.code(), error.is_transient());
    }
}

fn hello(answer: wire::HelloResponse) {
    let origin = Origin::parse("coffre.example:443").expect("an origin");
    let Ok(greeting) = Greeting::from_answer(&answer, [1; 32], &origin) else {
        return;
    };
    assert_eq!(greeting.nonces.client, [1; 32]);
    assert_eq!(greeting.nonces.server.as_slice(), answer.server_nonce);
    let hoster = greeting.hoster();
    let clear = greeting.is_from(&hoster, None);
    let bound = greeting.is_from(&hoster, Some([2; 32]));
    assert!(!(clear && bound), "one signature for two channels");
}

fn login(answer: wire::LoginResponse) {
    let token = convert::token(&answer);
    assert_eq!(token.is_ok(), answer.token.len() == 32);
    assert!(token.is_ok_and(|token| token.is_sensitive()) || answer.token.len() != 32);
}

fn find_account(answer: wire::FindAccountResponse) {
    if let Ok(account) = convert::account(&answer) {
        assert_eq!(account.to_vec(), answer.account);
    }
}

fn fetch_account_log(answer: wire::FetchAccountLogResponse) {
    let log = convert::log_answer(answer.clone());
    assert_eq!((log.entries, log.more), (answer.entries, answer.more));
}

fn list_vaults(answer: wire::ListVaultsResponse) {
    let Ok(vaults) = convert::vaults(&answer) else {
        return;
    };
    assert_eq!(vaults.len(), answer.vaults.len());
    for ((vault, kind), listed) in vaults.iter().zip(answer.vaults) {
        assert_eq!(vault.to_vec(), listed.vault);
        let known = VaultKind::try_from(listed.kind);
        assert_eq!(*kind, known.unwrap_or(VaultKind::Unspecified));
    }
}

fn sync_vault(answer: wire::SyncVaultResponse) {
    let Ok(sync) = convert::sync_answer(answer.clone()) else {
        return;
    };
    let accounts = sync.accounts.into_iter();
    let accounts = accounts.map(|(account, entries)| wire::AccountEntries {
        account: account.to_vec(),
        entries,
    });
    let again = wire::SyncVaultResponse {
        accounts: accounts.collect(),
        vault_entries: sync.vault_entries,
        heads: sync.heads,
        root: sync.root,
        newest_head_seq: sync.newest_head_seq,
        more: sync.more,
    };
    assert_eq!(again, answer);
}

fn watch_heads(answer: wire::WatchHeadsResponse) {
    if let Ok(Some(news)) = convert::head_news(&answer) {
        let again = wire::WatchHeadsResponse {
            vault: news.vault.to_vec(),
            head_seq: news.head_seq,
            head_hash: news.head_hash.to_vec(),
        };
        assert_eq!(again, answer);
    }
}

fn have_packs(answer: wire::HavePacksResponse) {
    let asked = answer.there.len();
    assert!(convert::there(&answer.there, asked + 1).is_err());
    if let Ok(there) = convert::there(&answer.there, asked) {
        let again = there.into_iter().map(|presence| match presence {
            Presence::Absent => 0,
            Presence::There => 1,
            Presence::Trash => 2,
        });
        assert_eq!(again.collect::<Vec<_>>(), answer.there);
    }
}

fn commit_head(answer: wire::CommitHeadResponse) {
    let request = CommitRequest {
        head: Vec::new(),
        root: Vec::new(),
        adds: [1, 2].map(|byte| PackId::from_array([byte; 32])).into(),
        removes: Vec::new(),
    };
    let Ok(outcome) = convert::commit_outcome(answer.clone(), &request) else {
        return;
    };
    let again = match outcome {
        CommitOutcome::Accepted => Outcome::Accepted(wire::Accepted {}),
        CommitOutcome::LostRace {
            head_seq,
            vault_log_seq,
        } => Outcome::LostRace(wire::LostRace {
            head_seq,
            vault_log_seq,
        }),
        CommitOutcome::MissingPacks(packs) => {
            assert!(!packs.is_empty() && packs.iter().all(|pack| request.adds.contains(pack)));
            let packs = convert::concat(&packs);
            Outcome::Missing(wire::MissingPacks { packs })
        }
    };
    assert_eq!(Some(again), answer.outcome);
}

fn usage(answer: wire::UsageResponse) {
    let usage = convert::usage(&answer);
    let again = wire::UsageResponse {
        quota_bytes: usage.quota_bytes,
        committed_bytes: usage.committed_bytes,
        unclaimed_bytes: usage.unclaimed_bytes,
        trash_bytes: usage.trash_bytes,
        ..answer
    };
    assert_eq!(again, answer);
}

fn await_message(answer: wire::AwaitMessageResponse) {
    if let Ok(message) = convert::message(answer.message.clone()) {
        assert_eq!(message.unwrap_or_default(), answer.message);
    }
}

fn list_offers(answer: wire::ListOffersResponse) {
    if let Ok(offers) = convert::offers(answer.clone()) {
        assert!(offers.len() <= MAX_OFFERS);
        assert_eq!(offers, answer.offers);
    }
}

fn list_links(answer: wire::ListLinksResponse) {
    let Ok(links) = convert::links(&answer) else {
        return;
    };
    let again = links.into_iter().map(|link| wire::LinkStatus {
        link: link.link.to_vec(),
        created: link.created,
        expires: link.expires.unwrap_or_default(),
        max_downloads: link.max_downloads.map_or(0, u32::from),
        downloads: link.downloads,
        account: link.account.to_vec(),
    });
    assert_eq!(again.collect::<Vec<_>>(), answer.links);
}

fn open_link(answer: wire::OpenLinkResponse) {
    if let Ok(opened) = convert::opened_link(&answer) {
        assert!(opened.capsule_size as usize <= MAX_PACK_LEN);
        let again = wire::OpenLinkResponse {
            ticket: opened.ticket.as_bytes().to_vec(),
            lifetime_seconds: opened.lifetime_seconds,
            capsule: opened.capsule.to_vec(),
            capsule_size: opened.capsule_size,
        };
        assert_eq!(again, answer);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answers() -> Vec<Vec<u8>> {
        let refusal = wire::Refusal {
            reason: wire::Reason::BoxFull.into(),
            message: "no\nway".into(),
            quota_bytes: 5,
            used_bytes: 4,
        };
        let vault = wire::ListedVault {
            vault: vec![4; 32],
            kind: 1,
        };
        let link = wire::LinkStatus {
            link: vec![5; 32],
            account: vec![6; 32],
            expires: 7,
            ..wire::LinkStatus::default()
        };
        let news = wire::WatchHeadsResponse {
            vault: vec![4; 32],
            head_seq: 8,
            head_hash: vec![9; 32],
        };
        let missing = wire::CommitHeadResponse {
            outcome: Some(Outcome::Missing(wire::MissingPacks { packs: vec![1; 32] })),
        };
        let vaults = wire::ListVaultsResponse {
            vaults: vec![vault],
        };
        let offers = wire::ListOffersResponse {
            offers: vec![vec![7; 20]],
        };
        let opened = wire::OpenLinkResponse {
            ticket: vec![1; 32],
            lifetime_seconds: 60,
            capsule: vec![2; 32],
            capsule_size: 16 << 20,
        };
        vec![
            refusal.encode_to_vec(),
            missing.encode_to_vec(),
            vaults.encode_to_vec(),
            wire::ListLinksResponse { links: vec![link] }.encode_to_vec(),
            offers.encode_to_vec(),
            opened.encode_to_vec(),
            news.encode_to_vec(),
        ]
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            answer(&bytes);
        }

        #[test]
        fn no_altered_answer_is_too_odd(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            for mut bytes in answers() {
                for (at, byte) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                answer(&bytes);
            }
        }
    }
}
