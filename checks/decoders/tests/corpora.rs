//! Every saved input of the fuzzers, through its decoder.

use std::{fs, path::Path};

use coffre_decoders::DECODERS;

#[test]
fn no_saved_input_makes_a_decoder_panic() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut inputs = 0;
    for (name, decode) in DECODERS {
        for entry in fs::read_dir(corpora.join(name)).unwrap_or_else(|e| panic!("{name}: {e}")) {
            decode(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        decode(&[]);
    }
    assert!(inputs >= DECODERS.len(), "each decoder has a corpus");
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (name, _) in DECODERS {
        let target = fs::read_to_string(targets.join(format!("{name}.rs"))).unwrap();
        assert!(
            target.contains(&format!("coffre_decoders::{name}(")),
            "{name}"
        );
    }
    assert_eq!(fs::read_dir(targets).unwrap().count(), DECODERS.len());
}
