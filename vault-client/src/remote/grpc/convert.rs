//! Between the library's types and the wire's. Nothing that comes in is taken
//! on trust but for its shape.

use std::num::NonZeroU32;

use data_encoding::HEXLOWER;
use prost::Message;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status};
use vault_core::pack::MAX_PACK_LEN;
use vault_proto::ids::{AccountId, HeadHash, LinkId, PackId, VaultId};
use vault_proto::pack_list::PackList;
use vault_proto::wire::VaultKind;
use vault_rpc::hoster::{
    self as wire, CommitHeadRequest, CommitHeadResponse, KnownAccount, ListVaultsResponse, Reason,
    SyncVaultRequest, SyncVaultResponse, commit_head_response::Outcome,
};

use crate::remote::{
    CommitOutcome, CommitRequest, HeadNews, LinkBlocks, LinkStatus, LinkTicket, LogAnswer,
    MAX_MESSAGE_BYTES, MAX_OFFER_BYTES, MAX_OFFERS, Misbehaviour, NewLink, OpenedLink, PackRange,
    Presence, Refusal, RefusalReason, RemoteError, SyncAnswer, SyncRequest, Usage,
};

/// What a login gives; sent with every call.
pub(super) type Token = MetadataValue<Ascii>;

const MALFORMED: RemoteError = RemoteError::Misbehaved(Misbehaviour::Malformed);
const TOO_LARGE: RemoteError = RemoteError::Misbehaved(Misbehaviour::TooLarge);

/// What a failed call means.
pub(super) fn status_error(status: Status) -> RemoteError {
    use std::error::Error;
    if let Some(refusal) = refusal(&status) {
        return RemoteError::Refused(refusal);
    }
    // The hoster's own statuses have no source; what broke below us has.
    if status.source().is_some() {
        return unreachable(&status);
    }
    match status.code() {
        // Unknown is a stream that ended without a status: cut off on the way.
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Aborted => unreachable(&status),
        Code::DeadlineExceeded => RemoteError::Stalled,
        Code::OutOfRange => RemoteError::Misbehaved(Misbehaviour::TooLarge),
        Code::Internal | Code::DataLoss => MALFORMED,
        Code::Unauthenticated => refused(RefusalReason::Unauthenticated, &status),
        Code::PermissionDenied => refused(RefusalReason::Forbidden, &status),
        Code::NotFound => refused(RefusalReason::NotFound, &status),
        _ => refused(RefusalReason::Other, &status),
    }
}

/// The line broke, or there is none.
pub(super) fn unreachable(why: impl ToString) -> RemoteError {
    RemoteError::Unreachable {
        detail: why.to_string(),
    }
}

fn refused(reason: RefusalReason, status: &Status) -> RemoteError {
    RemoteError::Refused(Refusal::new(reason, status.message()))
}

fn refusal(status: &Status) -> Option<Refusal> {
    let details = status.details();
    if details.is_empty() {
        return None;
    }
    let refusal = wire::Refusal::decode(details).ok()?;
    let reason = match refusal.reason() {
        Reason::Malformed => RefusalReason::Malformed,
        Reason::Unauthenticated => RefusalReason::Unauthenticated,
        Reason::Forbidden | Reason::Removed => RefusalReason::Forbidden,
        Reason::NotFound => RefusalReason::NotFound,
        Reason::InvitationUnknown => RefusalReason::InvitationUnknown,
        Reason::InvitationExpired => RefusalReason::InvitationExpired,
        Reason::InvitationUsed => RefusalReason::InvitationUsed,
        Reason::QuotaExceeded => RefusalReason::QuotaExceeded,
        Reason::DiskFull => RefusalReason::DiskFull,
        Reason::ClockSkew => RefusalReason::ClockSkew,
        Reason::HashMismatch => RefusalReason::HashMismatch,
        Reason::InvalidSigned => RefusalReason::InvalidSigned,
        Reason::LostRace => RefusalReason::LostRace,
        Reason::TooLarge => RefusalReason::TooLarge,
        Reason::TooSlow | Reason::TooMany => RefusalReason::TooSlow,
        Reason::Moved => RefusalReason::Moved,
        Reason::LinkOver => RefusalReason::LinkOver,
        Reason::BoxFull => RefusalReason::BoxFull,
        Reason::Internal => RefusalReason::Internal,
        Reason::Unspecified => RefusalReason::Other,
    };
    Some(Refusal {
        quota_bytes: refusal.quota_bytes,
        used_bytes: refusal.used_bytes,
        ..Refusal::new(reason, &refusal.message)
    })
}

