//! Weights written by other programs: their number formats, names and metadata.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::common;
use safetensors::tensor::{Dtype, TensorView};
use wgrad::nn::{Conv2d, Flatten, Linear, ReLU, Sequential};
use wgrad::plan::Port;
use wgrad::{Checkpoint, Config, Device, Loss, Sgd, Trainer};

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("weights");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A file with one tensor.
fn file(name: &str, dtype: Dtype, bytes: &[u8], metadata: &[(&str, &str)]) -> PathBuf {
    let path = scratch(name);
    let len = 8 * bytes.len() / dtype.bitsize();
    let view = TensorView::new(dtype, vec![len], bytes).unwrap();
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let bytes = safetensors::serialize([("0.weight", view)], Some(metadata)).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn other_floats_are_converted_and_rounding_is_reported() {
    let load = |name: &str, dtype, bytes: &[u8]| {
        let checkpoint = Checkpoint::load(file(name, dtype, bytes, &[]));
        let mut checkpoint = checkpoint.map_err(|error| error.to_string())?;
        let (_, values) = checkpoint.tensors.remove("0.weight").unwrap();
        Ok::<_, String>((values, checkpoint.notices.to_vec()))
    };
    // 1, −2, the smallest subnormal, the largest finite number, infinity.
    let halves = [0x3c00u16, 0xc000, 0x0001, 0x7bff, 0x7c00].map(u16::to_le_bytes);
    let (values, notices) = load("f16", Dtype::F16, halves.as_flattened()).unwrap();
    let expected = [1.0, -2.0, 2f32.powi(-24), 65504.0, f32::INFINITY];
    assert_eq!((bits(&values), notices.len()), (bits(&expected), 0));

    let brains = [0x3f80u16, 0xc000, 0x0001, 0xff80, 0x3f81].map(u16::to_le_bytes);
    let (values, notices) = load("bf16", Dtype::BF16, brains.as_flattened()).unwrap();
    let expected = [
        1.0,
        -2.0,
        f32::from_bits(1 << 16),
        f32::NEG_INFINITY,
        1.0078125,
    ];
    assert_eq!((bits(&values), notices.len()), (bits(&expected), 0));

    let doubles = |values: &[f64]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let exact = doubles(&[0.5, -0.0, f64::NAN, f64::INFINITY, -1e-45f32 as f64]);
    let (values, notices) = load("f64", Dtype::F64, &exact).unwrap();
    assert!(values[2].is_nan() && notices.is_empty(), "{notices:?}");
    assert_eq!(bits(&values[..2]), bits(&[0.5, -0.0]));
    let (values, notices) = load("f64", Dtype::F64, &doubles(&[0.1, 0.5])).unwrap();
    assert_eq!(bits(&values), bits(&[0.1, 0.5]));
    assert_eq!(notices, ["0.weight of F64 is rounded to f32"]);

    let refused = |name: &str, dtype, bytes: &[u8]| {
        let error = load(name, dtype, bytes).unwrap_err();
        let path = format!("{}: ", scratch(name).display());
        error.strip_prefix(&path).expect("the path").to_owned()
    };
    assert_eq!(
        refused("f64", Dtype::F64, &doubles(&[0.0, 1e300])),
        "expected values within f32's range, got 1e300 in 0.weight"
    );
    assert_eq!(
        refused("i32", Dtype::I32, &[0; 8]),
        "expected tensors of F32, F64, F16, BF16 or I64, got 0.weight of I32"
    );
}

#[test]
fn foreign_counters_and_metadata_are_kept() {
    let metadata = [
        ("format", "pt"),
        ("crc32", "another's"),
        ("step", "of another"),
    ];
    let counter = file("counter", Dtype::I64, &7i64.to_le_bytes(), &metadata);
    let checkpoint = Checkpoint::load(counter).unwrap();
    assert!(checkpoint.tensors.is_empty());
    assert_eq!(checkpoint.integers["0.weight"], ([1].into(), vec![7]));
    for (key, value) in metadata {
        assert_eq!(checkpoint.metadata[key], value);
    }
    let again = scratch("again");
    checkpoint.save(&again).unwrap();
    assert_eq!(Checkpoint::load(&again).unwrap(), checkpoint);
    // The checksum covers the counter.
    let mut bytes = std::fs::read(&again).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&again, bytes).unwrap();
    let error = Checkpoint::load(&again).unwrap_err().to_string();
    assert!(
        error.contains("expected the checksum of its content"),
        "{error}"
    );

    let mut twice = checkpoint.clone();
    twice
        .tensors
        .insert("0.weight".to_owned(), ([1].into(), vec![0.0]));
    let error = twice.save(&again).unwrap_err().to_string();
    assert!(
        error.ends_with("a name of its own for each array, got 0.weight twice"),
        "{error}"
    );
}

/// A network whose last two layers have equal shapes if `width` is 4.
fn trainer(seed: u64, width: usize) -> Trainer {
    let model = Sequential::new()
        .with(Conv2d::new(2, 3, 3))
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(4))
        .with(ReLU)
        .with(Linear::new(width).bias(true))
        .with(Linear::new(4));
    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9))
        .batch_size(8)
        .seed(seed)
        .planning(wgrad::Planning::Unfused);
    let data = common::random_data(8, 0);
    wgrad::block_on(Trainer::new(&Device::cpu(), &model, &data, config)).unwrap()
}

