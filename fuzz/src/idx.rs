//! Any bytes as an IDX file, plain and gzipped: it loads as expected, or gives a one-line error.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use wgrad::data::idx::{Expected, Extents, read};

fuzz_target!(|bytes: &[u8]| {
    let folder = std::env::temp_dir().join(format!("wgrad-fuzz-idx-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    for name in ["plain", "packed.gz"] {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a temporary file");
        for extents in [Extents::Exactly(&[4, 3]), Extents::Numbering(&[1, 3])] {
            let expected = Expected {
                extents,
                below: 200,
            };
            match read(&path, expected) {
                Ok(idx) => {
                    let len: usize = idx.extents.iter().map(|&extent| extent as usize).product();
                    assert_eq!(idx.bytes.len(), len);
                    assert!(idx.bytes.iter().all(|&byte| byte < 200));
                }
                Err(error) => assert!(!error.to_string().contains('\n')),
            }
        }
    }
});
