//! Fused plans: the same training with fewer ops and less memory, and steps that allocate nothing.

use std::collections::HashMap;

use crate::common;
use wgrad::data::Dataset;
use wgrad::executor::Executor;
use wgrad::expand::{Strategies, Strategy};
use wgrad::graph::Graph;
use wgrad::nn::Module;
use wgrad::ops::Step;
use wgrad::plan::{BufferId, Phase, Plan, Port, Role, STEPS_PER_RUN};
use wgrad::tune::{Choices, Effort};
use wgrad::verify::{Subject, built_in};
use wgrad::{Config, Device, Planning, Trainer, block_on};

fn graph(subject: &Subject) -> Graph {
    let training = subject
        .training
        .clone()
        .dataset(4 * subject.training.batch_size);
    Graph::training(subject.model.as_ref(), &training).unwrap()
}

fn ops(plan: &Plan) -> Vec<&'static str> {
    let nodes = plan.nodes_of(&Phase::TRAIN);
    nodes.map(|node| plan.nodes()[node].op.name()).collect()
}

/// The models, with readable plans.
fn subjects() -> Vec<Subject> {
    let all = built_in().into_iter();
    all.filter(|subject| subject.fused.is_none()).collect()
}

/// The fused plan of the tutorial's network: at most 12 dispatches per step.
#[test]
fn the_tutorials_network_takes_ten_ops_per_step() {
    let graph = graph(&subjects()[0]);
    assert_eq!(ops(&graph.readable().unwrap()).len(), 27);
    let plan = graph.fast(&Strategies::new()).unwrap();
    let expected = [
        "conv_pool_forward",
        "gemm_4x4",
        "gemm_4x4",
        "mse_metrics",
        "gemm_4x4_sums",
        "gemm_4x4",
        "gemm_4x4_sums",
        "gemm_4x4",
        "conv_pool_backward_weight",
        "sgd_4",
    ];
    assert_eq!(ops(&plan), expected);
}

/// With joined gradients it takes two dispatches less.
#[test]
fn the_tutorials_network_takes_eight_ops_with_joined_gradients() {
    let graph = graph(&subjects()[0]);
    let plan = graph.fast(&graph.all_by(Strategy::Joined)).unwrap();
    let expected = [
        "conv_pool_forward",
        "gemm_4x4",
        "gemm_4x4",
        "mse_metrics",
        "linear_backward",
        "linear_backward",
        "conv_pool_backward_weight",
        "sgd_4",
    ];
    assert_eq!(ops(&plan), expected);
    assert_eq!(barriers(&plan), 8);
}

/// The dispatches of a step, in a run of steps, before which wgpu sets a barrier. It tracks whole
/// buffers, and skips a barrier only if all of a dispatch's buffers were last read and are read
/// again. But each dispatch writes a buffer that the step before used, so that each waits for those
/// before it: only merged dispatches run side by side.
fn barriers(plan: &Plan) -> usize {
    let nodes: Vec<usize> = plan.nodes_of(&Phase::TRAIN).collect();
    let mut written: HashMap<BufferId, bool> = HashMap::new();
    let mut count = 0;
    for (at, &node) in nodes.iter().chain(&nodes).enumerate() {
        let node = &plan.nodes()[node];
        let mut uses: HashMap<BufferId, bool> = HashMap::new();
        for (writes, ids) in [(false, &node.inputs), (true, &node.outputs)] {
            uses.extend(ids.iter().map(|&id| (plan.tensor(id).buffer, writes)));
        }
        let waits = uses.iter().any(|(buffer, &writes)| {
            let before = written.get(buffer);
            before.is_some_and(|&wrote| wrote || writes)
        });
        count += usize::from(waits && at >= nodes.len());
        written.extend(uses);
    }
    count
}

/// Each convolution kernel leaves nothing of the ops that it replaces. Nodes that have no such kernel
/// have columns.
#[test]
fn fused_convolutions_write_no_columns() {
    for subject in subjects() {
        let graph = graph(&subject);
        for kernel in [Strategy::Implicit, Strategy::Pooled, Strategy::Gathered] {
            let convs = graph.all_by(kernel);
            let fused = graph.fast(&convs).unwrap();
            let nodes = fused.nodes().iter();
            let columns = nodes.filter(|node| node.op.name().starts_with("im2col"));
            let columns = columns.map(|node| &*fused.tensor(node.outputs[0]).name);
            let others = columns.filter(|name| !has_columns(&graph, name));
            assert_eq!(others.count(), 0, "{}: {kernel}", subject.name);
        }
    }
}

