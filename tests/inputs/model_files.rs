//! Models from TOML files: those that are built in, and what is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wgrad::graph::Graph;
use wgrad::nn::models::{
    ResNet, UNet, autoencoder, compact, depthwise, larger, lenet5, tutorial, vgg,
};
use wgrad::nn::{ModelFile, Module};
use wgrad::plan::{Element, Role};

/// The model of that name in Rust, the name of its twin in PyTorch, and the file for that twin.
fn twin(name: &str) -> (Box<dyn Module>, &str, ModelFile) {
    let file = ModelFile::named(name).unwrap();
    let (model, twin): (Box<dyn Module>, _) = match name {
        "tutorial" => (Box::new(tutorial(1)), name),
        "lenet5" => (Box::new(lenet5(1, 10)), name),
        "compact" => (Box::new(compact(1, 10)), name),
        "larger" => (Box::new(larger(1)), name),
        "vgg" => (Box::new(vgg(1, 10, 0.3)), name),
        "resnet8" => (Box::new(ResNet::eight(3, 10)), "ResNet::eight"),
        "resnet20" => (Box::new(ResNet::twenty(3, 10)), "ResNet::twenty"),
        "resnet18" => (Box::new(ResNet::eighteen(3, 10)), "ResNet::eighteen"),
        "depthwise" => (Box::new(depthwise(3, 10)), name),
        "autoencoder" => (Box::new(autoencoder(1)), name),
        "unet" => (Box::new(UNet::new(3, 16, 2)), "UNet"),
        _ => panic!("{name} has no twin"),
    };
    let classes = if name == "unet" { 2 } else { 10 };
    (model, twin, file.with_classes(classes))
}

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
    type Shapes = BTreeMap<String, Vec<usize>>;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut twins: BTreeMap<String, Shapes> = serde_json::from_str(&text).unwrap();
    for name in ModelFile::names() {
        let (model, twin, file) = twin(name);
        let graph = |model: &dyn Module| Graph::inference(model, file.input().clone(), 2);
        let own = graph(&file).unwrap();
        assert_eq!(
            functions(&own),
            functions(&graph(&*model).unwrap()),
            "{name}"
        );
        let plan = own.readable().unwrap();
        let parameters = plan.parameters().map(|(_, tensor)| tensor);
        let states = plan.tensors_of(Role::State).map(|(_, tensor)| tensor);
        let shapes = parameters.chain(states).map(|tensor| {
            // A counter is a number in PyTorch.
            let extents = match tensor.element {
                Element::F32 => tensor.shape.dims().to_vec(),
                Element::U32 | Element::U8 => vec![],
            };
            (tensor.name.clone(), extents)
        });
        assert_eq!(Some(shapes.collect()), twins.remove(twin), "{name}");
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

/// What is said of a model with these lines in place of its second layer, on the lines from 4 on.
fn refusal(layer: &str) -> String {
    let text = format!(
        "input = [3, 8, 8]\nlayers = [\n{{ layer = \"Conv2d\", name = \"first\", out = 4, kernel = 3 }},\n{layer},\n]\n"
    );
    let file = text.parse::<ModelFile>();
    let recorded = file.and_then(|file| Graph::inference(&file, file.input().clone(), 2));
    recorded.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let place = "model file, line 4: ";
    for (layer, expected) in [
        (
            r#""Conv2D""#,
            "layer: expected the name of a layer, got `Conv2D`; did you mean `Conv2d`?",
        ),
        (
            r#""Recurrent""#,
            "layer: expected the name of a layer, got `Recurrent`",
        ),
        (
            "{ out = 4 }",
            "layer: expected the name of a layer, got { out = 4 }",
        ),
        (
            "{ layer = 3 }",
            "layer: expected the name of a layer, got 3",
        ),
        ("3", "layer: expected the name of a layer, got 3"),
        (
            r#"{ layer = "ReLU", slope = 1 }"#,
            "ReLU: expected one of layer, name, from, got `slope`",
        ),
        (
            r#"{ layer = "Conv2d", out = 4, kernal = 3 }"#,
            "Conv2d: expected one of layer, name, from, out, kernel, stride, padding, dilation, groups, \
             bias, init, got `kernal`; did you mean `kernel`?",
        ),
        (
            r#"{ layer = "Conv2d", out = 4 }"#,
            "Conv2d kernel: expected a number, or [height, width], got nothing",
        ),
        (
            r#"{ layer = "Conv2d", out = 4, kernel = [3] }"#,
            "Conv2d kernel: expected a number, or [height, width], got [3]",
        ),
        (
            r#"{ layer = "Conv2d", out = -4, kernel = 3 }"#,
            r#"Conv2d out: expected a number, "classes" or "channels", got -4"#,
        ),
        (
            r#"{ layer = "Linear", out = "class" }"#,
            r#"Linear out: expected a number, "classes" or "channels", got "class""#,
        ),
        (
            r#"{ layer = "Conv2d", out = 4, kernel = 3, padding = "some" }"#,
            "Conv2d padding: expected a number, [height, width], [top, bottom, left, right], or \
             \"same\", got \"some\"",
        ),
        (
            r#"{ layer = "Conv2d", out = 4, kernel = 3, bias = 1 }"#,
            "Conv2d bias: expected true or false, got 1",
        ),
        (
            r#"{ layer = "Linear", out = 4, init = "lecun" }"#,
            "Linear init: expected a number, or one of he_normal, he_uniform, xavier_normal, \
             xavier_uniform, pytorch, got \"lecun\"",
        ),
        (
            r#"{ layer = "Dropout" }"#,
            "Dropout p: expected a probability, got nothing",
        ),
        (
            r#"{ layer = "Upsample", scale = 2, size = 3 }"#,
            "Upsample size: expected nothing beside a scale, got 3",
        ),
        (
            r#"{ layer = "Upsample", mode = "nearest" }"#,
            "Upsample scale: expected a scale or a size, got nothing",
        ),
        (
            r#"{ layer = "Upsample", scale = 2, mode = "cubic" }"#,
            "Upsample mode: expected \"nearest\" or \"bilinear\", got \"cubic\"",
        ),
        (
            r#"{ layer = "GELU", approximate = "erf" }"#,
            "GELU approximate: expected \"none\" or \"tanh\", got \"erf\"",
        ),
        (
            r#"{ layer = "ReLU", name = "first" }"#,
            "ReLU name: expected a name that no other layer has, got \"first\"",
        ),
        (
            r#"{ layer = "ReLU", from = "frist" }"#,
            "ReLU from: expected the name of an earlier layer, got `frist`; did you mean `first`?",
        ),
        (
            r#"{ layer = "Add" }"#,
            "Add with: expected a name, or a list of names, got nothing",
        ),
        (
            r#"{ layer = "Concat", with = ["first", "third"] }"#,
            "Concat with: expected the name of an earlier layer, got `third`",
        ),
    ] {
        assert_eq!(refusal(layer), format!("{place}{expected}"), "{layer}");
    }
    // A table of its own: the line of the key.
    let own = "input = [3, 8, 8]\n[[layers]]\nlayer = \"Dropout\"\n\np = \"half\"\n";
    let error = own.parse::<ModelFile>().unwrap_err().to_string();
    assert_eq!(
        error,
        "model file, line 5: Dropout p: expected a probability, got \"half\""
    );
    for (text, expected) in [
        (
            "",
            "line 1: input: expected a list of extents, such as [1, 28, 28], got nothing",
        ),
        (
            "input = [1, 28, 28]\nlayer = []",
            "line 2: expected one of classes, input, layers, got `layer`; did you mean `layers`?",
        ),
        (
            "input = [1]\n\nlayers = 3",
            "line 3: layers: expected a list of layers, got 3",
        ),
        (
            "input = [1]\nlayers = []",
            "line 1: layers: expected at least one, got none",
        ),
        ("input = [1]\nclasses = ten", "line 2: expected TOML, got "),
    ] {
        let error = text.parse::<ModelFile>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("model file, {expected}")),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn hostile_files_are_errors_of_one_line(
        layer in "(Conv2d|Linear|Concat|Upsample|ReLU|Flatten|x)",
        rest in "(, [a-z]{1,7} = (-?[0-9]{1,22}|[a-z]{1,4}|\"[^\n]{0,5}\"|\\[[0-9, -]{0,9}\\])){0,3}",
        end in "[ -~\n×é]{0,8}",
    ) {
        let text = format!("input = [1, 9, 9]\nlayers = [{{ layer = \"{layer}\"{rest} }}]{end}");
        let file = text.parse::<ModelFile>();
        let recorded = file.and_then(|file| Graph::inference(&file, file.input().clone(), 2));
        if let Err(error) = recorded {
            prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_name_the_layer() {
    assert_eq!(
        refusal(r#"{ layer = "Add", with = "input" }"#),
        "1: Add: expected two tensors of (2, 4, 6, 6), got (2, 3, 8, 8)"
    );
    assert_eq!(
        refusal(r#"{ layer = "MaxPool2d", kernel = 9 }"#),
        "1: MaxPool2d(9×9): expected a plane of at least 9×9 with a padding of 0×0 on each side, got \
         a plane of 6×6"
    );
    let file = ModelFile::named("lenet5").unwrap();
    let error = Graph::inference(&file, [3, 28, 28], 2)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("expected (N, 1, 28, 28), got (2, 3, 28, 28)"),
        "{error}"
    );
    let colour = file.with_input([3, 28, 28]).with_classes(3);
    let graph = Graph::inference(&colour, [3, 28, 28], 2).unwrap();
    assert_eq!(graph.value(graph.logits()).shape, [2, 3].into());
    assert_eq!(
        ModelFile::named("resnet9").unwrap_err().to_string(),
        "model: expected one of tutorial, lenet5, compact, larger, vgg, resnet8, resnet20, resnet18, \
         depthwise, autoencoder, unet, got `resnet9`; did you mean `resnet8`?"
    );
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
