//! Heads: the one step that changes what a vault holds, and its announcement.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vault_proto::{
    head::{HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, VerifiedHead},
    ids::{AccountId, VaultId},
    pack_list::PackList,
    position::HeadPosition,
};
use vault_rpc::hoster::{
    Accepted, CommitHeadRequest, CommitHeadResponse, LostRace, MissingPacks, Reason,
    WatchHeadsResponse, commit_head_response::Outcome,
};

use super::{
    Caller, Hoster, blocking, login::Party, outgoing::outgoing, refusal::Refusal, request,
    vaults::Membership,
};
use crate::seats::Seat;
use crate::store::{Commit, HeadCommit, Vault};

/// The most vaults that one stream watches.
const MAX_WATCHED: usize = 1024;

impl Hoster {
    pub(crate) fn commit_head(
        &self,
        caller: Caller,
        request: &CommitHeadRequest,
    ) -> Result<CommitHeadResponse, Refusal> {
        let head =
            UnverifiedHead::decode(&request.head).map_err(|error| Refusal::undecodable(&error))?;
        let adds = request::pack_list(&request.adds)?;
        let removes = request::pack_list(&request.removes)?;
        if removes.packs().iter().any(|pack| adds.contains(pack)) {
            return Err(Refusal::malformed(
                "The head adds a pack and removes it in one step.",
            ));
        }
        let id = head.claims().vault;
        let membership = self.writable(caller, &id)?;
        if head.claims().account != caller.account {
            return Err(Refusal::forbidden(
                "The head was made by another member than the one who sends it.",
            ));
        }
        let vault = self.ledger.vault(&id)?;
        let vault = vault.ok_or_else(Refusal::no_such_vault)?;
        if head.seq() <= vault.head_seq() {
            let accepted = self.ledger.head(&id, head.seq())?;
            return Ok(answer(
                if accepted.is_some_and(|accepted| accepted.hash == head.hash()) {
                    Outcome::Accepted(Accepted {})
                } else {
                    lost(&vault)
                },
            ));
        }
        let Some(head) = self.verify(&vault, &membership, head)? else {
            return Ok(answer(lost(&vault)));
        };
        check_content(&head, &request.root, &adds, &removes)?;
        let outcome = self.ledger.commit_head(&HeadCommit {
            vault: id,
            previous: vault.head,
            head: head.position(),
            log_seq: head.head().vault_position.seq,
            device: head.head().device,
            signed: &head.to_bytes(),
            root: &request.root,
            adds: adds.packs(),
            removes: removes.packs(),
            now: self.clock.now(),
        })?;
        Ok(answer(match outcome {
            Commit::Accepted => {
                self.feed.announce(News::Vault(id));
                Outcome::Accepted(Accepted {})
            }
            Commit::LostRace { head_seq, log_seq } => Outcome::LostRace(LostRace {
                head_seq,
                vault_log_seq: log_seq,
            }),
            Commit::Missing(packs) => Outcome::Missing(MissingPacks {
                packs: packs.iter().flat_map(|pack| *pack.as_bytes()).collect(),
            }),
            Commit::OverQuota(fullness) => return Err(Refusal::quota(fullness)),
            Commit::TrashFull(fullness) => return Err(Refusal::trash(fullness)),
            Commit::RecordsFull(fullness) => return Err(Refusal::records(fullness)),
            Commit::NoSuchVault => return Err(Refusal::no_such_vault()),
        }))
    }

    /// Verifies a head as the next one; `None` if another head or entry came
    /// first, or if it does not know the newest entries of a log.
    fn verify(
        &self,
        vault: &Vault,
        membership: &Membership,
        head: UnverifiedHead,
    ) -> Result<Option<VerifiedHead>, Refusal> {
        let log = &membership.log;
        if head.seq() != vault.head_seq() + 1
            || head.claims().vault_position.seq != log.position().seq
        {
            return Ok(None);
        }
        let seen = self.seen_heads(vault)?;
        let author = head.claims().account;
        let device = head.claims().device;
        let verified = self.logs.with_author(|accounts| {
            head.clone().verify(&HeadContext {
                vault_log: log,
                account_logs: accounts,
                previous: PreviousHeads::Next(&seen),
            })
        })?;
        match verified {
            Ok(head) => {
                // The head may name an older place of its author's log than the
                // newest that is here, not a device that was removed since.
                let author = self.logs.account(&author)?;
                let active = author
                    .is_some_and(|author| author.is_active_at(&device, author.position().seq));
                if active {
                    Ok(Some(head))
                } else {
                    Err(Refusal::invalid(&HeadError::DeviceNotActive(device)))
                }
            }
            Err(
                HeadError::Older { .. }
                | HeadError::Repeated { .. }
                | HeadError::Fork { .. }
                | HeadError::MissingLink { .. }
                | HeadError::StalePosition
                | HeadError::VaultEntriesMissing { .. }
                | HeadError::AccountEntriesMissing { .. },
            ) => Ok(None),
            Err(error) => Err(Refusal::invalid(&error)),
        }
    }