/// Whether a tensor belongs to a node for which [`Graph::strategies`] offers no choice.
fn has_columns(graph: &Graph, tensor: &str) -> bool {
    let (node, _) = tensor.rsplit_once('.').unwrap();
    !graph.strategies().iter().any(|(name, _)| name == node)
}

/// Steps on random images by each plan, on the CPU reference: f64 inside, so parameters may differ
/// by a few f32 roundings per step.
#[test]
fn fused_plans_train_like_the_readable_plan() {
    for subject in subjects() {
        let graph = graph(&subject);
        let expected = train(&Device::cpu(), graph.readable().unwrap(), &subject);
        let largest = expected.iter().fold(0f32, |max, p| max.max(p.abs()));
        for kernel in Strategy::OF_CONVOLUTION {
            let fused = graph.fast(&graph.all_by(kernel)).unwrap();
            let got = train(&Device::cpu(), fused, &subject);
            for (got, expected) in got.iter().zip(&expected) {
                let error = (got - expected).abs();
                assert!(
                    error <= 2e-6 * largest,
                    "{}, {kernel}: {got} {expected}",
                    subject.name
                );
            }
        }
    }
}

fn train(device: &Device, plan: Plan, subject: &Subject) -> Vec<f32> {
    let batch = subject.training.batch_size;
    block_on(async {
        let mut executor = device.load(plan).await.unwrap();
        let plan = executor.plan().clone();
        let classes = plan.tensor(plan.port(Port::Logits).unwrap()).shape.dims()[1];
        let arena = plan.port(Port::Parameters).unwrap();
        executor.initialise(5).unwrap();
        let random = common::random_data(4 * batch, 0).train;
        for (name, bytes) in [
            ("dataset.images", random.images.clone()),
            ("dataset.labels", random.labels.clone()),
        ] {
            let tensor = plan.find(name).unwrap();
            let cycled = bytes.into_iter().cycle();
            let modulus = if name.ends_with("labels") {
                classes as u8
            } else {
                255
            };
            let mut bytes = cycled.map(|byte| byte % modulus);
            let words = (0..plan.tensor(tensor).words())
                .map(|_| u32::from_le_bytes([(); 4].map(|()| bytes.next().unwrap_or(0))))
                .collect::<Vec<_>>();
            executor.write_words(tensor, &words).unwrap();
        }
        let order: Vec<u32> = (0..4 * batch as u32).collect();
        executor
            .write_words(plan.port(Port::Order).unwrap(), &order)
            .unwrap();
        let rate = subject.training.optimizer.learning_rate();
        let mut phases = Phase::TRAIN.to_vec();
        phases.push(Phase::ZeroGrad);
        // Every second batch is not full.
        let steps: Vec<Step> = (0..8usize)
            .map(|i| {
                Step::new(
                    (i % 4 * batch) as u32,
                    (batch - i % 2) as u32,
                    i as u32,
                    rate,
                )
            })
            .collect();
        executor.run(&phases, &steps).unwrap().wait().await.unwrap();
        executor.read(arena).await.unwrap()
    })
}

/// No two tensors that are live at once share memory, and tensors that nothing reads are dropped.
#[test]
fn live_tensors_never_share_memory() {
    for subject in subjects() {
        let graph = graph(&subject);
        let before = graph.readable().unwrap().words();
        for kernel in Strategy::OF_CONVOLUTION {
            let plan = graph.fast(&graph.all_by(kernel)).unwrap();
            assert!(plan.words() < before, "{}, {kernel}", subject.name);
            // The tensor that each buffer holds at this point of the step.
            let mut holds = HashMap::new();
            for node in plan.nodes() {
                for &id in &node.inputs {
                    let tensor = plan.tensor(id);
                    let is_transient = matches!(tensor.role, Role::Activation | Role::Scratch);
                    let at = (tensor.buffer, tensor.words());
                    if is_transient && tensor.name != "logits" {
                        let layer = |name: &str| name.split('.').next().map(str::to_owned);
                        let held: &String = &holds[&tensor.buffer];
                        let mut flattens = plan.layers().iter();
                        let view = flattens
                            .any(|l| l.layer == "Flatten" && layer(&l.name) == layer(&tensor.name))
                            || layer(held) == layer(&tensor.name);
                        assert!(
                            view,
                            "{}: {held} in the place of {} {at:?}",
                            subject.name, tensor.name
                        );
                    }
                }
                for &id in &node.outputs {
                    let tensor = plan.tensor(id);
                    holds.insert(tensor.buffer, tensor.name.clone());
                }
            }
        }
    }
}

fn trainer(device: &Device, model: &dyn Module, data: &Dataset, planning: Planning) -> Trainer {
    let tutorial = &subjects()[0];
    let config = Config::new(tutorial.training.loss.clone(), tutorial.training.optimizer)
        .seed(1)
        .planning(planning);
    block_on(Trainer::new(device, model, data, config)).unwrap()
}

