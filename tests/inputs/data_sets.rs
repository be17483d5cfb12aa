//! Folders of IDX files of any size: file names, options, and refusals.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common;
use wgrad::data::{IdxOptions, Samples, load_idx, load_mnist};

/// Debian's package `dataset-fashion-mnist`.
const FASHION: &str = "/usr/share/datasets/fashion-mnist";

fn idx(extents: &[u32], content: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut file = vec![0, 0, 8, extents.len() as u8];
    file.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    file.extend(content);
    file
}

fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("sets")
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    folder
}

/// Three training images of 2×3 and one test image, with these labels; `name` forms the file names.
fn small(test: &str, labels: [u8; 4], name: fn(&str, &str) -> String) -> PathBuf {
    let file = |split, kind, bytes| (name(split, kind), bytes);
    let files = [
        file("train", "images-idx3", idx(&[3, 2, 3], 0..18)),
        file("train", "labels-idx1", idx(&[3], labels[..3].to_vec())),
        file("t10k", "images-idx3", idx(&[1, 2, 3], 20..26)),
        file("t10k", "labels-idx1", idx(&[1], labels[3..].to_vec())),
    ];
    let files = files.map(|(name, bytes)| (name, bytes));
    let named: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    folder(test, &named)
}

fn plain(split: &str, kind: &str) -> String {
    format!("{split}-{kind}-ubyte")
}

#[test]
fn any_number_of_images_of_any_size_load() {
    let data = load_idx(small("small", [0, 2, 1, 0], plain), &IdxOptions::default()).unwrap();
    assert_eq!((data.sample, data.classes), ([1, 2, 3].into(), 3));
    assert_eq!(data.train.images, (0..18).collect::<Vec<u8>>());
    assert_eq!(data.train.labels, [0, 2, 1]);
    assert_eq!(data.test.images, (20..26).collect::<Vec<u8>>());
    assert_eq!(data.test.labels, [0]);
}

#[test]
fn mnist_and_fashion_mnist_load_alike() {
    for set in [common::MNIST, FASHION] {
        if !Path::new(set).exists() {
            eprintln!("SKIPPED: no {set}");
            continue;
        }
        let data = load_idx(set, &IdxOptions::default()).unwrap();
        let exact = load_mnist(set).unwrap();
        assert_eq!((data.sample, data.classes), (exact.sample, exact.classes));
        assert_eq!((data.train, data.test), (exact.train, exact.test));
        println!("{set}: {} classes", exact.classes);
    }
}

#[test]
fn names_may_have_dots_and_prefixes() {
    let expected = load_idx(small("named", [0, 1, 2, 1], plain), &IdxOptions::default()).unwrap();
    let names: [fn(&str, &str) -> String; 3] = [
        |split, kind| format!("{split}-{}-ubyte", kind).replace("-idx", ".idx"),
        |split, kind| format!("emnist-letters-{split}-{kind}-ubyte").replace("t10k", "test"),
        |split, kind| format!("a-train-{split}-{kind}-ubyte"),
    ];
    for name in names {
        let data = load_idx(small("named", [0, 1, 2, 1], name), &IdxOptions::default()).unwrap();
        assert_eq!(
            data.train,
            expected.train,
            "{}",
            name("train", "images-idx3")
        );
        assert_eq!(data.test, expected.test);
    }
}

/// EMNIST is distributed as one folder with six data sets.
#[test]
fn one_of_several_sets_is_selected_by_prefix() {
    let several = small("several", [0, 1, 2, 1], |split, kind| {
        format!("emnist-letters-{split}-{kind}-ubyte")
    });
    for entry in fs::read_dir(&several).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::copy(&path, several.join(name.replace("letters", "digits"))).unwrap();
    }
    let load = |prefix: Option<&str>| {
        let options = IdxOptions {
            prefix: prefix.map(str::to_owned),
            ..IdxOptions::default()
        };
        load_idx(&several, &options).map_err(|error| error.to_string())
    };
    assert!(load(Some("emnist-digits")).is_ok());
    let error = |prefix| {
        let error = load(prefix).unwrap_err();
        let folder = format!("{}: ", several.display());
        error.strip_prefix(&folder).expect("the folder").to_owned()
    };
    assert_eq!(
        error(None),
        "expected one data set, or the prefix of one, got emnist-digits, emnist-letters"
    );
    assert_eq!(
        error(Some("emnist-balanced")),
        "expected emnist-balanced-train-images-idx3-ubyte or \
         emnist-balanced-train-images-idx3-ubyte.gz, got neither"
    );
}

