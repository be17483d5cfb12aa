//! Properties of the source: `shaders/` mirrors `src/ops/`, compiled WGSL is valid, nothing is
//! declared twice, and modules import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use wgrad::ops::case::Floats;
use wgrad::ops::{FAMILIES, Loads, Prelude, SHADERS, Shader};
use wgrad::verify::cases;

/// Kernels whose ops are not all in the file of the same name in `src/ops/`.
const ELSEWHERE: [(&str, &[&str]); 6] = [
    (
        "batch_norm_backward",
        &[
            "src/ops/batch_norm_backward.rs",
            "src/ops/batch_norm_backward_input.rs",
        ],
    ),
    (
        "conv",
        &[
            "src/ops/conv.rs",
            "src/ops/conv_input.rs",
            "src/ops/conv_weight.rs",
        ],
    ),
    (
        "conv_pool",
        &["src/ops/conv_pool.rs", "src/ops/conv_pool_weight.rs"],
    ),
    (
        "depthwise",
        &["src/ops/depthwise.rs", "src/ops/depthwise_weight.rs"],
    ),
    ("loop_probe", &["src/gpu/loop_probe.rs"]),
    (
        "max_pool",
        &["src/ops/max_pool.rs", "src/ops/max_pool_backward.rs"],
    ),
];

/// The source of the files that define a kernel's ops.
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
fn every_kernel_has_an_op_and_every_op_a_kernel() {
    let mut ops = stems("src/ops", "rs");
    // The kernels of products are the gemm_ files.
    for other in ["mod", "product"] {
        assert!(ops.remove(other));
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
fn compiled_shaders_are_valid_and_entry_points_are_named_after_ops() {
    for ((stem, _), shader) in FAMILIES.iter().zip(SHADERS) {
        let preludes: Vec<_> = shader.preludes().iter().map(Prelude::to_string).collect();
        let line = format!("\n// Preludes: {}.\n", preludes.join(", "));
        assert!(shader.file().contains(&line), "{stem}: no line {line}");
        let op_file = ops_of(stem);
        for module in valid_modules(stem, shader) {
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

/// The compiled modules of a shader, with narrow and with wide loads; panics if either is invalid
/// WGSL.
fn valid_modules(stem: &str, shader: &Shader) -> [naga::Module; 2] {
    [Loads::Narrow, Loads::Wide].map(|loads| {
        let text = shader.source(loads);
        let module = naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, stem)));
        let capabilities =
            naga::valid::Capabilities::SUBGROUP | naga::valid::Capabilities::SHADER_INT64;
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, stem)));
        module
    })
}

/// Ops may compile a file with other preludes at some sizes, so ops of many sizes are checked.
#[test]
fn shaders_that_ops_compose_are_valid() {
    let cases = cases(0, 8, Floats::Hostile);
    let shaders: HashSet<_> = cases
        .iter()
        .map(|(_, case)| case.op.launch().shader)
        .collect();
    assert!(shaders.len() > SHADERS.len());
    for shader in shaders.iter().filter(|shader| !SHADERS.contains(shader)) {
        let stem = FAMILIES.iter().zip(SHADERS);
        let stem = stem.filter(|(_, of_family)| of_family.file() == shader.file());
        let stem = stem.map(|((stem, _), _)| *stem).next();
        valid_modules(stem.expect("a file of a family"), shader);
    }
}

/// Code shared by two kernels belongs in a prelude: no function and no struct is declared twice.
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

/// The modules that each module of `src/` names in any of its files.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = path.strip_prefix(&source).unwrap().iter().next().unwrap();
            let module = module.to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let named = code.flat_map(|line| line.split("crate::").skip(1));
            let named = named.map(|rest| {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                rest[..end.unwrap_or(rest.len())].to_owned()
            });
            let is_module = |name: &String| {
                source.join(name).is_dir() || source.join(format!("{name}.rs")).is_file()
            };
            let others = named.filter(|name| is_module(name) && *name != module);
            imports.entry(module.clone()).or_default().extend(others);
        }
    }
    imports.remove("lib");
    imports
}

/// Modules can be read one after another: none imports, even indirectly, a module that imports it.
#[test]
fn modules_import_each_other_in_one_direction() {
    let mut left = imports();
    assert!(left["expand"].contains("graph"), "{left:?}");
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let Some(name) = names.iter().find(|&name| left[name].is_disjoint(&names)) else {
            break;
        };
        left.remove(name);
    }
    assert!(left.is_empty(), "a cycle among {left:?}");
}
