//! The contract of [`Ledger`].

mod accounts;
mod fixture;
mod guests;
mod heads;
mod inspection;
mod link_ends;
mod links;
mod offers;
mod packs;

use super::{blobs::OnDisk, contract};
use crate::store::{
    ledger::{Ledger, Terms},
    memory::MemoryLedger,
};

macro_rules! suite {
    ($adapter:ident, $make:expr) => {
        mod $adapter {
            use super::contract;
            contract!(
                of_accounts,
                $make,
                crate::store::contract::ledger::accounts {
                    an_invitation_becomes_one_account,
                    an_invitation_expires,
                    open_invitations_are_listed_and_dropped,
                    an_invitation_is_used_or_dropped,
                    an_account_is_made_from_one_invitation,
                    accounts_are_listed_in_pages,
                    a_log_grows_by_its_next_entry_only,
                    entries_come_in_bounded_answers,
                    tokens_are_read_until_they_are_dropped,
                    a_vault_is_made_once_and_by_an_account,
                    a_vault_log_grows_by_its_next_entry_at_the_newest_head,
                    members_see_the_vaults_they_are_in,
                    so_many_vaults_wait_to_be_accepted,
                    vaults_at_once_never_exceed_those_that_may_wait,
                    everything_is_counted,
                    what_is_kept_of_an_account_is_counted_until_it_is_dropped,
                    a_member_cannot_fill_the_ledger,
                }
            );
            contract!(
                of_guests,
                $make,
                crate::store::contract::ledger::guests {
                    a_log_from_elsewhere_makes_a_guest,
                    a_copy_continues_what_is_here,
                    members_alone_bring_guests,
                    there_are_so_many_guests_of_one_member,
                    a_guest_cannot_fill_the_ledger,
                    a_device_is_found_where_it_was_named_last,
                }
            );
            contract!(
                of_offers,
                $make,
                crate::store::contract::ledger::offers {
                    offers_wait_for_one_account_in_their_order,
                    a_box_has_so_much_room_and_less_for_strangers,
                    one_member_cannot_fill_the_box_of_another,
                    an_offer_waits_sixty_days,
                    offers_at_once_never_exceed_the_box,
                }
            );
            contract!(
                of_links,
                $make,
                crate::store::contract::ledger::links {
                    a_link_names_blocks_of_committed_packs,
                    a_link_is_made_once,
                    what_a_link_cannot_name_is_refused,
                    a_vault_has_so_many_links,
                    links_count_as_records_until_they_end,
                    a_ticket_counts_when_it_is_said_and_once,
                    a_ticket_that_is_over_counts_nothing,
                    a_link_is_downloaded_so_often,
                    downloads_at_once_are_counted_each,
                    the_last_download_is_had_by_one,
                    a_link_has_so_many_tickets,
                    nobody_keeps_others_from_a_link_by_opening_it,
                    nobody_keeps_others_from_a_link_of_any_number_of_downloads,
                    a_link_expires_with_its_tickets,
                    packs_that_a_link_names_outlive_their_removal,
                    a_revoked_link_keeps_nothing,
                    a_link_that_ended_stays_ended,
                }
            );
            contract!(
                of_inspection,
                $make,
                crate::store::contract::ledger::inspection {
                    what_is_kept_of_an_account_is_shown,
                    what_is_kept_of_a_link_and_a_head_is_shown,
                }
            );
            contract!(
                of_link_ends,
                $make,
                crate::store::contract::ledger::link_ends {
                    an_entry_of_the_log_ends_links,
                    links_end_with_the_device_that_made_them,
                    links_of_a_guest_end_with_the_device_that_made_them,
                }
            );
            contract!(
                of_packs,
                $make,
                crate::store::contract::ledger::packs {
                    room_is_reserved_and_given_back,
                    a_lowered_quota_is_noticed,
                    a_quota_may_be_less_than_is_used,
                    an_upload_becomes_usage_once,
                    packs_belong_to_a_vault,
                    all_vaults_of_an_account_share_its_quota,
                    a_lease_is_renewed_by_asking_and_by_sending,
                    a_lease_that_is_over_dooms_the_pack,
                    what_was_doomed_is_named_until_it_is_forgotten,
                    a_doomed_pack_can_be_uploaded_again,
                    a_doomed_pack_can_be_put_off,
                    a_lost_pack_is_repaired_for_nothing,
                    uploads_at_once_never_exceed_the_quota,
                    a_prune_writes_before_it_removes,
                }
            );
            contract!(
                of_heads,
                $make,
                crate::store::contract::ledger::heads {
                    a_head_adds_what_is_there,
                    a_head_is_refused_as_long_as_packs_are_missing,
                    the_same_head_again_succeeds,
                    another_head_or_an_older_log_loses_the_race,
                    what_is_removed_waits_in_the_trash,
                    an_add_revives_what_is_in_the_trash,
                    a_revival_must_fit_into_the_quota,
                    a_revival_that_removes_may_exceed_the_quota,
                    the_trash_holds_one_quota,
                    the_trash_is_emptied_after_the_grace_period,
                    old_roots_go_after_the_grace_period,
                    every_head_is_read_by_its_number,
                    one_of_many_heads_wins,
                }
            );
        }
    };
}

suite!(
    memory_ledger,
    crate::store::contract::ledger::Memory::default()
);
suite!(
    embedded_ledger,
    crate::store::contract::ledger::Embedded::new()
);

struct Memory(MemoryLedger);

impl Default for Memory {
    fn default() -> Self {
        Self(MemoryLedger::new(Terms::default()))
    }
}

impl Memory {
    fn port(&self) -> &dyn Ledger {
        &self.0
    }
}

/// The ledger of an embedded store.
struct Embedded(OnDisk);

impl Embedded {
    fn new() -> Self {
        Self(OnDisk::new())
    }
}

impl Embedded {
    fn port(&self) -> &dyn Ledger {
        &self.0.store.ledger
    }
}
