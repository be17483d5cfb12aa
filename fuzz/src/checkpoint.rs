//! Any bytes as a checkpoint: it loads and survives saving, or gives a one-line error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wgrad::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("wgrad-fuzz-{}.safetensors", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    match Checkpoint::load(&path) {
        Ok(checkpoint) => {
            checkpoint
                .save(&path)
                .expect("what was loaded can be saved");
            let again = Checkpoint::load(&path).expect("what was saved can be loaded");
            assert_eq!(again.tensors.len(), checkpoint.tensors.len());
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
