//! What is said of TOML files that do not describe a model.

use proptest::prelude::*;
use wgrad::graph::Graph;
use wgrad::nn::ModelFile;

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
        "model: expected a .toml file, or one of tutorial, lenet5, compact, larger, vgg, resnet8, resnet20, resnet18, \
         depthwise, autoencoder, unet, got `resnet9`; did you mean `resnet8`?"
    );
}
