//! Loops longer than any count at which a driver might end them: the correct value, or a refusal.

use std::collections::BTreeMap;

use crate::common;
use wgrad::expand::Strategy;
use wgrad::graph::Graph;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Training};
use wgrad::ops::{BiasBackward, Epilogue, Gemm, Op, Operand, Product, ReduceSum, Step};
use wgrad::plan::{Builder, Phase, Plan, Port};
use wgrad::tune::Choices;
use wgrad::verify::lockstep;
use wgrad::{Device, Loss, Notices, Session, Sgd};

/// One more iteration than llvmpipe allows in the loops of an invocation.
const CUT: usize = 65_536;

fn training(features: usize) -> Training {
    Training::new([features], Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(1)
        .accumulate(false)
}

#[test]
fn a_linear_layer_counts_all_its_ones() {
    let Some(device) = common::gpu() else { return };
    for features in [CUT - 1, CUT, 600_000, (1 << 20) + 3] {
        let model = Sequential::new().with(Linear::new(1));
        let logits = wgrad::block_on(async {
            let mut session = Session::new(&device, &model, &training(features), 1).await?;
            session.write("0.weight", &vec![1.0; features])?;
            session.set_batch(&vec![1.0; features], &[0])?;
            session.forward()?;
            session.read("logits").await
        })
        .unwrap();
        println!("{device}: {features} ones: {}", logits[0]);
        assert_eq!(logits, [features as f32]);
    }
}

/// Runs a single op on ones; its outputs as floats.
fn on_ones(device: &Device, op: Box<dyn Op>) -> Vec<Vec<f32>> {
    let mut plan = Builder::new(false);
    let bindings = op.bindings();
    let (inputs, outputs) = plan.tensors_of(op.as_ref()).unwrap();
    plan.boxed_op(Phase::Forward, op, &inputs, &outputs)
        .unwrap();
    wgrad::block_on(async {
        let mut executor = device.load(plan.finish()).await?;
        for (&tensor, input) in inputs.iter().zip(&bindings.inputs) {
            executor.write(tensor, &vec![1.0; input.words])?;
        }
        executor.run(&[Phase::Forward], &[Step::new(0, 1, 0, 0.0)])?;
        let mut written = Vec::new();
        for &output in &outputs {
            written.push(executor.read(output).await?);
        }
        Ok::<_, wgrad::Error>(written)
    })
    .unwrap()
}

/// With every kernel, split or not, a product of ones counts them, and its epilogue is applied. K is
/// the shortest at which the kernel's loop is longer than llvmpipe allows; short, if it is not even
/// at the longest.
#[test]
fn every_kernel_of_a_product_counts_all_its_ones() {
    let Some(device) = common::gpu() else { return };
    let subgroups = device
        .adapter()
        .is_some_and(|adapter| adapter.has_subgroups());
    let bias = |of_rows, relu| Epilogue::Bias { of_rows, relu };
    let epilogues = [
        (Epilogue::Plain, [false, true], 0.0),
        (bias(true, true), [true, false], 1.0),
        (bias(false, false), [false, true], 1.0),
        (Epilogue::ReluGradient, [true, false], 0.0),
        (Epilogue::RowSums, [true, false], 0.0),
    ];
    for (epilogue, transposed, added) in epilogues {
        let of = |k| Product::new([64, 4, k], transposed, epilogue).variants();
        for (at, shortest) in of(CUT + 8).into_iter().enumerate() {
            if shortest.op.launch().needs_subgroups && !subgroups {
                continue;
            }
            let exceeds = |op: &dyn Op| op.launch().longest_loop > CUT as u64;
            let longest = || of(4 * CUT + 8).swap_remove(at);
            let (k, variant) = if exceeds(shortest.op.as_ref()) {
                (CUT + 8, shortest)
            } else if exceeds(longest().op.as_ref()) {
                (4 * CUT + 8, longest())
            } else {
                (4104, of(4104).swap_remove(at))
            };
            let name = format!("{} {epilogue:?}, K = {k}", variant.name);
            let written = on_ones(&device, variant.op);
            println!("{name}");
            assert!(
                written[0].iter().all(|&x| x == k as f32 + added),
                "{name}: {:?}",
                &written[0][..4]
            );
            if let Some(sums) = written.get(1) {
                assert!(
                    sums.iter().all(|&x| x == k as f32),
                    "{name}: {:?}",
                    &sums[..4]
                );
            }
        }
    }
}

#[test]
fn long_sums_are_complete() {
    let Some(device) = common::gpu() else { return };
    let long = CUT + 4464;
    let ops: [(Box<dyn Op>, usize); 5] = [
        (
            Box::new(BiasBackward {
                rows: 3,
                area: long,
            }),
            long,
        ),
        (Box::new(ReduceSum::new(long, 3)), long),
        (Box::new(ReduceSum::of_groups(2, long, 3)), long),
        (
            Box::new(Gemm::new(
                2,
                [5, 3, long],
                Operand::PLAIN,
                Operand::TRANSPOSED,
            )),
            long,
        ),
        // More parts than a second sum could add if the parts were as short as in the cases above.
        (Box::new(ReduceSum::new(5_000_000, 1)), 5_000_000),
    ];
    for (op, expected) in ops {
        let name = format!("{op:?}");
        let written = on_ones(&device, op);
        assert!(
            written[0].iter().all(|&x| x == expected as f32),
            "{name}: {:?}",
            &written[0][..1]
        );
    }
}

/// Convolution, pool and Linear on images, the network that revealed the limit.
fn network(channels: usize) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(channels, 6, 5).padding(2))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(10))
}

