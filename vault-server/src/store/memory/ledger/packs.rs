//! Packs, and room for them.

use vault_proto::ids::{PackId, VaultId};

use super::MemoryLedger;
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{LedgerError, PackLedger, QuotaRoom, Reservation, Reserve},
        records::{Blob, Fullness, Pack, PackState},
    },
};

impl PackLedger for MemoryLedger {
    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError> {
        let mut tables = self.tables();
        if !tables.vaults.contains_key(&blob.vault) {
            return Ok(Reserve::NoSuchVault);
        }
        let payer = tables.payer(&blob.vault)?.clone();
        let key = (blob.vault, blob.pack);
        let record = tables.packs.get(&key).copied();
        let Some(charged_bytes) = decide::upload_charge(blob.size, record.as_ref()) else {
            drop(tables);
            self.renew_leases(&blob.vault, &[blob.pack], now)?;
            return Ok(Reserve::There);
        };
        let reserved = tables.reserved(&payer.id);
        if let Some(fullness) = decide::over_quota(&payer, reserved, charged_bytes, room) {
            return Ok(Reserve::OverQuota(fullness));
        }
        *tables.reserved.entry(payer.id).or_default() += charged_bytes;
        Ok(Reserve::Reserved(Reservation {
            blob: *blob,
            payer: payer.id,
            charged_bytes,
            room,
        }))
    }

    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError> {
        let mut tables = self.tables();
        let reserved = tables.reserved(&reservation.payer);
        let payer = tables.payer(&reservation.blob.vault)?;
        let room = reservation.room;
        let charged_bytes = reservation.charged_bytes;
        let others = reserved.saturating_sub(charged_bytes);
        Ok(decide::over_quota(payer, others, charged_bytes, room))
    }

    fn release(&self, reservation: Reservation) {
        self.tables().give_back(&reservation);
    }

    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        tables.give_back(&reservation);
        let Blob { vault, pack, size } = reservation.blob;
        let record = tables.packs.get(&(vault, pack));
        let state = decide::uploaded(record, now, &self.terms);
        tables.set_pack(&vault, &pack, size, Some(state))
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError> {
        Ok(self.tables().packs(vault, packs))
    }

    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError> {
        let mut tables = self.tables();
        let records = tables.packs(vault, packs);
        for (pack, record) in packs.iter().zip(&records) {
            let Some(record) = record else { continue };
            if let Some(state) = decide::renewed(record.state, now, &self.terms) {
                tables.set_pack(vault, pack, record.size, Some(state))?;
            }
        }
        Ok(records)
    }

    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let packs = self.tables().packs.clone();
        packs
            .iter()
            .filter(|((of, _), _)| vault.is_none_or(|vault| vault == of))
            .try_for_each(|((vault, pack), record)| visit(vault, pack, record))
    }

    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError> {
        let mut tables = self.tables();
        let due: Vec<_> = tables
            .packs
            .iter()
            .filter_map(|((vault, pack), record)| {
                record.state.due().filter(|due| *due <= now)?;
                let size = record.size;
                Some((
                    Blob {
                        vault: *vault,
                        pack: *pack,
                        size,
                    },
                    record.state,
                ))
            })
            .take(limit)
            .collect();
        let mut doomed = Vec::new();
        for (blob, state) in due {
            let Blob { vault, pack, size } = blob;
            let linked = tables.is_linked(&vault, &pack, now);
            let to = decide::due(state, linked, now, &self.terms);
            tables.set_pack(&vault, &pack, size, Some(to))?;
            if matches!(to, PackState::Doomed { .. }) {
                doomed.push(blob);
            }
        }
        Ok(doomed)
    }

    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError> {
        let mut tables = self.tables();
        let record = tables.packs.get(&(blob.vault, blob.pack));
        let doomed = record.is_some_and(|pack| matches!(pack.state, PackState::Doomed { .. }));
        if doomed {
            tables.set_pack(&blob.vault, &blob.pack, blob.size, None)?;
        }
        Ok(doomed)
    }

    fn put_off(&self, blob: &Blob, until: UnixTime) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let record = tables.packs.get_mut(&(blob.vault, blob.pack));
        if let Some(PackState::Doomed { due }) = record.map(|pack| &mut pack.state) {
            *due = until;
        }
        Ok(())
    }

    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let Some(record) = tables.packs.get(&(blob.vault, blob.pack)).copied() else {
            return Ok(());
        };
        let to = decide::without_blob(record.state);
        tables.set_pack(&blob.vault, &blob.pack, record.size, to)
    }
}