    /// What links of the next head can point at.
    fn seen_heads(&self, vault: &Vault) -> Result<SeenHeads, Refusal> {
        let Some(newest) = vault.head else {
            return Ok(SeenHeads::none());
        };
        let head = |seq| self.ledger.head(&vault.id, seq);
        let signed = head(newest.seq)?.map_or_else(Vec::new, |head| head.signed);
        let mut failed = None;
        let seen = SeenHeads::collect(&signed, |seq| match head(seq) {
            Ok(head) => Some(head?.hash),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match failed {
            Some(error) => Err(error.into()),
            // Heads that were accepted are there, and fit together.
            None => seen.map_err(|error| Refusal::internal(&error)),
        }
    }

    /// Where the vaults stand that a stream watches, after checking that the
    /// caller may.
    pub(crate) fn watched(
        &self,
        caller: Caller,
        vaults: &[Vec<u8>],
    ) -> Result<HashMap<VaultId, u64>, Refusal> {
        if vaults.len() > MAX_WATCHED {
            return Err(Refusal::too_large(format!(
                "At most {MAX_WATCHED} vaults can be watched at once."
            )));
        }
        let mut watched = HashMap::new();
        for vault in vaults {
            let vault = request::vault(vault)?;
            self.membership(caller, &vault)?;
            watched.insert(vault, 0);
        }
        Ok(watched)
    }

    /// The heads that the watcher has not been told of.
    ///
    /// # Errors
    /// A [`Refusal`], if the device or the member was removed meanwhile.
    fn news(
        &self,
        caller: Caller,
        watched: &mut HashMap<VaultId, u64>,
    ) -> Result<Vec<(VaultId, HeadPosition)>, Refusal> {
        self.check_active(caller)?;
        let mut news = Vec::new();
        let vaults: Vec<_> = watched.keys().copied().collect();
        for id in vaults {
            self.membership(caller, &id)
                .map_err(|refusal| match refusal.reason() {
                    Reason::NotFound => Refusal::removed_member(&id),
                    _ => refusal,
                })?;
            let head = self.ledger.vault(&id)?.and_then(|vault| vault.head);
            if let (Some(head), Some(told)) = (head, watched.get_mut(&id))
                && head.seq > *told
            {
                *told = head.seq;
                news.push((id, head));
            }
        }
        Ok(news)
    }
}

/// Sends what is new until the watcher hangs up or is removed: what stands at
/// the beginning, each head as it comes, and a message without a vault when it
/// was quiet.
pub(crate) fn watch(
    hoster: Arc<Hoster>,
    caller: Caller,
    seat: Seat<Party>,
    mut watched: HashMap<VaultId, u64>,
) -> ReceiverStream<Result<WatchHeadsResponse, Status>> {
    let (mut outgoing, answer) = outgoing(16, hoster.limits.stalled);
    // Before the first look, so that no head falls in between.
    let mut feed = hoster.feed.announced.subscribe();
    let mut stopping = hoster.feed.stopping();
    let keepalive = hoster.limits.watch_keepalive;
    tokio::spawn(async move {
        let _seat = seat;
        let mut sent = Instant::now();
        loop {
            let looked = blocking(&hoster, move |hoster| {
                let news = hoster.news(caller, &mut watched)?;
                Ok((watched, news))
            });
            let news = match looked.await {
                Ok((returned, news)) => {
                    watched = returned;
                    news
                }
                Err(status) => return outgoing.end(status),
            };
            for (vault, head) in news {
                sent = Instant::now();
                if !outgoing.send(announcement(vault, head)).await {
                    return;
                }
            }
            // Until something of interest is announced. If too much was, the
            // ledger knows what.
            loop {
                tokio::select! {
                    announced = feed.recv() => match announced {
                        Ok(News::Vault(vault)) if !watched.contains_key(&vault) => {}
                        Ok(News::Account(account)) if account != caller.account => {}
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    () = tokio::time::sleep_until(sent + keepalive) => {
                        sent = Instant::now();
                        if !outgoing.send(WatchHeadsResponse::default()).await {
                            return;
                        }
                    }
                    () = outgoing.closed() => return,
                    _ = stopping.changed() => return,
                }
            }
        }
    });
    answer
}

fn announcement(vault: VaultId, head: HeadPosition) -> WatchHeadsResponse {
    WatchHeadsResponse {
        vault: vault.to_vec(),
        head_seq: head.seq,
        head_hash: head.hash.to_vec(),
    }
}

/// Where a watcher may have to look.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    /// There is a new head, or somebody is no member any more.
    Vault(VaultId),
    /// The account's log has grown.
    Account(AccountId),
}

/// Tells watchers where to look.
pub(crate) struct Feed {
    announced: broadcast::Sender<News>,
    stopping: watch::Sender<bool>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            announced: broadcast::Sender::new(256),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Feed {
    pub(super) fn announce(&self, news: News) {
        // That nobody watches is no error.
        let _ = self.announced.send(news);
    }

    /// Changes when the server stops.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Ends every watch: the server stops.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// The head names exactly this root and these packs.
fn check_content(
    head: &VerifiedHead,
    root: &[u8],
    adds: &PackList,
    removes: &PackList,
) -> Result<(), Refusal> {
    head.check_root(root)
        .and_then(|()| head.check_packs(adds, removes))
        .map_err(|error| Refusal::invalid(&error))
}

fn lost(vault: &Vault) -> Outcome {
    Outcome::LostRace(LostRace {
        head_seq: vault.head_seq(),
        vault_log_seq: vault.log_seq,
    })
}

fn answer(outcome: Outcome) -> CommitHeadResponse {
    CommitHeadResponse {
        outcome: Some(outcome),
    }
}