fn training_on(sample: [usize; 3], batch_size: usize) -> Training {
    Training::new(sample, Loss::CrossEntropy, Sgd::new(0.01))
        .batch_size(batch_size)
        .dataset(batch_size)
        .accumulate(false)
}

/// Checks all outputs of every op of a training step against their bounds. Returns whether the plan
/// ran: one that needs more than the adapter can bind is refused.
fn check(device: &Device, name: &str, plan: Plan) -> bool {
    let ran = wgrad::block_on(async {
        let mut generator = common::generator(5);
        let parameters = wgrad::nn::initial_parameters(&plan, 3)?;
        let (arena, images) = (
            plan.port(Port::Parameters)?,
            plan.port(Port::DatasetImages)?,
        );
        let (labels, order) = (plan.port(Port::DatasetTargets)?, plan.port(Port::Order)?);
        let samples = plan.tensor(order).words();
        let bytes = |len: usize, below: u32, generator: &mut _| -> Vec<u32> {
            use rand::RngExt;
            let generator: &mut rand_chacha::ChaCha8Rng = generator;
            let mut byte = || generator.random_range(0..below) as u8;
            (0..len)
                .map(|_| u32::from_le_bytes([byte(), byte(), byte(), byte()]))
                .collect()
        };
        let pixels = bytes(plan.tensor(images).words(), 256, &mut generator);
        let classes = bytes(plan.tensor(labels).words(), 10, &mut generator);
        let mut executor = device.load(plan).await?;
        executor.write(arena, &parameters)?;
        executor.write_words(images, &pixels)?;
        executor.write_words(labels, &classes)?;
        executor.write_words(order, &(0..samples as u32).collect::<Vec<_>>())?;
        let wgrad::executor::Executor::Gpu(gpu) = &mut executor else {
            panic!("no adapter")
        };
        let step = Step::new(0, samples as u32, 0, 0.01);
        for report in lockstep(gpu, &Phase::TRAIN, &step).await? {
            assert!(report.passes(), "{name}: {report:?}");
        }
        Ok::<_, wgrad::Error>(())
    });
    match ran {
        Err(wgrad::Error::Limit { name: limit, .. }) => {
            println!("{name}: refused by {limit}");
            false
        }
        ran => {
            ran.unwrap();
            println!("{name}: right");
            true
        }
    }
}

/// For each kernel name that the plan's products offer: `choices`, with that kernel wherever it is
/// available.
fn products(plan: &Plan, choices: &Choices) -> BTreeMap<String, Choices> {
    let mut each = BTreeMap::new();
    for node in plan.nodes() {
        for variant in node.op.variants() {
            let choices = each
                .entry(variant.name.clone())
                .or_insert_with(|| choices.clone());
            let key = node.op.choice().expect("a text for ops with variants");
            choices.ops.insert(key, variant.name);
        }
    }
    each
}