pub(super) fn token(answer: &wire::LoginResponse) -> Result<Token, RemoteError> {
    if answer.token.len() != 32 {
        return Err(MALFORMED);
    }
    let hex = HEXLOWER.encode(&answer.token);
    let mut token = Token::try_from(format!("Bearer {hex}")).map_err(|_| MALFORMED)?;
    token.set_sensitive(true);
    Ok(token)
}

/// The account that a device belongs to.
pub(super) fn account(answer: &wire::FindAccountResponse) -> Result<AccountId, RemoteError> {
    AccountId::from_slice(&answer.account).map_err(|_| MALFORMED)
}

pub(super) fn sync_request(request: &SyncRequest) -> SyncVaultRequest {
    let known = |(account, seq): &(AccountId, u64)| KnownAccount {
        account: account.to_vec(),
        seq: *seq,
    };
    SyncVaultRequest {
        vault: request.vault.to_vec(),
        vault_log_seq: request.vault_log_seq,
        head_seq: request.head_seq,
        accounts: request.accounts.iter().map(known).collect(),
        without_root: request.without_root,
        until_head_seq: request.until_head_seq,
    }
}

pub(super) fn sync_answer(answer: SyncVaultResponse) -> Result<SyncAnswer, RemoteError> {
    let accounts = answer.accounts.into_iter().map(|account| {
        let id = AccountId::from_slice(&account.account).map_err(|_| MALFORMED)?;
        Ok((id, account.entries))
    });
    Ok(SyncAnswer {
        accounts: accounts.collect::<Result<_, RemoteError>>()?,
        vault_entries: answer.vault_entries,
        heads: answer.heads,
        root: answer.root,
        newest_head_seq: answer.newest_head_seq,
        more: answer.more,
    })
}

pub(super) fn vaults(
    answer: &ListVaultsResponse,
) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
    let vault = |listed: &wire::ListedVault| {
        let id = VaultId::from_slice(&listed.vault).map_err(|_| MALFORMED)?;
        Ok((id, listed.kind()))
    };
    answer.vaults.iter().map(vault).collect()
}

/// `None` for a message that only keeps the line alive.
pub(super) fn head_news(
    message: &wire::WatchHeadsResponse,
) -> Result<Option<HeadNews>, RemoteError> {
    if message.vault.is_empty() {
        return Ok(None);
    }
    Ok(Some(HeadNews {
        vault: VaultId::from_slice(&message.vault).map_err(|_| MALFORMED)?,
        head_seq: message.head_seq,
        head_hash: HeadHash::from_slice(&message.head_hash).map_err(|_| MALFORMED)?,
    }))
}

pub(super) fn usage(answer: &wire::UsageResponse) -> Usage {
    Usage {
        quota_bytes: answer.quota_bytes,
        committed_bytes: answer.committed_bytes,
        unclaimed_bytes: answer.unclaimed_bytes,
        trash_bytes: answer.trash_bytes,
    }
}

/// One byte a pack.
pub(super) fn there(bytes: &[u8], asked: usize) -> Result<Vec<Presence>, RemoteError> {
    if bytes.len() != asked {
        return Err(MALFORMED);
    }
    let presence = bytes.iter().map(|byte| match byte {
        0 => Ok(Presence::Absent),
        1 => Ok(Presence::There),
        2 => Ok(Presence::Trash),
        _ => Err(MALFORMED),
    });
    presence.collect()
}

pub(super) fn range(range: &PackRange) -> wire::PackRange {
    wire::PackRange {
        pack: range.pack.to_vec(),
        offset: range.offset,
        length: range.length,
    }
}

pub(super) fn concat(packs: &[PackId]) -> Vec<u8> {
    packs.iter().flat_map(|pack| *pack.as_bytes()).collect()
}

pub(super) fn commit_request(request: &CommitRequest) -> CommitHeadRequest {
    CommitHeadRequest {
        head: request.head.clone(),
        root: request.root.clone(),
        adds: concat(&request.adds),
        removes: concat(&request.removes),
    }
}

pub(super) fn commit_outcome(
    answer: CommitHeadResponse,
    request: &CommitRequest,
) -> Result<CommitOutcome, RemoteError> {
    match answer.outcome.ok_or(MALFORMED)? {
        Outcome::Accepted(wire::Accepted {}) => Ok(CommitOutcome::Accepted),
        Outcome::LostRace(lost) => Ok(CommitOutcome::LostRace {
            head_seq: lost.head_seq,
            vault_log_seq: lost.vault_log_seq,
        }),
        Outcome::Missing(missing) => {
            let packs = PackList::from_bytes(&missing.packs).map_err(|_| MALFORMED)?;
            let packs = packs.packs();
            if packs.is_empty() {
                return Err(MALFORMED);
            }
            if packs.iter().any(|pack| !request.adds.contains(pack)) {
                return Err(RemoteError::Misbehaved(Misbehaviour::MissingUnasked));
            }
            Ok(CommitOutcome::MissingPacks(packs.to_vec()))
        }
    }
}