fn digits(train: usize) -> Dataset {
    let data = wgrad::data::load_mnist(common::MNIST).unwrap();
    data.with_train_len(train).unwrap()
}

fn gpu_device(trainer: &mut Trainer) -> wgrad::wgpu::Device {
    match trainer.executor() {
        Executor::Gpu(gpu) => gpu.device().clone(),
        Executor::Cpu(_) => panic!("the device is no adapter"),
    }
}

/// By wgpu's own counters: after the first epoch no buffer, bind group, pipeline or module is
/// created, and the memory that wgpu has allocated is the plan's.
#[test]
fn steps_create_nothing_and_memory_matches_the_plan() {
    let Some(device) = common::gpu() else { return };
    let data = digits(960);
    for planning in [Planning::Unfused, Planning::Fused(Effort::Off)] {
        let mut trainer = trainer(&device, &common::tutorial_model(), &data, planning);
        let wgpu = gpu_device(&mut trainer);
        let counts = || {
            let hal = wgpu.get_internal_counters().hal;
            let made = [
                &hal.buffers,
                &hal.bind_groups,
                &hal.bind_group_layouts,
                &hal.compute_pipelines,
                &hal.pipeline_layouts,
                &hal.shader_modules,
            ];
            (made.map(|counter| counter.read()), hal.buffer_memory.read())
        };
        block_on(trainer.train_epoch(|_| {})).unwrap();
        let (after_first, measured) = counts();
        let step_table = 256 * STEPS_PER_RUN as isize;
        let planned = trainer.plan().words() as isize * 4 + step_table;
        // Allowance for the driver's overhead per buffer, and for wgpu's own buffers: zeros to copy
        // from, staging.
        let allowed = 4096 * trainer.plan().buffers().len() as isize + (1 << 20);
        println!("{planned} bytes planned, {measured} measured");
        // On GL wgpu does not count bytes.
        let is_counted = device
            .adapter()
            .is_some_and(|adapter| adapter.backend() != "gl");
        assert!(
            !is_counted || (planned..=planned + allowed).contains(&measured),
            "{planned} planned, {measured} measured"
        );
        assert!(after_first[0] > 0, "wgpu counts nothing");
        for _ in 0..3 {
            block_on(trainer.train_epoch(|_| {})).unwrap();
            assert_eq!(counts().0, after_first);
        }
    }
}

/// A trainer with another's choices gives the same bits; choices survive printing and parsing.
#[test]
fn the_same_choices_give_the_same_bits() {
    let Some(device) = common::gpu() else { return };
    let data = digits(320);
    let model = common::tutorial_model();
    let train = |planning| {
        let mut trainer = trainer(&device, &model, &data, planning);
        block_on(async {
            trainer.train_epoch(|_| {}).await.unwrap();
            let arena = trainer.plan().port(Port::Parameters).unwrap();
            let choices = trainer.choices().cloned().unwrap();
            let words = trainer.executor().read_words(arena).await.unwrap();
            (words, choices)
        })
    };
    let (words, choices) = train(Planning::Fused(Effort::Quick));
    let written: Choices = choices.to_string().parse().unwrap();
    assert_eq!(written, choices);
    assert!(
        choices.ops.values().any(|name| name.starts_with("gemm_")),
        "{choices}"
    );
    assert_eq!(train(Planning::Chosen(written)).0, words);
}

#[test]
fn malformed_choices_are_refused() {
    let error = "conv1".parse::<Choices>().unwrap_err().to_string();
    assert_eq!(
        error,
        "choices: expected lines of `op: kernel`, got `conv1`"
    );
}

/// Every op of a step is timed, if the adapter has timestamp queries.
#[test]
fn every_op_of_a_step_is_timed() {
    let Some(device) = common::gpu() else { return };
    let mut trainer = trainer(
        &device,
        &common::tutorial_model(),
        &digits(64),
        Planning::Fused(Effort::Off),
    );
    let count = trainer.plan().nodes_of(&Phase::TRAIN).count();
    let Executor::Gpu(gpu) = trainer.executor() else {
        panic!("the device is no adapter")
    };
    let step = Step::new(0, 32, 0, 0.0);
    let walls = block_on(gpu.profile(&Phase::TRAIN, &step)).unwrap();
    assert_eq!(walls.len(), count);
    assert!(walls.iter().all(|(_, time)| !time.is_zero()));
    match block_on(gpu.time_ops(&Phase::TRAIN, &step)).unwrap() {
        Some(times) => assert_eq!(times.len(), count),
        None => eprintln!("SKIPPED: {device} has no clock"),
    }
}
