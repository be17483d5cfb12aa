//! Weights from PyTorch.

use std::path::Path;

use wgrad::Checkpoint;
use wgrad::nn::Normalize;

use crate::{run, stdout, workplace};

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    path.join(name).display().to_string()
}

/// What `torch.save` wrote, in a dictionary beside other things, holds the arrays that safetensors
/// wrote; with their model and classes, pictures can be predicted.
#[test]
fn a_state_dict_becomes_a_checkpoint() {
    let folder = workplace("imported");
    let weights = golden("torch_nested.pt");
    let classes = "a,b,c,d,e,f,g,h,i,j";
    let text = stdout(
        &folder,
        &format!(
            "import {weights} --key state_dict --model tutorial --classes {classes} \
             --means 0.1307 --deviations 0.3081 --output torch.safetensors"
        ),
    );
    assert_eq!(text, "wrote 6 tensors to torch.safetensors\n");
    let imported = Checkpoint::load(folder.join("torch.safetensors")).unwrap();
    let expected = Checkpoint::load(golden("torch_state.safetensors")).unwrap();
    assert_eq!(imported.tensors, expected.tensors);
    let normalize = Normalize::new([0.1307], [0.3081]);
    assert_eq!(imported.normalization().unwrap(), Some(normalize));
    let text = stdout(
        &folder,
        "predict torch.safetensors pictures/red/00.png --device cpu --top 10",
    );
    assert!(
        classes
            .split(',')
            .all(|class| text.contains(&format!(" {class} "))),
        "{text}"
    );
}

#[test]
fn safetensors_can_be_imported_too() {
    let folder = workplace("imported_safetensors");
    let weights = golden("torch_state.safetensors");
    stdout(
        &folder,
        &format!("import {weights} --model tutorial --output torch.safetensors"),
    );
    stdout(
        &folder,
        "predict torch.safetensors pictures/red --device cpu",
    );
    stdout(&folder, "export torch.safetensors --onnx torch.onnx");
}

#[test]
fn other_weights_are_refused() {
    let folder = workplace("not_imported");
    let [nested, flat] = ["torch_nested.pt", "torch_state.safetensors"].map(golden);
    std::fs::write(folder.join("no.pt"), "no weights").unwrap();
    let key = "--key state_dict --output x.safetensors";
    for (arguments, expected) in [
        (
            format!("{nested} --model tutorial --output x.safetensors"),
            "got no such tensor; the first is state_dict.0.bias",
        ),
        (
            format!("{nested} --model lenet5 {key}"),
            "weights: expected 0.weight (6, 1, 5, 5), got 0.weight (4, 1, 3, 3)",
        ),
        (
            format!("{flat} --model tutorial --classes a,b --output x.safetensors"),
            "weights: expected 6.weight (2, 32), got 6.weight (10, 32)",
        ),
        (
            format!("no.pt --model tutorial {key}"),
            "no.pt: expected a state_dict that torch.save wrote",
        ),
        (
            format!("nowhere.pt --model tutorial {key}"),
            "nowhere.pt: No such file",
        ),
        (
            format!("{nested} --key weights --model tutorial --output x.safetensors"),
            "expected a state_dict that torch.save wrote",
        ),
        (
            format!("{nested} --model tutorial --means 0.5 {key}"),
            "--deviations",
        ),
    ] {
        let output = run(&folder, &format!("import {arguments}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(
            text.contains(expected) && text.lines().count() == 1,
            "{arguments}: {text}"
        );
    }
    assert!(!folder.join("x.safetensors").exists());
}