#[test]
fn labels_that_begin_at_one_are_shifted() {
    let letters = small("letters", [1, 26, 3, 2], plain);
    let load = |options: &IdxOptions| load_idx(&letters, options);
    let data = load(&IdxOptions::default()).unwrap();
    assert_eq!((data.classes, &*data.train.labels), (26, &[0, 25, 2][..]));
    assert_eq!(data.test.labels, [1]);
    let unshifted = IdxOptions {
        first_label: Some(0),
        classes: Some(30),
        ..IdxOptions::default()
    };
    let data = load(&unshifted).unwrap();
    assert_eq!((data.classes, &*data.train.labels), (30, &[1, 26, 3][..]));
    let error = |options| load(&options).unwrap_err().to_string();
    assert_eq!(
        error(IdxOptions {
            first_label: Some(2),
            ..IdxOptions::default()
        }),
        "data set: expected labels of at least 2, got 1"
    );
    let found = error(IdxOptions {
        classes: Some(20),
        ..IdxOptions::default()
    });
    assert!(
        found.contains("train-labels")
            && found.ends_with(": expected labels below 21, got 26 as label 1"),
        "{found}"
    );
}

#[test]
fn transposed_images_are_transposed_back() {
    let options = IdxOptions {
        transposed: true,
        ..IdxOptions::default()
    };
    let data = load_idx(small("transposed", [0, 1, 0, 1], plain), &options).unwrap();
    assert_eq!(data.sample, [1, 3, 2].into());
    assert_eq!(data.train.images[..6], [0, 3, 1, 4, 2, 5]);
    assert_eq!(data.test.images, [20, 23, 21, 24, 22, 25]);
}

