//! The device's account.

use rusqlite::{OptionalExtension, Transaction, named_params};
use vault_proto::ids::{AccountId, DeviceId, HosterId, VaultId};
use vault_proto::invitation::{InvitationSecret, TlsTrust};
use vault_proto::origin::Origin;
use vault_proto::wire::TlsMode;

use super::logs::{self, NewEntries};
use super::{Durability, State, StateError, array};

/// What the device knows of its account besides the logs.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) account: AccountId,
    pub(crate) vault: VaultId,
    pub(crate) device: DeviceId,
    /// When it came into the account.
    pub(crate) device_name: String,
    pub(crate) hoster: HosterId,
    pub(crate) origin: Origin,
    pub(crate) tls: TlsTrust,
    /// Until the sign-up is done.
    pub(crate) invitation: Option<InvitationSecret>,
}

impl State {
    /// The account of this device; `None` before a sign-up has begun.
    pub(crate) fn account(&self) -> Result<Option<AccountRow>, StateError> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok((
                (
                    row.get::<_, Vec<u8>>("account")?,
                    row.get::<_, Vec<u8>>("vault")?,
                    row.get::<_, Vec<u8>>("device")?,
                    row.get::<_, Vec<u8>>("hoster")?,
                ),
                (
                    row.get::<_, String>("device_name")?,
                    row.get::<_, String>("origin")?,
                ),
                (
                    row.get::<_, i32>("tls_mode")?,
                    row.get::<_, Vec<u8>>("tls_pin")?,
                ),
                row.get::<_, Option<Vec<u8>>>("invitation")?,
            ))
        };
        let row = self.read(|database| {
            Ok(database
                .query_row("SELECT * FROM account", [], read)
                .optional()?)
        })?;
        let Some((ids, (device_name, origin), (mode, pin), invitation)) = row else {
            return Ok(None);
        };
        let tls = tls_from_columns(mode, &pin)?;
        let invitation = invitation
            .map(|secret| array(&secret, "an invitation").map(InvitationSecret::from_array))
            .transpose()?;
        Ok(Some(AccountRow {
            account: AccountId::from_array(array(&ids.0, "an account id")?),
            vault: VaultId::from_array(array(&ids.1, "a vault id")?),
            device: DeviceId::from_array(array(&ids.2, "a device id")?),
            hoster: HosterId::from_array(array(&ids.3, "a hoster id")?),
            device_name,
            origin: Origin::parse_exact(&origin).map_err(|_| StateError::Damaged("an origin"))?,
            tls,
            invitation,
        }))
    }

    /// Begins an account: with the genesis of its log and that of its account
    /// vault, stored before they are sent. What an unfinished sign-up at
    /// another hoster left is dropped.
    pub(crate) fn begin_account(
        &self,
        row: &AccountRow,
        genesis: [NewEntries; 2],
    ) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            if !logs::agrees(database, &genesis)? {
                return Err(StateError::Damaged("a genesis that is there already"));
            }
            logs::insert(database, &genesis)?;
            database.execute(
                "INSERT OR IGNORE INTO vault_account (vault, account) VALUES (?1, ?2)",
                [row.vault.as_bytes(), row.account.as_bytes()],
            )?;
            write_account(database, row)
        })
    }

    /// Changes what is known of the account besides the logs.
    pub(crate) fn set_account(&self, row: &AccountRow) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| write_account(database, row))
    }

    /// The sign-up is done.
    pub(crate) fn forget_invitation(&self) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("UPDATE account SET invitation = NULL", [])?;
            Ok(())
        })
    }
}

/// How TLS is ended somewhere, as two columns.
pub(super) fn tls_to_columns(tls: &TlsTrust) -> Result<(TlsMode, &[u8]), StateError> {
    match tls {
        TlsTrust::Pinned(pin) => Ok((TlsMode::Pinned, pin)),
        TlsTrust::Public => Ok((TlsMode::Public, &[])),
        TlsTrust::Proxy => Ok((TlsMode::Proxy, &[])),
        _ => Err(StateError::Damaged("a kind of TLS that is not known here")),
    }
}

pub(super) fn tls_from_columns(mode: i32, pin: &[u8]) -> Result<TlsTrust, StateError> {
    match TlsMode::try_from(mode) {
        Ok(TlsMode::Pinned) => Ok(TlsTrust::Pinned(array(pin, "a TLS pin")?)),
        Ok(TlsMode::Public) => Ok(TlsTrust::Public),
        Ok(TlsMode::Proxy) => Ok(TlsTrust::Proxy),
        _ => Err(StateError::Damaged("a TLS mode")),
    }
}

pub(super) fn write_account(
    database: &Transaction<'_>,
    row: &AccountRow,
) -> Result<(), StateError> {
    let (mode, pin) = tls_to_columns(&row.tls)?;
    database.execute(
        "INSERT OR REPLACE INTO account
         (id, account, vault, device, device_name, hoster, origin, tls_mode, tls_pin, invitation)
         VALUES (1, :account, :vault, :device, :device_name, :hoster, :origin,
          :tls_mode, :tls_pin, :invitation)",
        named_params! {
            ":account": row.account.as_bytes(),
            ":vault": row.vault.as_bytes(),
            ":device": row.device.as_bytes(),
            ":device_name": row.device_name,
            ":hoster": row.hoster.as_bytes(),
            ":origin": row.origin.as_str(),
            ":tls_mode": mode as i32,
            ":tls_pin": pin,
            ":invitation": row.invitation.as_ref().map(InvitationSecret::as_bytes),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_back_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        assert!(state.account().unwrap().is_none());
        for tls in [TlsTrust::Pinned([5; 32]), TlsTrust::Public, TlsTrust::Proxy] {
            let row = AccountRow {
                account: AccountId::from_array([1; 32]),
                vault: VaultId::from_array([2; 32]),
                device: DeviceId::from_array([3; 32]),
                device_name: "a laptop".into(),
                hoster: HosterId::from_array([4; 32]),
                origin: Origin::parse("hoster.example:7743").unwrap(),
                tls,
                invitation: Some(InvitationSecret::from_array([6; 32])),
            };
            state.set_account(&row).unwrap();
            let back = state.account().unwrap().unwrap();
            assert_eq!(
                (back.account, back.vault, back.device),
                (row.account, row.vault, row.device)
            );
            assert_eq!(
                (back.hoster, back.origin, back.tls),
                (row.hoster, row.origin, row.tls)
            );
            assert_eq!(back.invitation.unwrap().as_bytes(), &[6; 32]);
        }
        state.forget_invitation().unwrap();
        assert!(state.account().unwrap().unwrap().invitation.is_none());
    }
}
