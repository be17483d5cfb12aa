//! Data files: reading them, and the one-line errors for damaged ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use wgrad::data::idx::{Expected, Extents, Idx, parse, read};
use wgrad::data::load_mnist;

#[test]
fn idx_content_is_checked_before_it_is_parsed() {
    let path = Path::new("labels");
    let expected = Expected {
        extents: Extents::Exactly(&[3]),
        below: 10,
    };
    let file = |magic: u32, count: u32, content: &[u8]| {
        [&magic.to_be_bytes(), &count.to_be_bytes(), content].concat()
    };
    let idx = parse(path, file(0x0801, 3, &[0, 5, 9]).as_slice(), expected).unwrap();
    assert_eq!((idx.extents, idx.bytes), (vec![3], vec![0, 5, 9]));
    for (bytes, message) in [
        (
            vec![],
            "labels: expected an IDX header of 8 bytes, got 0 bytes",
        ),
        (
            vec![0, 0, 8, 1, 0, 0, 0],
            "labels: expected an IDX header of 8 bytes, got 7 bytes",
        ),
        (
            file(0x0803, 3, &[0; 3]),
            "labels: expected magic number 0x00000801, got 0x00000803",
        ),
        (
            file(0x0801, 4, &[0; 4]),
            "labels: expected extents [3], got [4]",
        ),
        (
            file(0x0801, 3, &[0; 2]),
            "labels: expected 11 bytes, got 10 bytes",
        ),
        (
            file(0x0801, 3, &[0; 4]),
            "labels: expected 11 bytes, got more",
        ),
        (
            file(0x0801, 3, &[0, 10, 0]),
            "labels: expected values below 10, got 10 in item 1",
        ),
    ] {
        assert_eq!(
            parse(path, bytes.as_slice(), expected)
                .unwrap_err()
                .to_string(),
            message
        );
    }
}

