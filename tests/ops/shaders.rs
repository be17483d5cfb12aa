//! What must hold of `shaders/`: it mirrors `src/ops/`, what is compiled is valid WGSL, and nothing is written twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wgrad::ops::{FAMILIES, Loads, Prelude, SHADERS};

/// Files of `src/ops/` that are no op.
const NO_OPS: [&str; 14] = [
    "mod",
    "arithmetic",
    "bound",
    "case",
    "conv_pool_sizes",
    "conv_sizes",
    "element",
    "product",
    "product_kernel",
    "product_split",
    "shader",
    "split",
    "step",
    "windows",
];

/// Kernels whose ops are not in `src/ops/` alone under the same name.
const ELSEWHERE: [(&str, &[&str]); 4] = [
    ("conv", &["src/ops/conv.rs", "src/ops/conv_weight.rs"]),
    (
        "conv_pool",
        &["src/ops/conv_pool.rs", "src/ops/conv_pool_weight.rs"],
    ),
    ("loop_probe", &["src/gpu/loop_probe.rs"]),
    (
        "max_pool",
        &["src/ops/max_pool.rs", "src/ops/max_pool_backward.rs"],
    ),
];

/// The text of the files with the ops of a kernel.
fn ops_of(stem: &str) -> String {
    let own = format!("src/ops/{stem}.rs");
    let files = match ELSEWHERE.iter().find(|(name, _)| *name == stem) {
        Some((_, files)) => files.to_vec(),
        None => vec![own.as_str()],
    };
    let read = |file| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    files.into_iter().map(|file| read(file).unwrap()).collect()
}

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_kernel_has_its_op_and_every_op_its_kernel() {
    let mut ops = stems("src/ops", "rs");
    for name in NO_OPS {
        assert!(ops.remove(name));
    }
    let mut kernels = stems("shaders", "wgsl");
    for (stem, files) in ELSEWHERE {
        for file in files {
            let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
            ops.remove(name);
        }
        assert!(kernels.remove(stem));
    }
    assert_eq!(ops, kernels);
}

#[test]
fn what_is_compiled_is_valid_and_its_entry_points_are_named_for_their_ops() {
    for ((stem, _), shader) in FAMILIES.iter().zip(SHADERS) {
        let preludes: Vec<_> = shader.preludes().iter().map(Prelude::to_string).collect();
        let line = format!("\n// Preludes: {}.\n", preludes.join(", "));
        assert!(shader.file().contains(&line), "{stem}: no line {line}");
        for loads in [Loads::Narrow, Loads::Wide] {
            let text = shader.source(loads);
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, stem)));
            let capabilities =
                naga::valid::Capabilities::SUBGROUP | naga::valid::Capabilities::SHADER_INT64;
            naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
                .validate(&module)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, stem)));

            let op_file = ops_of(stem);
            assert!(!module.entry_points.is_empty(), "{stem}");
            for entry in &module.entry_points {
                let name = &entry.name;
                assert_ne!(name, "main", "{stem}");
                assert!(
                    op_file.contains(&format!("\"{name}\"")),
                    "no op named {name} in {stem}.rs"
                );
            }
        }
    }
}

/// What two kernels need is a prelude: no function and no struct is written twice.
#[test]
fn nothing_is_declared_in_two_files() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for folder in ["shaders", "shaders/prelude"] {
        for stem in stems(folder, "wgsl") {
            let path = format!("{}/{folder}/{stem}.wgsl", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let declarations = text.split("\n\n").flat_map(|part| {
                let begin = part
                    .lines()
                    .position(|line| line.starts_with("fn ") || line.starts_with("struct "))?;
                let lines: Vec<&str> = part.lines().skip(begin).collect();
                Some(lines.join("\n").trim().to_owned())
            });
            for declaration in declarations {
                if let Some(other) = seen.insert(declaration.clone(), stem.clone()) {
                    panic!("in {other}.wgsl and in {stem}.wgsl: {declaration}");
                }
            }
        }
    }
    assert!(seen.len() > 50, "{}", seen.len());
}
