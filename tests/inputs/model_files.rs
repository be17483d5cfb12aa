//! Models from TOML files: those that are built in, and all that a file can say.

use wgrad::graph::Graph;
use wgrad::nn::{ModelFile, Module};

use crate::common::twins::{networks, tensors, twins};

/// Each node's function and options, without names.
fn functions(graph: &Graph) -> Vec<String> {
    let text = graph.to_string();
    let function = |line: &str| {
        let (_, function) = line.split_once(" = ").unwrap();
        let (name, rest) = function.split_once('(').unwrap();
        let (inputs, options) = rest.split_once(')').unwrap();
        format!("{name} of {}{options}", inputs.split(", ").count())
    };
    text.lines().skip(1).map(function).collect()
}

#[test]
fn built_in_files_are_the_models_of_that_name() {
    let (networks, mut twins) = (networks(), twins());
    for name in ModelFile::names() {
        let network = networks
            .iter()
            .find(|network| network.file == name)
            .unwrap();
        let file = ModelFile::named(name).unwrap();
        assert_eq!(*file.input(), network.sample.into(), "{name}");
        let file = file.with_classes(network.classes);
        let graph = |model: &dyn Module| Graph::inference(model, network.sample, 2).unwrap();
        let own = graph(&file);
        assert_eq!(
            functions(&own),
            functions(&graph(&*network.model)),
            "{name}"
        );
        assert_eq!(Some(tensors(&own)), twins.remove(network.twin), "{name}");
    }
    assert!(twins.is_empty(), "without a file: {:?}", twins.keys());
}

#[test]
fn every_layer_and_option_is_read() {
    let file: ModelFile = r#"
input = [3, 16, 16]
classes = 7

[[layers]]
layer = "Normalize"
name = "normal"
means = [0.5, 0.5, 0.5]
deviations = [1, 0.25, 0.5]

[[layers]]
layer = "Conv2d"
out = 8
kernel = [3, 1]
stride = 1
padding = [1, 1, 0, 0]
dilation = [1, 1]
groups = 1
bias = false
init = "xavier_uniform"

[[layers]]
layer = "GroupNorm"
groups = 2
eps = 0.001
affine = false

[[layers]]
layer = "GELU"
approximate = "tanh"

[[layers]]
layer = "Conv2d"
out = 8
kernel = 3
padding = "same"
init = 0.01

[[layers]]
layer = "LeakyReLU"

[[layers]]
layer = "SqueezeExcitation"
squeezed = 2
name = "se"

[[layers]]
layer = "ConvTranspose2d"
out = "channels"
kernel = 2
stride = 2
output_padding = [1, 0]

[[layers]]
layer = "LayerNorm"
shape = [33, 32]

[[layers]]
layer = "AdaptiveAvgPool2d"
out = [16, 16]

[[layers]]
layer = "Multiply"
with = "input"

[[layers]]
layer = "AvgPool2d"
kernel = 3
stride = 2
padding = 1
count_padding = false
name = "small"

[[layers]]
layer = "MaxPool2d"
from = "10"
kernel = 2
ties = "all"

[[layers]]
layer = "Concat"
from = "small"
with = ["small", "12"]

[[layers]]
layer = "BatchNorm2d"
eps = 0.01
momentum = 0.5

[[layers]]
layer = "Upsample"
scale = 2
mode = "bilinear"

[[layers]]
layer = "Upsample"
size = [5, 6]

[[layers]]
layer = "Dropout2d"
p = 0.25

[[layers]]
layer = "Flatten"

[[layers]]
layer = "Linear"
out = "classes"
bias = false
"#
    .parse()
    .unwrap();
    let graph = Graph::inference(&file, file.input().clone(), 2).unwrap();
    let lines: Vec<String> = graph.to_string().lines().map(str::to_owned).collect();
    let starts = [
        "images (3, 16, 16)",
        "normal = normalize(images) mean 0.5 0.5 0.5, deviation 1 0.25 0.5",
        "1 = convolution(normal, 1.weight) kernel 3×1, stride 1×1, padding 1×0",
        "2 = group_norm(1) groups 2, eps 0.001",
        "3 = gelu(2) approximation tanh",
    ];
    assert_eq!(&lines[..5], starts, "{lines:#?}");
    let output = graph.value(graph.logits());
    assert_eq!(output.shape, [2, 7].into());
    let line = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(
        line("8 = layer_norm(7, 8.weight, 8.bias) shape 33×32"),
        "{lines:#?}"
    );
    let pool = "12 = max_pool(multiply) kernel 2×2, stride 2×2, padding 0×0, ties all";
    assert!(line(pool), "{lines:#?}");
    assert!(line("small = avg_pool("), "{lines:#?}");
}

#[test]
fn a_file_is_read_and_named_in_errors() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("model.toml");
    let text = "input = [4]\nlayers = [{ layer = \"Linear\", out = 3 }]\n";
    std::fs::write(&path, text).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap().text(), text);
    std::fs::write(&path, "input = 4\n").unwrap();
    assert_eq!(
        ModelFile::read(&path).unwrap_err().to_string(),
        format!(
            "{}, line 1: input: expected a list of extents, such as [1, 28, 28], got 4",
            path.display()
        )
    );
    std::fs::remove_file(&path).unwrap();
    assert!(
        ModelFile::read(&path)
            .unwrap_err()
            .to_string()
            .contains("model.toml")
    );
}