/// (N, C, H, W): each plane is transposed separately.
#[test]
fn color_images_are_planes() {
    let color = folder(
        "color",
        &[
            ("train-images-idx4-ubyte", idx(&[1, 3, 1, 2], 0..6)),
            ("train-labels-idx1-ubyte", idx(&[1], [1])),
            ("t10k-images-idx4-ubyte", idx(&[0, 3, 1, 2], [])),
            ("t10k-labels-idx1-ubyte", idx(&[0], [])),
        ],
    );
    let load = |transposed| {
        let options = IdxOptions {
            transposed,
            first_label: Some(0),
            ..IdxOptions::default()
        };
        load_idx(&color, &options).unwrap()
    };
    let data = load(false);
    assert_eq!((data.sample, data.test.len()), ([3, 1, 2].into(), 0));
    let turned = load(true);
    assert_eq!(turned.sample, [3, 2, 1].into());
    assert_eq!(turned.train.images, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let with = |name: &str, bytes: Vec<u8>| {
        let folder = small("refused", [0, 1, 0, 1], plain);
        fs::write(folder.join(name), bytes).unwrap();
        let error = load_idx(&folder, &IdxOptions::default()).unwrap_err();
        let prefix = format!("{}/", folder.display());
        error
            .to_string()
            .strip_prefix(&prefix)
            .expect("the folder")
            .to_owned()
    };
    let images = "train-images-idx3-ubyte";
    for (name, bytes, expected) in [
        (
            "train-labels-idx1-ubyte",
            idx(&[4], [0; 4]),
            "train-labels-idx1-ubyte: expected extents [3], got [4]",
        ),
        (
            images,
            idx(&[18], 0..18),
            "train-images-idx3-ubyte: expected magic number 0x00000803 or 0x00000804, got 0x00000801",
        ),
        (
            images,
            vec![0, 0, 0x0d, 3],
            "train-images-idx3-ubyte: expected magic number 0x00000803 or 0x00000804, got 0x00000d03",
        ),
        (
            images,
            idx(&[3, 2], [0, 0]),
            "train-images-idx3-ubyte: expected magic number 0x00000803 or 0x00000804, got 0x00000802",
        ),
        (
            images,
            idx(&[3, 2, 3], 0..17),
            "train-images-idx3-ubyte: expected 34 bytes, got 33 bytes",
        ),
        (
            images,
            idx(&[3, 1 << 20, 1 << 20], []),
            "train-images-idx3-ubyte: expected at most 2147483648 bytes, got extents [3, 1048576, \
             1048576], 3298534883328 bytes",
        ),
        (
            images,
            idx(&[u32::MAX; 3], []),
            "train-images-idx3-ubyte: expected at most 2147483648 bytes, got extents [4294967295, \
             4294967295, 4294967295], 18446744073709551615 bytes",
        ),
        (
            images,
            vec![0, 0, 8, 3, 0, 0, 0, 1, 0],
            "train-images-idx3-ubyte: expected an IDX header of 16 bytes, got 9 bytes",
        ),
        (
            "t10k-images-idx3-ubyte",
            idx(&[1, 3, 2], 0..6),
            "t10k-images-idx3-ubyte: expected images of (1, 2, 3), as those to train on, got (1, 3, 2)",
        ),
    ] {
        assert_eq!(with(name, bytes), expected);
    }
}

/// `--data` accepts a folder that fits the network, and explains why it refuses another.
#[test]
fn the_example_trains_on_other_sets() {
    let set = |name: &str, classes: u8, side: u32| {
        let file =
            |split: &str, kind: &str, bytes| (plain(split, kind).replace("-idx", ".idx"), bytes);
        let images = |n: u32| {
            idx(
                &[n, side, side],
                (0..n * side * side).map(|i| (i % 251) as u8),
            )
        };
        let labels = |n: u32| idx(&[n], (0..n).map(|i| (i % u32::from(classes)) as u8));
        let files = [
            file("train", "images-idx3", images(70)),
            file("train", "labels-idx1", labels(70)),
            file("t10k", "images-idx3", images(20)),
            file("t10k", "labels-idx1", labels(20)),
        ];
        let files: Vec<(&str, Vec<u8>)> =
            files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        folder(name, &files)
    };
    let run = |folder: &Path, more: &[&str]| {
        let mut example = std::process::Command::new(common::example());
        example
            .args(["--device", "cpu", "--epochs", "1", "--data"])
            .arg(folder)
            .args(more);
        let output = example.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (status, text) = run(&set("ten", 10, 20), &["--transposed"]);
    println!("{text}");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("Data: 70 training and 20 test images of (1, 20, 20)"),
        "{text}"
    );
    // A small set need not contain every class.
    let (status, text) = run(&set("four", 4, 20), &[]);
    assert_eq!(status, Some(0), "{text}");
    let (status, text) = run(&set("twelve", 12, 20), &[]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.starts_with("error: ")
            && text.contains("train-labels")
            && text.contains(": expected labels below 10, got 10 as label "),
        "{text}"
    );
    let (status, text) = run(&set("ten", 10, 20), &["--data-prefix", "emnist-letters"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("expected emnist-letters-train-images-idx3-ubyte or"),
        "{text}"
    );
}

#[test]
fn samples_as_floats_are_whole_images() {
    let samples = Samples {
        images: vec![0, 51, 255, 102],
        labels: vec![0, 1],
    };
    let close = |found: Vec<f32>, expected: &[f32]| {
        found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
    };
    assert!(close(samples.floats(0..2).unwrap(), &[0.0, 0.2, 1.0, 0.4]));
    assert!(close(samples.floats(1..2).unwrap(), &[1.0, 0.4]));
    assert!(samples.floats(2..2).unwrap().is_empty());
    let error = samples.floats(1..3).unwrap_err().to_string();
    assert_eq!(error, "samples: expected within 0..2, got 1..3");
    assert!(Samples::default().floats(0..1).is_err());
}

/// An independent reader of the same files returns the same data.
#[test]
fn the_mnist_crate_reads_the_same() {
    use std::io::Read;
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mnist_unpacked");
    fs::create_dir_all(&unpacked).unwrap();
    for entry in fs::read_dir(common::MNIST).unwrap() {
        let packed = entry.unwrap().path();
        if packed
            .extension()
            .is_some_and(|extension| extension == "gz")
        {
            let mut bytes = Vec::new();
            let mut file = flate2::read::GzDecoder::new(fs::File::open(&packed).unwrap());
            file.read_to_end(&mut bytes).unwrap();
            fs::write(unpacked.join(packed.file_stem().unwrap()), bytes).unwrap();
        }
    }
    let theirs = mnist::MnistBuilder::new()
        .base_path(unpacked.to_str().unwrap())
        .training_set_length(60_000)
        .validation_set_length(0)
        .test_set_length(10_000)
        .label_format_digit()
        .finalize();
    let ours = load_mnist(common::MNIST).unwrap();
    assert!(ours.train.images == theirs.trn_img && ours.train.labels == theirs.trn_lbl);
    assert!(ours.test.images == theirs.tst_img && ours.test.labels == theirs.tst_lbl);
}