/// A folder of the bundled files with `name` replaced by `bytes`.
fn folder_with(test: &str, name: &str, bytes: Option<&[u8]>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(common::MNIST).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if file.ends_with(".gz") && !file.starts_with(name.trim_end_matches(".gz")) {
            fs::copy(&path, folder.join(file)).unwrap();
        }
    }
    if let Some(bytes) = bytes {
        fs::write(folder.join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn plain_files_load_as_gzipped_ones_do() {
    let name = "t10k-labels-idx1-ubyte";
    let packed = fs::read(format!("{}/{name}.gz", common::MNIST)).unwrap();
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
    let folder = folder_with("plain", name, Some(&plain));
    let (ours, bundled) = (
        load_mnist(&folder).unwrap(),
        load_mnist(common::MNIST).unwrap(),
    );
    assert_eq!((ours.train, ours.test), (bundled.train, bundled.test));
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As gzip does: members are concatenated, and anything after the last one is ignored.
#[test]
fn gzip_files_of_several_members_are_read_to_their_end() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("members.gz");
    let expected = Expected {
        extents: Extents::Exactly(&[3]),
        below: 10,
    };
    let content = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];
    let load = |packed: Vec<u8>| {
        fs::write(&path, packed).unwrap();
        read(&path, expected).map(|idx| idx.bytes)
    };
    let cut = |at: usize| [gz(&content[..at]), gz(&content[at..])].concat();
    for at in 0..=content.len() {
        assert_eq!(load(cut(at)).unwrap(), [7, 8, 9], "cut at {at}");
    }
    // As block gzip writes it: members of one byte each, and an empty one at the end.
    let blocks: Vec<Vec<u8>> = content.iter().map(|byte| gz(&[*byte])).collect();
    assert_eq!(
        load([blocks.concat(), gz(&[])].concat()).unwrap(),
        [7, 8, 9]
    );
    for after in [
        &[0; 512][..],
        b"text",
        b"\x1f",
        b"\x1f\x8b",
        b"\x1f\x8b\x07more",
    ] {
        assert_eq!(load([cut(5), after.to_vec()].concat()).unwrap(), [7, 8, 9]);
    }
    let error = |packed| load(packed).unwrap_err().to_string();
    let name = path.display();
    // Data that starts like a member must be a valid one.
    assert_eq!(
        error([cut(5), gz(&[])[..12].to_vec()].concat()),
        format!("{name}: expected a whole gzip stream, got unexpected end of file")
    );
    let mut spoilt = cut(5);
    let last = spoilt.len() - 8;
    spoilt[last] ^= 1;
    assert_eq!(
        error(spoilt),
        format!(
            "{name}: expected a whole gzip stream, got corrupt gzip stream does not have a matching checksum"
        )
    );
    assert_eq!(
        error([cut(5), gz(b"more")].concat()),
        format!("{name}: expected 11 bytes, got more")
    );
}

/// Only the files themselves are needed, not a writable folder.
#[test]
fn data_load_without_a_cache_folder() {
    let mut example = std::process::Command::new(common::example());
    example.args(["--device", "cpu", "--train-images", "32", "--epochs", "1"]);
    example.env("XDG_CACHE_HOME", "/dev/null/none");
    let output = example.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

#[test]
fn bad_files_are_refused_by_name() {
    let error = |test: &str, name: &str, bytes: Option<&[u8]>| {
        let folder = folder_with(test, name, bytes);
        let error = load_mnist(&folder).unwrap_err().to_string();
        let prefix = format!("{}", folder.display());
        assert!(
            error.starts_with(&prefix) && !error.contains('\n'),
            "{error}"
        );
        error[prefix.len()..].to_owned()
    };
    let name = "t10k-labels-idx1-ubyte";
    let packed_name = format!("{name}.gz");
    let packed = fs::read(format!("{}/{packed_name}", common::MNIST)).unwrap();

    assert_eq!(
        error("missing", name, None),
        ": expected t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz, got neither"
    );
    assert_eq!(
        error("truncated", &packed_name, Some(&packed[..packed.len() / 2])),
        format!("/{packed_name}: expected a whole gzip stream, got incomplete deflate stream")
    );
    assert_eq!(
        error("no-gzip", &packed_name, Some(b"labels")),
        format!("/{packed_name}: expected a whole gzip stream, got unexpected end of file")
    );
    assert_eq!(
        error("garbage", &packed_name, Some(&[7; 100])),
        format!("/{packed_name}: expected a whole gzip stream, got invalid gzip header")
    );
    assert_eq!(
        error("magic", &packed_name, Some(&gz(&[0; 10_008]))),
        format!("/{packed_name}: expected magic number 0x00000801, got 0x00000000")
    );
    // A gzip bomb of 64 MiB of zeros in 64 KiB: reading stops one byte past the expected length.
    let mut bomb = vec![0u8; 1 << 26];
    bomb[..8].copy_from_slice(&[0, 0, 8, 1, 0, 0, 0x27, 0x10]);
    assert_eq!(
        error("bomb", &packed_name, Some(&gz(&bomb))),
        format!("/{packed_name}: expected 10008 bytes, got more")
    );
    let error = load_mnist("no/such/folder").unwrap_err().to_string();
    assert_eq!(
        error,
        "no/such/folder: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz, got neither"
    );
}

/// Threads that load the same files at once do not interfere.
#[test]
fn several_threads_load_the_same_files_at_once() {
    let folder = folder_with("threads", "none", None);
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| load_mnist(&folder).map(|data| data.train.len())))
            .collect();
        for load in loads {
            assert_eq!(load.join().unwrap().unwrap(), 60_000);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    /// Random bytes, or a valid file with a part replaced, plain or gzipped: either loads correctly
    /// or is refused in one line that begins with the path; never reads more than expected.
    #[test]
    fn hostile_idx_files_are_errors(noise in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..40, kind in 0..4) {
        let expected = Expected { extents: Extents::Exactly(&[4, 3]), below: 200 };
        let mut bytes = vec![0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 3];
        bytes.extend((0..12).map(|i| i * 16));
        if kind % 2 == 1 {
            let end = (at + noise.len() / 6).min(bytes.len());
            bytes.splice(at.min(end)..end, noise.iter().copied().take(10));
        } else {
            bytes = noise;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-idx");
        fs::create_dir_all(&folder).unwrap();
        let (plain, packed) = (folder.join("file"), folder.join("file.gz"));
        let _ = (fs::remove_file(&plain), fs::remove_file(&packed));
        if kind < 2 {
            fs::write(&plain, &bytes).unwrap();
        } else {
            let mut packed_bytes = gz(&bytes);
            let place = at.min(packed_bytes.len() - 1);
            packed_bytes[place] ^= (at % 3) as u8;
            fs::write(&packed, packed_bytes).unwrap();
        }
        let path = if kind < 2 { plain } else { packed };
        match read(&path, expected) {
            Ok(Idx { extents, bytes }) => {
                prop_assert_eq!(extents, [4, 3]);
                prop_assert!(bytes.len() == 12 && bytes.iter().all(|&byte| byte < 200));
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(error.starts_with(&folder.display().to_string()), "{}", error);
                prop_assert!(!error.contains('\n'), "{}", error);
            }
        }
    }
}
