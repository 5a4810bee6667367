#[path = "../../../../src/remote/grpc/convert.rs"]
mod convert;
#[path = "../../../../src/remote/grpc/fuzzing.rs"]
mod fuzzing;
#[path = "../../../../src/remote/grpc/greeting.rs"]
mod greeting;

/// What a hoster answers, to whichever call.
pub fn hoster_answer(bytes: &[u8]) {
    fuzzing::answer(bytes);
}