/// The checkpoint of another trainer, with its tensors renamed.
fn renamed(width: usize, rename: impl Fn(&str) -> String) -> Checkpoint {
    let mut checkpoint = wgrad::block_on(trainer(2, width).checkpoint()).unwrap();
    checkpoint.metadata.clear();
    let tensors = std::mem::take(&mut checkpoint.tensors).into_iter();
    let weights = tensors.filter(|(name, _)| !name.starts_with("optimizer."));
    checkpoint.tensors = weights
        .map(|(name, tensor)| (rename(&name), tensor))
        .collect();
    checkpoint
}

/// PyTorch's names for modules stored as fields; the file sorts `a_last` before `conv`.
fn fields(name: &str) -> String {
    let name = name.replace("0.", "net.conv.").replace("3.", "net.fc.");
    name.replace("5.", "net.z_middle.")
        .replace("6.", "net.a_last.")
}

#[test]
fn names_of_modules_are_mapped_where_shapes_are_unambiguous() {
    let parameters = |trainer: &mut Trainer| {
        let arena = trainer.plan().port(Port::Parameters).unwrap();
        wgrad::block_on(trainer.executor().read_words(arena)).unwrap()
    };
    let expected = parameters(&mut trainer(2, 5));
    let load = |rename: fn(&str) -> String| {
        let path = scratch("renamed");
        renamed(5, rename).save(&path).unwrap();
        let mut trainer = trainer(1, 5);
        let notices = trainer
            .load_parameters(&Checkpoint::load(&path).unwrap())
            .unwrap();
        assert!(parameters(&mut trainer) == expected, "other parameters");
        notices.to_vec()
    };
    assert!(load(str::to_owned).is_empty());
    let notices = load(|name| format!("module.{name}"));
    let begin = "weights taken: module.0.weight for 0.weight, module.0.bias for 0.bias, ";
    assert!(notices[0].starts_with(begin), "{notices:?}");
    assert_eq!(load(|name| format!("module.net.{name}")).len(), 1);
    let notices = load(fields);
    println!("{notices:?}");
    assert!(notices[0].contains("net.a_last.weight for 6.weight"));
    // Without a module for flattening, the numbering differs.
    load(|name| {
        name.replace("3.", "2.")
            .replace("5.", "4.")
            .replace("6.", "5.")
    });
}

#[test]
fn layers_of_equal_shapes_are_never_matched_by_order() {
    let refusal = |checkpoint: &Checkpoint| {
        let error = trainer(1, 4).load_parameters(checkpoint).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refusal(&renamed(4, fields)),
        "checkpoint's tensors: expected 0.weight (3, 2, 3, 3), 0.bias (3), 3.weight (4, 270), 3.bias (4), \
         5.weight (4, 4), 5.bias (4), 6.weight (4, 4), 6.bias (4), or layers that their shapes tell \
         apart, got net.a_last.bias (4), net.a_last.weight (4, 4), net.conv.bias (3), net.conv.weight \
         (3, 2, 3, 3), net.fc.bias (4), net.fc.weight (4, 270), net.z_middle.bias (4), \
         net.z_middle.weight (4, 4)"
    );
    let without = |missing: &str| {
        let mut checkpoint = renamed(4, str::to_owned);
        checkpoint.tensors.remove(missing);
        checkpoint
    };
    let error = refusal(&without("6.bias"));
    assert!(
        error.starts_with("checkpoint's tensors: expected 0.weight"),
        "{error}"
    );
    let none = refusal(&Checkpoint::default());
    assert!(none.ends_with("got none"), "{none}");
    // If all names match, ambiguous shapes are no obstacle; tensors with matching names must also
    // match in shape.
    trainer(1, 4)
        .load_parameters(&renamed(4, str::to_owned))
        .unwrap();
    let mut checkpoint = renamed(4, str::to_owned);
    checkpoint
        .tensors
        .insert("6.bias".to_owned(), ([3].into(), vec![0.0; 3]));
    assert_eq!(
        refusal(&checkpoint),
        "checkpoint's 6.bias: expected (4), got (3)"
    );
}

/// Equal checkpoints give identical files, so that two runs can be compared by checksum.
#[test]
fn the_content_of_a_file_has_a_fixed_order() {
    let mut checkpoint = Checkpoint::default();
    let entries = (0..20).map(|i| (format!("key {i} \"ü\""), format!("{i}\n")));
    checkpoint.metadata.extend(entries);
    for name in ["1.weight", "0.weight"] {
        let tensor = ([2].into(), vec![1.0, 2.0]);
        checkpoint.tensors.insert(name.to_owned(), tensor);
    }
    let (path, mut files) = (scratch("order.safetensors"), BTreeSet::new());
    for _ in 0..8 {
        checkpoint.save(&path).unwrap();
        files.insert(std::fs::read(&path).unwrap());
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
    }
    assert_eq!(files.len(), 1);
}