pub(super) fn log_answer(answer: wire::FetchAccountLogResponse) -> LogAnswer {
    LogAnswer {
        entries: answer.entries,
        more: answer.more,
    }
}

/// `None` for a message that did not come.
pub(super) fn message(message: Vec<u8>) -> Result<Option<Vec<u8>>, RemoteError> {
    match message.len() {
        0 => Ok(None),
        1..=MAX_MESSAGE_BYTES => Ok(Some(message)),
        _ => Err(TOO_LARGE),
    }
}

pub(super) fn offers(answer: wire::ListOffersResponse) -> Result<Vec<Vec<u8>>, RemoteError> {
    let too_long = |offer: &Vec<u8>| offer.len() > MAX_OFFER_BYTES;
    if answer.offers.len() > MAX_OFFERS || answer.offers.iter().any(too_long) {
        return Err(TOO_LARGE);
    }
    Ok(answer.offers)
}

pub(super) fn new_link(link: &NewLink) -> wire::CreateLinkRequest {
    let blocks = |blocks: &LinkBlocks| wire::LinkBlocks {
        pack: blocks.pack.to_vec(),
        blocks: blocks.blocks.clone(),
    };
    wire::CreateLinkRequest {
        vault: link.vault.to_vec(),
        link: link.link.to_vec(),
        capsule: link.capsule.to_vec(),
        packs: link.packs.iter().map(blocks).collect(),
        // On the wire 0 is never; what expired in 1970 expired a second later too.
        expires: link.expires.map_or(0, |seconds| seconds.max(1)),
        max_downloads: link.max_downloads.map_or(0, NonZeroU32::get),
    }
}

pub(super) fn links(answer: &wire::ListLinksResponse) -> Result<Vec<LinkStatus>, RemoteError> {
    let link = |status: &wire::LinkStatus| {
        Ok(LinkStatus {
            link: LinkId::from_slice(&status.link).map_err(|_| MALFORMED)?,
            created: status.created,
            expires: (status.expires != 0).then_some(status.expires),
            max_downloads: NonZeroU32::new(status.max_downloads),
            downloads: status.downloads,
            account: AccountId::from_slice(&status.account).map_err(|_| MALFORMED)?,
        })
    };
    answer.links.iter().map(link).collect()
}

