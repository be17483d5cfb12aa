//! A training step of batch normalisation, its gradients and its running statistics, op by op,
//! against PyTorch in double precision (the values are from `scripts/golden.py`).

use crate::common;
use safetensors::SafeTensors;
use wgrad::Device;
use wgrad::ops::{
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, Binding, Op, Step,
};
use wgrad::plan::{Builder, Element, Phase, Role, TensorId};

/// PyTorch's defaults.
const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// A plan of ops over named tensors.
struct Ops {
    plan: Builder,
}

impl Ops {
    fn tensor(&mut self, name: &str, len: usize) -> TensorId {
        let element = if name == "batches" {
            Element::U32
        } else {
            Element::F32
        };
        match self.plan.own(name) {
            Ok(tensor) => tensor,
            Err(_) => self.plan.tensor(name, [len], element, Role::Input).unwrap(),
        }
    }

    /// Appends `op`, binding tensors by name, after the renames in `renamed`.
    fn push(&mut self, op: impl Op + 'static, renamed: &[(&str, &str)]) {
        let bindings = op.bindings();
        let mut tensors = |list: &[Binding]| -> Vec<TensorId> {
            let own = |name| renamed.iter().find(|(from, _)| *from == name);
            let named = list.iter().map(|binding| {
                let name = own(binding.name).map_or(binding.name, |(_, to)| to);
                (name, binding.words)
            });
            named.map(|(name, len)| self.tensor(name, len)).collect()
        };
        let (inputs, outputs) = (tensors(&bindings.inputs), tensors(&bindings.outputs));
        self.plan.op(Phase::Forward, op, &inputs, &outputs).unwrap();
    }
}

/// All ops of a training step over `rows` rows, followed by those of inference.
fn plan(rows: usize, channels: usize, area: usize, relu: bool) -> Ops {
    let mut ops = Ops {
        plan: Builder::new(false),
    };
    ops.push(
        BatchNormMoments {
            rows,
            channels,
            area,
        },
        &[],
    );
    let (eps, momentum) = (EPS, MOMENTUM);
    ops.push(
        BatchNormStatistics {
            rows,
            channels,
            area,
            eps,
            momentum,
        },
        &[],
    );
    ops.push(
        BatchNormForward {
            rows,
            channels,
            area,
            relu,
        },
        &[],
    );
    ops.push(
        BatchNormBackwardSums {
            rows,
            channels,
            area,
            relu,
        },
        &[],
    );
    let accumulate = true;
    ops.push(
        BatchNormBackwardReduce {
            rows,
            channels,
            area,
            accumulate,
        },
        &[],
    );
    ops.push(
        BatchNormBackwardInput {
            rows,
            channels,
            area,
            relu,
        },
        &[],
    );
    ops.push(
        BatchNormInfer {
            rows,
            channels,
            area,
            eps,
            relu,
        },
        &[("y", "inferred")],
    );
    ops
}

/// Errors are relative to the value's whole channel: its largest magnitude, and that of the terms
/// it sums. A value goes through about twenty roundings; those of long sums add up like noise.
const ALLOWED: f64 = 32.0 * (f32::EPSILON / 2.0) as f64;

fn check(device: &Device, name: &str, relu: bool) {
    let path = format!(
        "{}/tests/golden/batch_norm.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = |key: &str| tensors.tensor(&format!("{name}.{key}")).unwrap();
    let given = |key: &str| -> Vec<f32> { bytemuck::pod_collect_to_vec(view(key).data()) };
    let expected = |key: &str| -> Vec<f64> { bytemuck::pod_collect_to_vec(view(key).data()) };
    let shape = view("x").shape().to_vec();
    let (real, channels) = (shape[0], shape[1]);
    let (area, row) = (
        shape[2..].iter().product(),
        shape[1..].iter().product::<usize>(),
    );
    // Rows beyond the step hold values that would show up in the results.
    for beyond in [0, 2] {
        let rows = real + beyond;
        let padded = |key: &str, value: f32| {
            let mut values = given(key);
            values.resize(rows * row, value);
            values
        };
        let Ops { plan } = plan(rows, channels, area, relu);
        let plan = plan.finish();
        let step = Step::new(0, real as u32, 0, 0.1);
        wgrad::block_on(async {
            let mut executor = device.load(plan.clone()).await.unwrap();
            let find = |key: &str| plan.find(key).unwrap();
            executor.write(find("x"), &padded("x", 1e6)).unwrap();
            executor.write(find("d_y"), &padded("d_y", 1e6)).unwrap();
            for key in ["weight", "bias", "running_mean", "running_var"] {
                executor.write(find(key), &given(key)).unwrap();
            }
            executor.write_words(find("batches"), &[41]).unwrap();
            executor.run(&[Phase::Forward], &[step]).unwrap();
            assert_eq!(executor.read_words(find("batches")).await.unwrap(), [42]);
            for (key, golden) in [
                ("y", "y"),
                ("d_x", "d_x"),
                ("d_weight", "d_weight"),
                ("d_bias", "d_bias"),
                ("running_mean", "new_running_mean"),
                ("running_var", "new_running_var"),
                ("inferred", "inferred"),
            ] {
                let found = executor.read(find(key)).await.unwrap();
                let expected = expected(golden);
                let (found, rest) = found.split_at(expected.len());
                if key == "d_x" || key == "y" {
                    assert!(rest.iter().all(|&value| value == 0.0), "{name}: {key}");
                }
                let largest = expected
                    .iter()
                    .fold(1f64, |largest, x| largest.max(x.abs()));
                let worst = found.iter().zip(&expected);
                let worst = worst.map(|(&found, expected)| (f64::from(found) - expected).abs());
                let worst = worst.fold(0f64, f64::max) / largest;
                println!("{name}, {beyond} rows beyond, {key}: {worst:.1e} on {device}");
                assert!(worst <= ALLOWED, "{name}: {key}: {worst:e}");
            }
        });
    }
}

#[test]
fn batch_norm_matches_pytorch() {
    let devices = common::gpu().into_iter().chain([Device::cpu()]);
    for device in devices {
        for (name, relu) in [("fours", false), ("relu", true), ("features", true)] {
            check(&device, name, relu);
        }
    }
}
