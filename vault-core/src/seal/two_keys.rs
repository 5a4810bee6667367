//! Poly1305 commits to no key: whoever knows two keys can make one ciphertext
//! that opens under both (Len, Grubbs, Ristenpart: "Partitioning Oracle
//! Attacks", USENIX Security 2021). Here it is made, and refused.

use chacha20::{
    XChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use vault_proto::ids::VaultId;

use super::*;

const KIND: ChunkKind = ChunkKind::FileData;

/// Bytes of the ciphertext: three blocks.
const LENGTH: usize = 48;

/// A number below `2^130 - 5`, in limbs of 26 bits, the lowest first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Number([u64; 5]);

const MASK: u64 = (1 << 26) - 1;

impl Number {
    const ZERO: Self = Self([0; 5]);

    /// A block with its bit above.
    fn block(bytes: &[u8]) -> Self {
        Self::of(u128::from_le_bytes(bytes.try_into().unwrap())).plus(Self([0, 0, 0, 0, 1 << 24]))
    }

    fn of(value: u128) -> Self {
        Self([0, 26, 52, 78, 104].map(|shift| (value >> shift) as u64 & MASK))
    }

    /// The lowest 128 bits.
    fn low(self) -> u128 {
        let limbs = self.0.iter().enumerate();
        limbs.fold(0, |sum, (place, limb)| {
            sum | u128::from(*limb).wrapping_shl(26 * place as u32)
        })
    }

    /// `2^128 <= self < 2^129`: it is a block.
    fn is_block(self) -> bool {
        self.0[4] >> 24 == 1
    }

    fn plus(self, other: Self) -> Self {
        let sums: [u128; 5] =
            std::array::from_fn(|place| u128::from(self.0[place]) + u128::from(other.0[place]));
        Self::reduced(sums)
    }

    fn minus(self, other: Self) -> Self {
        // Twice p = 2^130 - 5, so that no limb falls below zero.
        let twice = [MASK - 4, MASK, MASK, MASK, MASK].map(|limb| 2 * limb);
        self.plus(Self(std::array::from_fn(|place| {
            twice[place] - other.0[place]
        })))
    }

    fn times(self, other: Self) -> Self {
        let mut products = [0_u128; 5];
        for (i, left) in self.0.iter().enumerate() {
            for (j, right) in other.0.iter().enumerate() {
                // 2^130 is 5.
                let factor = if i + j < 5 { 1 } else { 5 };
                products[(i + j) % 5] += u128::from(*left) * u128::from(*right) * factor;
            }
        }
        Self::reduced(products)
    }

    /// `self^(p - 2)`.
    fn inverse(self) -> Self {
        let mut result = Self([1, 0, 0, 0, 0]);
        // p - 2 = 2^130 - 7: all bits but the second and third from below.
        for bit in (0..130).rev() {
            result = result.times(result);
            if bit != 1 && bit != 2 {
                result = result.times(self);
            }
        }
        result
    }

    fn reduced(mut limbs: [u128; 5]) -> Self {
        for _ in 0..3 {
            let mut carry = 0;
            for limb in &mut limbs {
                *limb += carry;
                carry = *limb >> 26;
                *limb &= u128::from(MASK);
            }
            limbs[0] += carry * 5;
        }
        let number = Self(limbs.map(|limb| limb as u64));
        let is_over = number.0[1..].iter().all(|limb| *limb == MASK) && number.0[0] >= MASK - 4;
        if is_over {
            Self([number.0[0] - (MASK - 4), 0, 0, 0, 0])
        } else {
            number
        }
    }
}

/// What Poly1305 gets of one key and nonce, and the key stream after it.
struct OneTime {
    r: Number,
    s: u128,
    stream: [u8; LENGTH],
}

impl OneTime {
    fn new(key: &Secret, nonce: [u8; 24]) -> Self {
        let mut stream = [0; 64 + LENGTH];
        XChaCha20::new(key.as_bytes().into(), &nonce.into()).apply_keystream(&mut stream);
        let mut r: [u8; 16] = stream[..16].try_into().unwrap();
        for (place, byte) in r.iter_mut().enumerate() {
            *byte &= match place % 4 {
                0 if place > 0 => 0xfc,
                3 => 0x0f,
                _ => 0xff,
            };
        }
        Self {
            r: Number::of(u128::from_le_bytes(r)),
            s: u128::from_le_bytes(stream[16..32].try_into().unwrap()),
            stream: stream[64..].try_into().unwrap(),
        }
    }

    /// The sum over the blocks, of which there are five: the associated bytes,
    /// three of ciphertext, and the lengths.
    fn sum(&self, blocks: &[Number; 5]) -> Number {
        let blocks = blocks.iter();
        blocks.fold(Number::ZERO, |sum, block| sum.plus(*block).times(self.r))
    }

    fn tag(&self, blocks: &[Number; 5]) -> u128 {
        self.sum(blocks).low().wrapping_add(self.s)
    }
}

fn blocks(ciphertext: &[u8; LENGTH]) -> [Number; 5] {
    let mut part = [0; 16];
    part[..2].copy_from_slice(&associated(KIND));
    let mut lengths = [0; 16];
    lengths[0] = 2;
    lengths[8] = LENGTH as u8;
    [
        Number::block(&part),
        Number::block(&ciphertext[..16]),
        Number::block(&ciphertext[16..32]),
        Number::block(&ciphertext[32..]),
        Number::block(&lengths),
    ]
}

/// A sealed chunk that opens under both keys, to a body of the raw codec.
fn opens_under(keys: &[Secret; 2]) -> Vec<u8> {
    for attempt in 0_u64.. {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&attempt.to_le_bytes());
        let [one, other] = [0, 1].map(|which| OneTime::new(&keys[which], nonce));
        if one.stream[0] != other.stream[0] {
            continue;
        }
        let mut ciphertext = [0; LENGTH];
        ciphertext[0] = one.stream[0] ^ RAW;
        // The last block is free: it stands two powers from the end.
        let mut fixed = blocks(&ciphertext);
        fixed[3] = Number::ZERO;
        let [left, right] = [&one, &other].map(|side| side.sum(&fixed).plus(Number::of(side.s)));
        let [e, f] = [&one, &other].map(|side| side.r.times(side.r));
        let free = right.minus(left).times(e.minus(f).inverse());
        if !free.is_block() {
            continue;
        }
        ciphertext[32..].copy_from_slice(&free.low().to_le_bytes());
        let all = blocks(&ciphertext);
        let tag = one.tag(&all);
        if tag == other.tag(&all) {
            return [&nonce[..], &ciphertext, &tag.to_le_bytes()].concat();
        }
    }
    unreachable!("one in a few hundred attempts succeeds")
}

#[test]
fn a_ciphertext_that_opens_under_two_keys_is_no_chunk() {
    let vault = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
    let ids = [&b"one"[..], b"other"].map(|plaintext| vault.chunk_id(KIND, plaintext));
    let keys = [0, 1].map(|which| vault.chunk_key(1, &ids[which]).unwrap());
    let sealed = opens_under(&keys);
    let bodies = keys.map(|key| aead::open(&key, &associated(KIND), &sealed).unwrap());
    // The cipher opens it under both, to two contents.
    assert_ne!(bodies[0], bodies[1]);
    assert!(bodies.iter().all(|body| body[0] == RAW));
    // It is the chunk of neither id.
    for id in &ids {
        assert_eq!(vault.open_chunk(1, KIND, id, &sealed), Err(OpenError));
    }
}
