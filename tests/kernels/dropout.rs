//! Dropout, and the random words it draws.

use rand::RngExt;
use wgrad::executor::Executor;
use wgrad::nn::{Dropout2d, Flatten, Linear, Sequential, Training};
use wgrad::ops::{
    Args, Binding, Bindings, Content, Cost, Dropout, Element, Elements, ErrorBound, Launch, Op,
    Prelude, Shader, Step,
};
use wgrad::plan::{self, Builder, Phase, Role};
use wgrad::verify::lockstep;
use wgrad::{Device, Loss, Session, Sgd};

use super::{any_step, check, check_random, common, reports};

/// Key, counter and words: the test vectors of Random123, the implementation by Philox's authors.
const KNOWN: [([u32; 2], [u32; 4], [u32; 4]); 3] = [
    (
        [0; 2],
        [0; 4],
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
    ),
    (
        [u32::MAX; 2],
        [u32::MAX; 4],
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
    ),
    (
        [0xa409_3822, 0x299f_31d0],
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

/// The words for each key and counter of [`KNOWN`], computed by the prelude.
#[derive(Debug, Clone)]
struct Words;

impl Op for Words {
    fn name(&self) -> &'static str {
        "draw"
    }
    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("keys", 6).of(Content::Any),
            Binding::read("counters", 12).of(Content::Any),
            Binding::write("words", 12).of(Content::Any),
        ])
    }
    fn launch(&self) -> Launch {
        Launch::new(
            Shader::new(
                &[Prelude::Invocation, Prelude::Philox],
                "@group(0) @binding(0) var<storage, read> keys: array<vec2<u32>>;
             @group(0) @binding(1) var<storage, read> counters: array<vec4<u32>>;
             @group(0) @binding(2) var<storage, read_write> words: array<vec4<u32>>;
             @compute @workgroup_size(WORKGROUP_SIZE)
             fn draw(@builtin(global_invocation_id) id: vec3<u32>) {
                 if id.x < 3u {
                     words[id.x] = philox(keys[id.x], counters[id.x]);
                 }
             }",
            ),
            3,
        )
        .longest_loop(11)
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }
    fn reference(&self, args: &mut Args<'_>) {
        let words = KNOWN.iter().flat_map(|(_, _, words)| words);
        for (output, &word) in args.outputs[0].iter_mut().zip(words) {
            *output = word;
        }
    }
    fn element(&self, _: &Elements<'_>, _: usize, index: usize) -> Element {
        Element::Word(KNOWN[index / 4].2[index % 4])
    }
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

#[test]
fn philox_gives_the_known_answers() {
    let Some(device) = common::gpu() else { return };
    let keys = KNOWN.iter().flat_map(|(key, _, _)| *key).collect();
    let counters = KNOWN.iter().flat_map(|(_, counter, _)| *counter).collect();
    let before = vec![vec![0; 12]];
    for report in reports(&device, Words, &[keys, counters], &before, &any_step()) {
        assert!(report.passes(), "{report:?}");
    }
}

#[test]
fn dropout_of_any_size() {
    let Some(device) = common::gpu() else { return };
    for (rows, len) in [(1, 1), (1, 3), (64, 4), (5, 13), (1, 10_007), (65_537, 65)] {
        // At 0.99, flushed subnormals are multiplied by a hundred.
        for probability in [0.3, 0.99] {
            check_random(
                &device,
                Dropout {
                    area: 1,
                    rows,
                    len,
                    probability,
                    stream: 2,
                },
            );
        }
    }
}

/// Dropped values become 0, whatever they were; kept NaNs, infinities and zeros are unchanged.
#[test]
fn dropout_of_nan_and_infinity() {
    let Some(device) = common::gpu() else { return };
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0].repeat(16);
    for len in [64, 63] {
        for probability in [0.0, 0.5] {
            let op = Dropout {
                area: 1,
                rows: 1,
                len,
                probability,
                stream: 0,
            };
            check(&device, op, &[common::words(&values[..len])], &any_step());
        }
    }
}

/// The adapter drops the same elements as the reference, in any step of any run.
#[test]
fn masks_match_the_reference_in_many_steps() {
    let Some(device) = common::gpu() else { return };
    let mut generator = common::generator(5);
    let mut plan = Builder::new(false);
    let mut inputs = Vec::new();
    let (rows, ones) = (3, 1f32.to_bits());
    for (number, probability) in [0.0f32, 1e-9, 0.1, 0.5, 0.999, 1.0 - f32::EPSILON]
        .into_iter()
        .enumerate()
    {
        let (len, stream) = (341 + number, number as u32);
        let mut tensor = |kind: &str| {
            let name = format!("{kind}{number}");
            plan.tensor(&name, [rows * len], plan::Element::F32, Role::Input)
                .unwrap()
        };
        let (input, output) = (tensor("input"), tensor("output"));
        let op = Dropout {
            area: 1,
            rows,
            len,
            probability,
            stream,
        };
        plan.op(Phase::Forward, op, &[input], &[output]).unwrap();
        inputs.push((input, vec![ones; rows * len]));
    }
    wgrad::block_on(async {
        let device = device.clone().without_spot_checks();
        let mut executor = device.load(plan.finish()).await.unwrap();
        for (tensor, words) in inputs {
            executor.write_words(tensor, &words).unwrap();
        }
        let Executor::Gpu(gpu) = &mut executor else {
            panic!("the device is no adapter");
        };
        for _ in 0..100 {
            let step = Step::new(0, 1, 0, 0.1);
            let step = step.at(generator.random(), generator.random());
            let step = step.seed(generator.random());
            for report in lockstep(gpu, &[Phase::Forward], &step).await.unwrap() {
                assert!(report.passes(), "{step:?}: {report:?}");
            }
        }
    });
}

#[test]
fn dropout_of_planes_of_any_size() {
    let Some(device) = common::gpu() else { return };
    for (rows, len, area) in [(1, 3, 3), (3, 30, 5), (2, 10_007, 10_007), (5, 65_536, 4)] {
        let op = Dropout {
            rows,
            len,
            probability: 0.4,
            area,
            stream: 1,
        };
        check_random(&device, op);
    }
}

/// In training a plane is zero or scaled as a whole; in inference nothing changes.
#[test]
fn whole_planes_are_dropped() {
    let Some(gpu) = common::gpu() else { return };
    let model = Sequential::new()
        .with(Dropout2d::new(0.5))
        .with(Flatten)
        .with(Linear::new(2));
    let training = Training::new([8, 3, 3], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(4);
    for device in [gpu, Device::cpu()] {
        wgrad::block_on(async {
            let mut session = Session::new(&device, &model, &training, 7).await.unwrap();
            session.set_batch(&[1.5; 288], &[0; 4]).unwrap();
            session.forward().unwrap();
            let found = session.read("0.output").await.unwrap();
            let planes = found.chunks(9);
            let dropped = planes.filter(|plane| **plane == [0.0; 9]).count();
            let kept = found.chunks(9).filter(|plane| **plane == [3.0; 9]).count();
            assert_eq!(dropped + kept, 32, "{device}: {found:?}");
            assert!((8..=24).contains(&dropped), "{device}: {dropped}");
            session.infer().unwrap();
            assert_eq!(session.read("0.output").await.unwrap(), [1.5; 288]);
        });
    }
}
