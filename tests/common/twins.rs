//! The networks of `nn::models`, and the tensors of their twins in PyTorch.

use std::collections::BTreeMap;

use wgrad::graph::Graph;
use wgrad::nn::Module;
use wgrad::nn::models::{
    ResNet, UNet, autoencoder, compact, depthwise, larger, lenet5, tutorial, vgg,
};
use wgrad::plan::{Element, Role};

const DIGITS: [usize; 3] = [1, 28, 28];
const COLOURED: [usize; 3] = [3, 32, 32];

/// A network, as its twin is made.
pub struct Network {
    /// The name of its file in `models/`.
    pub file: &'static str,
    /// The name of its twin.
    pub twin: &'static str,
    pub sample: [usize; 3],
    pub classes: usize,
    pub model: Box<dyn Module>,
}

pub fn networks() -> Vec<Network> {
    type Names = [&'static str; 2];
    let network = |[file, twin]: Names, sample, classes, model| Network {
        file,
        twin,
        sample,
        classes,
        model,
    };
    let digits = |name, model| network([name; 2], DIGITS, 10, model);
    let coloured = |names: Names, model| network(names, COLOURED, 10, model);
    vec![
        digits("tutorial", Box::new(tutorial(1))),
        digits("lenet5", Box::new(lenet5(1, 10))),
        digits("compact", Box::new(compact(1, 10))),
        digits("larger", Box::new(larger(1))),
        digits("vgg", Box::new(vgg(1, 10, 0.3))),
        coloured(["resnet8", "ResNet::eight"], Box::new(ResNet::eight(3, 10))),
        coloured(
            ["resnet20", "ResNet::twenty"],
            Box::new(ResNet::twenty(3, 10)),
        ),
        coloured(
            ["resnet18", "ResNet::eighteen"],
            Box::new(ResNet::eighteen(3, 10)),
        ),
        coloured(["depthwise"; 2], Box::new(depthwise(3, 10))),
        digits("autoencoder", Box::new(autoencoder(1))),
        network(["unet", "UNet"], COLOURED, 2, Box::new(UNet::new(3, 16, 2))),
    ]
}

/// The extents of each tensor, by its name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// The tensors of each twin, by the twin's name.
pub fn twins() -> BTreeMap<String, Shapes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The tensors of a model, as they are in PyTorch's `state_dict`.
pub fn tensors(graph: &Graph) -> Shapes {
    let plan = graph.readable().unwrap();
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
    shapes.collect()
}