pub(super) fn opened_link(answer: &wire::OpenLinkResponse) -> Result<OpenedLink, RemoteError> {
    if answer.capsule_size as usize > MAX_PACK_LEN {
        return Err(TOO_LARGE);
    }
    let ticket = answer.ticket[..].try_into().map_err(|_| MALFORMED)?;
    Ok(OpenedLink {
        ticket: LinkTicket::from_array(ticket),
        lifetime_seconds: answer.lifetime_seconds,
        capsule: PackId::from_slice(&answer.capsule).map_err(|_| MALFORMED)?,
        capsule_size: answer.capsule_size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_details(reason: Reason) -> Status {
        let details = wire::Refusal {
            reason: reason.into(),
            message: "no\nway".into(),
            quota_bytes: 5,
            used_bytes: 4,
        };
        Status::with_details(Code::ResourceExhausted, "", details.encode_to_vec().into())
    }

    #[test]
    fn a_refusal_is_read_from_the_details() {
        let error = status_error(with_details(Reason::QuotaExceeded));
        let RemoteError::Refused(refusal) = error else {
            panic!("{error:?}");
        };
        assert_eq!(refusal.reason, RefusalReason::QuotaExceeded);
        assert_eq!((refusal.quota_bytes, refusal.used_bytes), (5, 4));
        assert_eq!(refusal.message, "no way");
    }

    #[test]
    fn a_status_of_somebody_else_still_means_something() {
        // As a proxy in front of a hoster that is down says it.
        let error = status_error(Status::unavailable("502"));
        assert!(error.is_transient(), "{error:?}");
        let error = status_error(Status::out_of_range("too long"));
        assert_eq!(error, RemoteError::Misbehaved(Misbehaviour::TooLarge));
        let mut odd = Status::unknown("");
        odd.set_source(std::sync::Arc::new(std::io::Error::from(
            std::io::ErrorKind::BrokenPipe,
        )));
        assert!(status_error(odd).is_transient());
        let junk = Status::with_details(Code::NotFound, "", vec![0xff; 9].into());
        assert_eq!(status_error(junk).code(), crate::error::ErrorCode::NoVault);
    }

    #[test]
    fn answers_have_the_shape_of_the_question() {
        let all = vec![Presence::There, Presence::Absent, Presence::Trash];
        assert_eq!(there(&[1, 0, 2], 3), Ok(all));
        assert_eq!(there(&[1], 2), Err(MALFORMED));
        assert_eq!(there(&[3, 0], 2), Err(MALFORMED));

        let request = CommitRequest {
            head: Vec::new(),
            root: Vec::new(),
            adds: vec![PackId::from_array([1; 32])],
            removes: Vec::new(),
        };
        let missing = |packs: Vec<u8>| {
            let outcome = Outcome::Missing(wire::MissingPacks { packs });
            let answer = CommitHeadResponse {
                outcome: Some(outcome),
            };
            commit_outcome(answer, &request)
        };
        assert_eq!(
            missing(vec![1; 32]),
            Ok(CommitOutcome::MissingPacks(request.adds.clone()))
        );
        assert_eq!(missing(vec![1; 31]), Err(MALFORMED));
        assert_eq!(missing(Vec::new()), Err(MALFORMED));
        assert_eq!(
            missing(vec![2; 32]),
            Err(RemoteError::Misbehaved(Misbehaviour::MissingUnasked))
        );
        let nothing = CommitHeadResponse { outcome: None };
        assert_eq!(commit_outcome(nothing, &request), Err(MALFORMED));
    }

    #[test]
    fn a_token_has_32_bytes_and_is_not_shown() {
        let answer = |token| wire::LoginResponse {
            token,
            lifetime_seconds: 60,
        };
        let token = super::token(&answer(vec![0xab; 32])).unwrap();
        assert_eq!(
            token.to_str().unwrap(),
            format!("Bearer {}", "ab".repeat(32))
        );
        assert!(token.is_sensitive());
        for length in [0, 31, 33] {
            assert_eq!(super::token(&answer(vec![7; length])), Err(MALFORMED));
        }
    }

    #[test]
    fn news_without_a_vault_keep_the_line_alive() {
        let mut news = wire::WatchHeadsResponse::default();
        assert_eq!(head_news(&news), Ok(None));
        news.vault = vec![1; 32];
        assert_eq!(head_news(&news), Err(MALFORMED));
        news.head_hash = vec![2; 32];
        assert!(head_news(&news).unwrap().is_some());
        news.vault.pop();
        assert_eq!(head_news(&news), Err(MALFORMED));
    }

    #[test]
    fn what_others_left_is_bounded() {
        assert_eq!(message(Vec::new()), Ok(None));
        let longest = vec![7; MAX_MESSAGE_BYTES];
        assert_eq!(message(longest.clone()), Ok(Some(longest)));
        assert_eq!(message(vec![7; MAX_MESSAGE_BYTES + 1]), Err(TOO_LARGE));

        let listed = |count, bytes| {
            let offers = vec![vec![7; bytes]; count];
            offers_of(offers).map(|offers| offers.len())
        };
        assert_eq!(listed(MAX_OFFERS, MAX_OFFER_BYTES), Ok(MAX_OFFERS));
        assert_eq!(listed(1, MAX_OFFER_BYTES + 1), Err(TOO_LARGE));
        assert_eq!(listed(MAX_OFFERS + 1, 1), Err(TOO_LARGE));
    }

    fn offers_of(offers: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, RemoteError> {
        super::offers(wire::ListOffersResponse { offers })
    }

    #[test]
    fn an_opened_link_has_a_ticket_and_a_capsule() {
        let answer = wire::OpenLinkResponse {
            ticket: vec![1; 32],
            lifetime_seconds: 60,
            capsule: vec![2; 32],
            capsule_size: 16 << 20,
        };
        assert_eq!(opened_link(&answer).unwrap().ticket.as_bytes(), &[1; 32]);
        type Change = fn(&mut wire::OpenLinkResponse);
        let changes: [(Change, RemoteError); 3] = [
            (|answer| answer.ticket.truncate(31), MALFORMED),
            (|answer| answer.capsule.push(0), MALFORMED),
            (|answer| answer.capsule_size += 1, TOO_LARGE),
        ];
        for (change, error) in changes {
            let mut answer = answer.clone();
            change(&mut answer);
            assert_eq!(opened_link(&answer), Err(error));
        }
    }

    #[test]
    fn a_link_without_limits_is_zeros_on_the_wire() {
        let mut link = NewLink {
            vault: VaultId::from_array([1; 32]),
            link: LinkId::from_array([2; 32]),
            capsule: PackId::from_array([3; 32]),
            packs: Vec::new(),
            expires: None,
            max_downloads: None,
        };
        let wire = new_link(&link);
        assert_eq!((wire.expires, wire.max_downloads), (0, 0));
        link.expires = Some(0);
        link.max_downloads = NonZeroU32::new(7);
        let wire = new_link(&link);
        assert_eq!((wire.expires, wire.max_downloads), (1, 7));
    }
}