/// Batches beyond the limit, with the readable plan, with columns and with the data set read in
/// place. `WGRAD_LARGE=1` adds larger batches, the other convolution kernels, and every kernel of
/// products.
#[test]
fn large_batches_and_images_pass_in_lockstep() {
    let Some(device) = common::gpu() else { return };
    let all = std::env::var_os("WGRAD_LARGE").is_some();
    let batches: &[usize] = if all { &[512, 1024, 4096] } else { &[512] };
    let mut sizes: Vec<_> = batches.iter().map(|&batch| ([1, 28, 28], batch)).collect();
    sizes.push(([3, 224, 224], if all { 8 } else { 4 }));
    let strategies = match all {
        true => &Strategy::OF_CONVOLUTION[..],
        false => &[Strategy::Columns, Strategy::Gathered],
    };
    // Verification compares all outputs anyway.
    let device = device.without_spot_checks();
    for (sample, batch) in sizes {
        let model = network(sample[0]);
        let graph = Graph::training(&model, &training_on(sample, batch)).unwrap();
        let size = format!("{sample:?} × {batch}");
        // Kernels that write no columns fit any adapter.
        let must_run = |kernel| batch < 4096 || kernel == Some(Strategy::Implicit);
        let ran = check(
            &device,
            &format!("{size}, readable"),
            graph.readable().unwrap(),
        );
        assert!(ran || !must_run(None));
        for &kernel in strategies {
            let choices = Choices {
                layers: graph.all_by(kernel),
                ..Choices::default()
            };
            let fused = graph.fast(&choices.layers).unwrap();
            for (name, choices) in products(&fused, &choices).into_iter().filter(|_| all) {
                let mut choices = choices;
                let fused = choices.apply(&device, &graph, &mut Notices::default());
                let ran = check(
                    &device,
                    &format!("{size}, {kernel}, {name}"),
                    fused.unwrap(),
                );
                assert!(ran || !must_run(Some(kernel)));
            }
            let ran = check(&device, &format!("{size}, {kernel}"), fused);
            assert!(ran || !must_run(Some(kernel)));
        }
    }
}

/// However low the adapter's limit, the results are correct, or the plan is refused by op, size and
/// limit.
#[test]
fn with_a_shorter_limit_plans_are_correct_or_refused() {
    let Some(device) = common::gpu() else { return };
    for longest in [200, 1000, 5000] {
        let short = device
            .clone()
            .with_longest_loop(longest)
            .without_spot_checks();
        let graph = Graph::training(&network(1), &training_on([1, 28, 28], 48));
        let plan = graph.unwrap().readable().unwrap();
        assert!(check(
            &short,
            &format!("at most {longest} iterations"),
            plan
        ));
    }
    let short = device.with_longest_loop(3);
    let error = wgrad::block_on(async {
        let plan = Graph::training(&network(1), &training_on([1, 28, 28], 8))?.readable()?;
        short.load(plan).await.map(drop)
    })
    .unwrap_err()
    .to_string();
    println!("{error}");
    assert!(
        error.contains("iterations of an invocation's loops, but "),
        "{error}"
    );
    assert!(
        error.ends_with("offers 3 (longest loop, as measured)"),
        "{error}"
    );
}

/// A batch may have more rows than the data set has samples.
#[test]
fn batches_larger_than_the_data_set_pass_their_checks() {
    let Some(device) = common::gpu() else { return };
    let training = training_on([1, 28, 28], 64).dataset(5);
    let mut model = network(1);
    for kernel in [Strategy::Gathered, Strategy::Columns] {
        let graph = Graph::training(&model, &training).unwrap();
        for plan in [graph.readable(), graph.fast(&graph.all_by(kernel))] {
            let plan = plan.unwrap();
            wgrad::block_on(device.load(plan)).unwrap();
        }
        model = common::tutorial_model();
    }
}
