//! Decoding with one encoding per value.

use prost::Message;

/// Bytes that are not the one encoding of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than such a message may be.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Not an encoding of this message at all.
    #[error("not a valid encoding")]
    Malformed,
    /// An encoding, but not the one that an encoder writes: an unknown or
    /// repeated field, fields out of order, a default written out, a number in
    /// more bytes than it needs.
    #[error("not the canonical encoding")]
    NotCanonical,
}

/// Decodes `bytes`, which must be at most `limit` long and exactly what
/// encoding the result gives again.
///
/// Memory is bounded by a small multiple of `limit`.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_canonical<M: Message + Default>(
    bytes: &[u8],
    limit: usize,
) -> Result<M, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { limit });
    }
    let message = M::decode(bytes).map_err(|_| DecodeError::Malformed)?;
    // The comparison of lengths spares a large encoding when it cannot match.
    if message.encoded_len() != bytes.len() || message.encode_to_vec() != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Position;

    #[test]
    fn refuses_every_other_encoding() {
        let position = Position {
            seq: 3,
            hash: vec![7; 32],
        };
        let bytes = position.encode_to_vec();
        assert_eq!(
            decode_canonical::<Position>(&bytes, 64),
            Ok(position.clone())
        );
        assert_eq!(decode_canonical::<Position>(&bytes, 36), Ok(position));
        assert_eq!(
            decode_canonical::<Position>(&bytes, 35),
            Err(DecodeError::TooLong { limit: 35 })
        );
        let mut unknown = bytes.clone();
        unknown.extend([0x78, 1]);
        assert_eq!(
            decode_canonical::<Position>(&unknown, 64),
            Err(DecodeError::NotCanonical)
        );
        // As long, and in another order.
        let reordered = [&bytes[2..], &bytes[..2]].concat();
        assert_eq!(
            decode_canonical::<Position>(&reordered, 64),
            Err(DecodeError::NotCanonical)
        );
        let mut repeated = vec![0x08, 9];
        repeated.extend(&bytes);
        assert_eq!(
            decode_canonical::<Position>(&repeated, 64),
            Err(DecodeError::NotCanonical)
        );
        // seq = 3 as a varint of two bytes
        let mut long = vec![0x08, 0x83, 0x00];
        long.extend(&bytes[2..]);
        assert_eq!(
            decode_canonical::<Position>(&long, 64),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(
            decode_canonical::<Position>(&bytes[..20], 64),
            Err(DecodeError::Malformed)
        );
    }
}
