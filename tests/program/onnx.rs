//! Exports every model as an ONNX file. `scripts/check_onnx.py` runs the files in onnxruntime,
//! `checks/onnx` in tract, and both compare the outputs with those that are written here.

use std::fs;

use wgrad::data::{Arrays, Data, Values};
use wgrad::graph::Graph;
use wgrad::nn::ModelFile;
use wgrad::shape::Shape;
use wgrad::{Checkpoint, Config, Device, Loss, Predictor, Reduction, Sgd, Trainer, block_on};

use crate::{stdout, workplace};

/// Layers that no built-in model has.
const OTHERS: &str = r#"
input = [4, 9, 11]
layers = [
    { layer = "Conv2d", out = 8, kernel = [3, 2], padding = [0, 1, 2, 0], dilation = [2, 1], groups = 2 },
    { layer = "GroupNorm", groups = 4, name = "a" },
    { layer = "Conv2d", out = 8, kernel = 3, padding = "same", bias = false },
    { layer = "LayerNorm", shape = [12] },
    "SiLU",
    { layer = "SqueezeExcitation", squeezed = 3 },
    { layer = "Multiply", with = "a" },
    { layer = "Upsample", size = [13, 20], mode = "bilinear" },
    { layer = "GELU", approximate = "tanh" },
    { layer = "AvgPool2d", kernel = 3, stride = 2, padding = 1, count_padding = false },
    { layer = "ConvTranspose2d", out = 6, kernel = 3, stride = 2, padding = 1, output_padding = 1, groups = 2 },
    { layer = "LeakyReLU", slope = 0.2 },
    { layer = "Upsample", scale = 2, mode = "nearest" },
    { layer = "Dropout2d", p = 0.5 },
    { layer = "GroupNorm", groups = 3, affine = false },
    { layer = "AdaptiveAvgPool2d", out = [5, 3] },
    "GELU",
    "Softmax",
    "Flatten",
    { layer = "Linear", out = 7 },
    { layer = "LayerNorm", affine = false },
    "Tanh",
]
"#;

/// Numbers that look random, from 0 to below 1.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |at: usize| ((at * 7919 + seed * 104_729 + at * at % 613) % 1009) as f32 / 1009.0;
    (0..count).map(number).collect()
}

/// A checkpoint after a training step, which leaves no statistics and biases at zero.
fn trained(model: &ModelFile) -> Checkpoint {
    let sample = model.input().clone();
    let graph = Graph::inference(model, sample.clone(), 1).unwrap();
    let output = graph.value(graph.logits()).shape.dims()[1..].to_vec();
    let count = |dims: &[usize]| 4 * dims.iter().product::<usize>();
    let inputs = Values::Floats(numbers(count(sample.dims()), 1));
    let targets = Values::Floats(numbers(count(&output), 2));
    let arrays = Arrays::new(sample, inputs).unwrap();
    let data = Data::new(arrays.numbers(Shape::new(output), targets).unwrap());
    let config = Config::new(Loss::Mse(Reduction::Mean), Sgd::new(0.01)).batch_size(4);
    let config = config.normalization(wgrad::nn::Normalize::new(
        vec![0.4; model.input().dims()[0]],
        vec![0.3; model.input().dims()[0]],
    ));
    block_on(async {
        let mut trainer = Trainer::new(&Device::cpu(), model, data, config)
            .await
            .unwrap();
        trainer.train_epoch(|_| {}).await.unwrap();
        trainer.checkpoint().await.unwrap()
    })
}

/// Whether batch norms are in the file: they are folded, unless that is not wanted.
fn is_left(options: &str, checkpoint: &Checkpoint) -> bool {
    options == "--no-fold" && checkpoint.metadata["model"].contains("batch_norm")
}

#[test]
fn every_model_is_exported() {
    let folder = workplace("onnx");
    let named = ModelFile::names().map(|name| (name, ModelFile::named(name).unwrap()));
    let all = named.chain([("others", OTHERS.parse().unwrap())]);
    for (name, model) in all {
        let checkpoint = trained(&model);
        checkpoint.save(folder.join("weights.safetensors")).unwrap();
        let rows = 3;
        let shape = [&[rows], model.input().dims()].concat();
        let images = numbers(shape.iter().product(), 3);
        let mut predictor = Predictor::from_checkpoint(&Device::cpu(), &checkpoint).unwrap();
        let expected = block_on(predictor.logits(&images)).unwrap();
        for options in ["", "--no-fold"] {
            let file = format!("{name}{options}.onnx");
            stdout(
                &folder,
                &format!("export weights.safetensors --onnx {file} {options}"),
            );
            let bytes = |values: &[f32]| bytemuck::cast_slice::<f32, u8>(values).to_vec();
            fs::write(folder.join(format!("{name}{options}.in")), bytes(&images)).unwrap();
            fs::write(
                folder.join(format!("{name}{options}.out")),
                bytes(&expected),
            )
            .unwrap();
            let written = fs::read(folder.join(&file)).unwrap();
            let text = String::from_utf8_lossy(&written);
            assert!(text.contains("logits"), "{file}");
            let has_norms = text.contains("BatchNormalization");
            assert_eq!(has_norms, is_left(options, &checkpoint), "{file}");
        }
    }
}
