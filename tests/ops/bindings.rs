//! The bindings that ops declare, against their references and the compiled kernels.

use std::collections::{BTreeMap, BTreeSet};

use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};
use wgrad::ops::case::{Case, Floats, Random};
use wgrad::ops::{Access, Args, Content, Loads};
use wgrad::verify::cases;

/// The outputs of the reference, started from `before`.
fn written(case: &Case, mut before: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    case.op.reference(&mut Args {
        inputs: case.inputs.iter().map(Vec::as_slice).collect(),
        outputs: before.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &case.step,
    });
    before
}

/// The previous contents of an output affect ops that update it, and no others.
#[test]
fn previous_contents_matter_only_to_ops_that_update() {
    let mut random = Random::new(11, Floats::Spaced);
    let (mut updated, mut changed) = (BTreeSet::new(), BTreeSet::new());
    for (name, case) in cases(7, 8, Floats::Spaced) {
        let outputs = case.op.bindings().outputs;
        let mut other = || -> Vec<Vec<u32>> {
            let contents = outputs
                .iter()
                .map(|output| match output.content.is_floats() {
                    true => random.floats(output.words),
                    false => (0..output.words).map(|_| random.word()).collect(),
                });
            contents.collect()
        };
        let (first, second) = (written(&case, other()), written(&case, other()));
        for (binding, (first, second)) in outputs.iter().zip(first.iter().zip(&second)) {
            let of = (case.op.name(), binding.name);
            match binding.access {
                Access::Write => assert_eq!(first, second, "{name}: {:?}, {of:?}", case.op),
                Access::Update => {
                    updated.insert(of);
                    if first != second {
                        changed.insert(of);
                    }
                }
                Access::Read => panic!("{name}: {of:?} is an output that is only read"),
            }
        }
    }
    assert!(!updated.is_empty());
    assert_eq!(updated, changed);
}

/// Inputs are read-only in WGSL, and integer words are not declared as floats.
#[test]
fn bindings_match_the_kernels_declarations() {
    let kinds: BTreeMap<String, _> = (cases(0, 8, Floats::Hostile).into_iter())
        .map(|(_, case)| {
            (
                format!("{:?}{:?}", case.op.name(), case.op.bindings()),
                case,
            )
        })
        .collect();
    for case in kinds.values() {
        let (name, bindings) = (case.op.name(), case.op.bindings());
        let text = case.op.launch().shader.source(Loads::Narrow);
        let module = naga::front::wgsl::parse_str(&text).unwrap();
        let entry = module.entry_points.iter().position(|e| e.name == name);
        let info = naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::all(),
        )
        .validate(&module)
        .unwrap();
        let used = info.get_entry_point(entry.expect("an entry point of the op's name"));
        for (number, binding) in bindings.iter().enumerate() {
            let of_number = |global: &naga::GlobalVariable| {
                let place = global
                    .binding
                    .is_some_and(|place| (place.group, place.binding) == (0, number as u32));
                place && matches!(global.space, AddressSpace::Storage { .. })
            };
            let globals = module.global_variables.iter();
            let mut globals =
                globals.filter(|(id, global)| of_number(global) && !used[*id].is_empty());
            // The binding of a placeholder may be unused.
            let Some((_, global)) = globals.next() else {
                continue;
            };
            let AddressSpace::Storage { access } = global.space else {
                unreachable!("it was filtered");
            };
            let writes = access.contains(StorageAccess::STORE);
            assert_eq!(
                writes,
                binding.access != Access::Read,
                "{name}: {binding:?}"
            );
            let TypeInner::Array { base, .. } = module.types[global.ty].inner else {
                panic!("{name}: {} is no array", binding.name);
            };
            let is_declared_float = match module.types[base].inner {
                TypeInner::Scalar(scalar) => scalar.kind == ScalarKind::Float,
                TypeInner::Vector { scalar, .. } => scalar.kind == ScalarKind::Float,
                _ => false,
            };
            let is_float = binding.content.is_floats() || matches!(binding.content, Content::Any);
            assert!(is_float || !is_declared_float, "{name}: {binding:?}");
        }
    }
}
