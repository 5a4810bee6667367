//! Packs, and room for them.

use vault_proto::ids::{PackId, VaultId};

use super::{EmbeddedLedger, Locked};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        embedded::{
            disk::Sync,
            keys::{self, Due},
            rocks::Table,
            rows::Record,
        },
        ledger::{AccountLedger, LedgerError, PackLedger, QuotaRoom, Reservation, Reserve},
        records::{Blob, Fullness, Pack, PackState},
    },
};

impl PackLedger for EmbeddedLedger {
    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError> {
        let Some(locked) = self.lock(&blob.vault)? else {
            return Ok(Reserve::NoSuchVault);
        };
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let Some(charged_bytes) = decide::upload_charge(blob.size, record.as_ref()) else {
            drop(locked);
            self.renew_leases(&blob.vault, &[blob.pack], now)?;
            return Ok(Reserve::There);
        };
        let mut reserved = self.reserved();
        let sum = reserved.entry(locked.payer.id).or_default();
        if let Some(fullness) = decide::over_quota(&locked.payer, *sum, charged_bytes, room) {
            return Ok(Reserve::OverQuota(fullness));
        }
        *sum += charged_bytes;
        Ok(Reserve::Reserved(Reservation {
            blob: *blob,
            payer: locked.payer.id,
            charged_bytes,
            room,
        }))
    }

    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError> {
        let payer = self.account(&reservation.payer)?;
        let payer = payer.ok_or(LedgerError::Damaged("no account"))?;
        let charged_bytes = reservation.charged_bytes;
        let others = self.reserved_by(&payer.id).saturating_sub(charged_bytes);
        Ok(decide::over_quota(
            &payer,
            others,
            charged_bytes,
            reservation.room,
        ))
    }

    fn release(&self, reservation: Reservation) {
        self.give_back(&reservation);
    }

    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError> {
        let Blob { vault, pack, size } = reservation.blob;
        let locked = self.lock(&vault);
        // From here on the bytes are usage or nothing, whatever fails.
        self.give_back(&reservation);
        let Locked {
            mut payer, _guard, ..
        } = locked?.ok_or(LedgerError::Damaged("no vault"))?;
        let key = keys::of_pack(&vault, &pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let from = record.map(|pack| pack.state);
        let to = decide::uploaded(record.as_ref(), now, &self.terms);
        payer.usage.shift(size, from, Some(to));
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.move_pack(&vault, &pack, size, from, Some(to));
        batch.delete(Table::Unrecorded, &key);
        Ok(batch.write(Sync::Later)?)
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError> {
        let keys: Vec<_> = packs
            .iter()
            .map(|pack| keys::of_pack(vault, pack))
            .collect();
        let rows = self.rocks.get_all(Table::Packs, &keys)?;
        let records = rows.iter().map(|row| match row {
            Some(row) => Pack::from_row((), row).map(Some),
            None => Ok(None),
        });
        records.collect()
    }

    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError> {
        let Some(_locked) = self.lock(vault)? else {
            return Ok(vec![None; packs.len()]);
        };
        let records = self.packs(vault, packs)?;
        let mut batch = self.rocks.batch();
        for (pack, record) in packs.iter().zip(&records) {
            let Some(record) = record else { continue };
            if let Some(renewed) = decide::renewed(record.state, now, &self.terms) {
                batch.move_pack(vault, pack, record.size, Some(record.state), Some(renewed));
            }
        }
        batch.write(Sync::Later)?;
        Ok(records)
    }

    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let from = vault.map_or(&[][..], |vault| vault.as_bytes());
        self.rocks.visit(Table::Packs, from, |key, row| {
            if !key.starts_with(from) {
                return Ok(false);
            }
            let (vault, pack) =
                keys::pack_of(key).ok_or(LedgerError::Damaged("a key names no pack"))?;
            visit(&vault, &pack, &Pack::from_row((), row)?)?;
            Ok(true)
        })
    }

    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError> {
        let mut due = Vec::new();
        self.rocks
            .visit(Table::Due, &Due::PACKS, |key, _| match Due::from_key(key) {
                Some((time, Due::Pack(vault, pack))) if time <= now && due.len() < limit => {
                    due.push((time, vault, pack));
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            })?;
        let mut doomed = Vec::new();
        for (time, vault, pack) in due {
            let locked = self.lock(&vault)?;
            let Locked {
                mut payer, _guard, ..
            } = locked.ok_or(LedgerError::Damaged("a pack without its vault"))?;
            let key = keys::of_pack(&vault, &pack);
            let Some(record) = self.record::<Pack>(Table::Packs, &key, ())? else {
                continue;
            };
            // A head or an upload may have come first.
            if record.state.due() != Some(time) {
                continue;
            }
            let trash = matches!(record.state, PackState::Trash { .. });
            let linked = trash && self.is_linked(&vault, &pack, now)?;
            let to = decide::due(record.state, linked, now, &self.terms);
            payer.usage.shift(record.size, Some(record.state), Some(to));
            let mut batch = self.rocks.batch();
            batch.put_account(&payer);
            batch.move_pack(&vault, &pack, record.size, Some(record.state), Some(to));
            batch.write(Sync::Later)?;
            if matches!(to, PackState::Doomed { .. }) {
                let size = record.size;
                doomed.push(Blob { vault, pack, size });
            }
        }
        if !doomed.is_empty() {
            // One sync for all of them, before any is unlinked.
            self.rocks.sync()?;
        }
        Ok(doomed)
    }

    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError> {
        let _locked = self.lock(&blob.vault)?;
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let Some(Pack {
            size,
            state: state @ PackState::Doomed { .. },
        }) = record
        else {
            return Ok(false);
        };
        let mut batch = self.rocks.batch();
        batch.move_pack(&blob.vault, &blob.pack, size, Some(state), None);
        batch.write(Sync::Later)?;
        Ok(true)
    }

    fn put_off(&self, blob: &Blob, until: UnixTime) -> Result<(), LedgerError> {
        let _locked = self.lock(&blob.vault)?;
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        if let Some(Pack {
            size,
            state: state @ PackState::Doomed { .. },
        }) = record
        {
            let later = Some(PackState::Doomed { due: until });
            let mut batch = self.rocks.batch();
            batch.move_pack(&blob.vault, &blob.pack, size, Some(state), later);
            batch.write(Sync::Later)?;
        }
        Ok(())
    }

    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError> {
        let locked = self.lock(&blob.vault)?;
        let Locked {
            mut payer, _guard, ..
        } = locked.ok_or(LedgerError::Damaged("no vault"))?;
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let Some(Pack { size, state }) = self.record(Table::Packs, &key, ())? else {
            return Ok(());
        };
        let to = decide::without_blob(state);
        payer.usage.shift(size, Some(state), to);
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.move_pack(&blob.vault, &blob.pack, size, Some(state), to);
        Ok(batch.write(Sync::Now)?)
    }
}
