//! Any bytes as an IDX file, plain and gzipped: loaded as what is expected, or one clear error.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use wgrad::data::idx::{Expected, plain_file, validate};

fuzz_target!(|bytes: &[u8]| {
    let expected = Expected {
        dims: &[4, 3],
        below: 200,
    };
    let folder = std::env::temp_dir().join(format!("wgrad-fuzz-idx-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    for (name, packed) in [("plain", "plain"), ("packed", "packed.gz")] {
        fs::write(folder.join(packed), bytes).expect("a temporary file");
        match plain_file(&folder, name, &folder.join("cache"), expected) {
            Ok(path) => {
                let read = fs::read(&path).expect("the file that was validated");
                assert!(validate(&path, read.as_slice(), expected).is_ok());
            }
            Err(error) => assert!(!error.to_string().contains('\n')),
        }
    }
});
