//! The account's secrets.
