//! Everything that is opened with a key, with each byte of it altered in turn: one error,
//! whichever byte it is, so that nobody learns from it how far it got; and as many
//! instructions, which `scripts/count-unwraps` counts.

mod kinds;
mod members;
mod parts;

use std::fmt::Debug;

use parts::{Part, of_a_box, spelled_otherwise};

/// What is asked of everything that is opened with a key.
trait Question {
    /// Asks it of `sealed` with bytes of `parts` altered. What `put` makes of them, `open`
    /// opens: an account's log in which they stand, say, with a signature that fits.
    fn ask<P, T, E: Copy + Debug + PartialEq>(
        &self,
        sealed: &Sealed<'_, E>,
        parts: &[Part],
        put: impl Fn(&[u8]) -> P,
        open: impl Fn(&P) -> Result<T, E>,
    );
}

/// Something that is opened with a key, and how it is refused.
struct Sealed<'a, E> {
    name: &'a str,
    bytes: &'a [u8],
    error: E,
}

impl<'a, E: Copy + Debug + PartialEq> Sealed<'a, E> {
    fn new(name: &'a str, bytes: &'a [u8], error: E) -> Self {
        Self { name, bytes, error }
    }

    fn ask<P, T>(
        &self,
        question: &impl Question,
        parts: &[Part],
        put: impl Fn(&[u8]) -> P,
        open: impl Fn(&P) -> Result<T, E>,
    ) {
        question.ask(self, parts, put, open);
    }

    /// Of a box that begins at `start`, in two: a share that is spelled otherwise is refused
    /// before any key is touched, by what everybody sees.
    fn ask_of_a_box<P, T>(
        &self,
        question: &impl Question,
        start: usize,
        put: impl Fn(&[u8]) -> P,
        open: impl Fn(&P) -> Result<T, E>,
    ) {
        question.ask(self, &of_a_box(start), &put, &open);
        let name = format!("{}, share spelled otherwise", self.name);
        let sealed = Sealed::new(&name, self.bytes, self.error);
        question.ask(&sealed, &spelled_otherwise(start), put, open);
    }

    fn altered(&self, place: usize, bits: u8) -> Vec<u8> {
        let mut altered = self.bytes.to_vec();
        altered[place] ^= bits;
        altered
    }
}

/// Whether it opens, and with one bit of any byte altered is refused with one error.
struct IsOneError;

impl Question for IsOneError {
    #[track_caller]
    fn ask<P, T, E: Copy + Debug + PartialEq>(
        &self,
        sealed: &Sealed<'_, E>,
        parts: &[Part],
        put: impl Fn(&[u8]) -> P,
        open: impl Fn(&P) -> Result<T, E>,
    ) {
        let name = sealed.name;
        assert!(open(&put(sealed.bytes)).is_ok(), "{name}");
        for Part { bytes, .. } in parts {
            // All near both ends, and many in between.
            let (start, end) = (bytes.start + 100, bytes.end.saturating_sub(100));
            let places = bytes.clone();
            for place in places.filter(|place| *place < start || *place >= end || place % 13 == 0) {
                let altered = sealed.altered(place, 1 << (place % 8));
                let found = open(&put(&altered)).err();
                assert_eq!(found, Some(sealed.error), "{name}, byte {place}");
            }
        }
    }
}

/// How many instructions it takes to refuse, by the byte that is altered.
struct Count;

impl Question for Count {
    #[expect(clippy::print_stdout, reason = "says what the counts are of")]
    fn ask<P, T, E: Copy + Debug + PartialEq>(
        &self,
        sealed: &Sealed<'_, E>,
        parts: &[Part],
        put: impl Fn(&[u8]) -> P,
        open: impl Fn(&P) -> Result<T, E>,
    ) {
        // The first and the last of each part and one between them; the very first again.
        let places = parts.iter().flat_map(|part| {
            let Part { name, bytes, bits } = part;
            let mut places = vec![bytes.start, bytes.start + bytes.len() / 2, bytes.end - 1];
            places.dedup();
            places.into_iter().map(move |place| (name, place, *bits))
        });
        let mut places: Vec<_> = places.collect();
        places.push(places[0]);
        for (part, place, bits) in places {
            let placed = put(&sealed.altered(place, bits));
            // Also what is done once only, such as to look what the processor can.
            assert_eq!(open(&placed).err(), Some(sealed.error));
            let (name, length) = (sealed.name, sealed.bytes.len());
            println!("counted: {name}: {part}, byte {place} of {length}, bits {bits:#x}");
            assert!(!measured(&|| open(&placed).is_ok()));
        }
    }
}

/// What callgrind counts, each call apart.
#[inline(never)]
fn measured(opens: &dyn Fn() -> bool) -> bool {
    opens()
}

#[test]
fn of_a_box_with_an_account_seed() {
    kinds::box_with_an_account_seed(&IsOneError);
}

#[test]
fn of_a_wrapped_account_seed() {
    kinds::wrapped_account_seed(&IsOneError);
}

#[test]
fn of_a_box_with_an_epoch_secret() {
    kinds::box_with_an_epoch_secret(&IsOneError);
}

#[test]
fn of_a_wrapped_epoch_secret() {
    kinds::wrapped_epoch_secret(&IsOneError);
}

#[test]
fn of_a_chunk() {
    kinds::chunk(&IsOneError);
}

#[test]
fn of_a_pack_footer_and_trailer() {
    kinds::pack_footer_and_trailer(&IsOneError);
}

#[test]
fn of_a_root() {
    kinds::root(&IsOneError);
}

#[test]
fn of_a_device_name() {
    kinds::device_name(&IsOneError);
}

#[test]
fn of_an_offer() {
    kinds::offer(&IsOneError);
}

#[test]
fn of_a_capsule() {
    kinds::capsule(&IsOneError);
}

#[test]
fn of_a_message_of_a_pairing() {
    kinds::message_of_a_pairing(&IsOneError);
}

/// Asserted here is only that all are refused: `scripts/count-unwraps` counts what that takes,
/// call by call of [`measured`], and reads what is printed, in the order of the counts.
#[test]
fn what_it_takes_to_refuse() {
    kinds::chunk(&Count);
    kinds::box_with_an_account_seed(&Count);
    kinds::wrapped_account_seed(&Count);
    kinds::box_with_an_epoch_secret(&Count);
    kinds::wrapped_epoch_secret(&Count);
    kinds::pack_footer_and_trailer(&Count);
    kinds::root(&Count);
    kinds::device_name(&Count);
    kinds::offer(&Count);
    kinds::capsule(&Count);
    kinds::message_of_a_pairing(&Count);
}
