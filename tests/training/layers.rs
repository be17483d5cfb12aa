//! The text forms of layers, and what they refuse.

use wgrad::graph::Graph;
use wgrad::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Dropout, Dropout2d,
    Flatten, GELU, GlobalAvgPool2d, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d, Module,
    Sequential, Softmax, SqueezeExcitation, Ties, Upsample, Var,
};
use wgrad::plan::Element;
use wgrad::shape::{Padding, Shape};

/// The graph of `layer` on a sample of that shape, between a convolution and a Linear layer.
fn graph(layer: impl Module + 'static, sample: [usize; 3]) -> wgrad::Result<Graph> {
    let model = Sequential::new()
        .with(layer)
        .with(Flatten)
        .with(Linear::new(2));
    Graph::inference(&model, sample, 3)
}

/// What refuses `layer` on (3, 4, 6, 5).
fn refusal(layer: impl Module + 'static) -> String {
    graph(layer, [4, 6, 5]).unwrap_err().to_string()
}

/// Each line's function and options, whose text is read back as the same graph.
fn functions(graph: &Graph) -> Vec<String> {
    let text = graph.to_string();
    let shapes: Vec<(String, Shape)> = graph
        .values()
        .map(|id| (graph.value(id).name.clone(), graph.value(id).shape.clone()))
        .collect();
    let shape_of = |name: &str| {
        let found = shapes.iter().find(|(own, _)| own == name)?;
        Some((found.1.clone(), Element::F32))
    };
    let read = Graph::read(&text, 3, shape_of).unwrap();
    assert_eq!(read.to_string(), text);
    for (own, other) in graph.nodes().zip(read.nodes()) {
        let shape = |graph: &Graph, node| graph.value(graph.node(node).output).shape.clone();
        assert_eq!(shape(graph, own), shape(&read, other));
    }
    text.lines().skip(1).map(str::to_owned).collect()
}

/// The first line and the output's shape of `layer` on (3, 4, 6, 5).
fn first(layer: impl Module + 'static) -> (String, Shape) {
    let graph = graph(layer, [4, 6, 5]).unwrap();
    let line = functions(&graph).swap_remove(0);
    let node = graph.nodes().next().unwrap();
    (line, graph.value(graph.node(node).output).shape.clone())
}

/// Reads options of `function` on images of (4, 6, 5).
fn read(function: &str) -> wgrad::Result<Graph> {
    let text = format!("images (4, 6, 5)\n0 = {function}\n1 = flatten(0)");
    Graph::read(&text, 3, |_| None)
}

#[test]
fn upsampling_has_a_text_form_and_refuses_impossible_sizes() {
    assert_eq!(
        first(Upsample::by((2, 3))),
        (
            "0 = upsample(images) scale 2×3, mode nearest".to_owned(),
            [3, 4, 12, 15].into()
        )
    );
    assert_eq!(
        first(Upsample::to((3, 9)).bilinear()),
        (
            "0 = upsample(images) size 3×9, mode bilinear".to_owned(),
            [3, 4, 3, 9].into()
        )
    );
    for wrong in [
        "scale 2×2",
        "scale 2×2, mode cubic",
        "mode nearest",
        "size 2, mode nearest",
    ] {
        let line = read(&format!("upsample(images) {wrong}")).unwrap_err();
        assert!(line.to_string().contains("line 2"), "{line}");
    }
    assert_eq!(
        refusal(Upsample::by((0, 2))),
        "0: Upsample(by 0×2): output size: expected at least 1×1, got 0×10"
    );
    assert_eq!(
        refusal(Upsample::to((7, usize::MAX))),
        format!(
            "0: Upsample(to 7×{}): output size: expected extents whose common multiple is at most \
             1073741824, got 5 to {}",
            usize::MAX,
            usize::MAX
        )
    );
    let features = Sequential::new().with(Flatten).with(Upsample::by(2));
    assert_eq!(
        refusal(features),
        "0.1: Upsample(by 2×2): expected (N, C, H, W), got (3, 120)"
    );
}

/// Channels of values of other extents.
#[derive(Debug)]
struct Joined;

impl Module for Joined {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.concat(&[x.apply("conv", &Conv2d::new(4, 2, 3))?])
    }
}

#[test]
fn concatenation_has_a_text_form_and_refuses_other_extents() {
    let grow = Concat::new()
        .branch(Sequential::new())
        .branch(Sequential::new().with(Conv2d::new(4, 2, 1).bias(false)));
    let graph = graph(grow, [4, 6, 5]).unwrap();
    assert_eq!(
        functions(&graph)[..2],
        [
            "0.1.0 = convolution(images, 0.1.0.weight) kernel 1×1, stride 1×1, padding 0×0",
            "0.concat = concat(images, 0.1.0)"
        ]
    );
    let joined = graph.nodes().nth(1).unwrap();
    let output = &graph.value(graph.node(joined).output).shape;
    assert_eq!(*output, [3, 6, 6, 5].into());
    let line = refusal(Joined);
    assert!(
        line.ends_with(
            "Joined.concat: expected (3, 4, 6, 5) but for the number of channels, got (3, 2, 4, 3)"
        ),
        "{line}"
    );
    // Of features, and a value alone.
    let features = |text: &str| Graph::read(&format!("images (5)\n{text}"), 3, |_| None);
    let graph = features("0 = concat(images, images)\n1 = concat(0)").unwrap();
    assert_eq!(graph.value(graph.logits()).shape, [3, 10].into());
    assert!(features("0 = concat(images) dimension 1").is_err());
}

#[test]
fn average_pools_have_text_forms_and_refuse_impossible_options() {
    let windows = AvgPool2d::new(3).stride((2, 1)).padding((1, 0));
    let options = "kernel 3×3, stride 2×1, padding 1×0";
    assert_eq!(
        first(windows.clone()),
        (
            format!("0 = avg_pool(images) {options}, divisor window"),
            [3, 4, 3, 3].into()
        )
    );
    assert_eq!(
        first(windows.count_padding(false)).0,
        format!("0 = avg_pool(images) {options}, divisor pixels")
    );
    assert_eq!(
        first(AdaptiveAvgPool2d::new((4, 7))),
        (
            "0 = adaptive_avg_pool(images) output 4×7".to_owned(),
            [3, 4, 4, 7].into()
        )
    );
    assert_eq!(
        first(GlobalAvgPool2d),
        (
            "0 = global_avg_pool(images)".to_owned(),
            [3, 4, 1, 1].into()
        )
    );
    for wrong in [
        format!("avg_pool(images) {options}"),
        format!("avg_pool(images) {options}, divisor 9"),
        "adaptive_avg_pool(images)".to_owned(),
        "global_avg_pool(images) output 1×1".to_owned(),
    ] {
        let line = read(&wrong).unwrap_err().to_string();
        assert!(line.contains("line 2"), "{wrong}: {line}");
    }
    assert_eq!(
        refusal(AvgPool2d::new(3).padding(2)),
        "0: AvgPool2d(3×3, padding 2×2): padding: expected at most half the kernel of 3×3, got 2×2"
    );
    assert_eq!(
        refusal(AvgPool2d::new((7, 1))),
        "0: AvgPool2d(7×1): expected a plane of at least 7×1 with a padding of 0×0 on each side, \
         got a plane of 6×5"
    );
    assert_eq!(
        refusal(AvgPool2d::new(2).stride((0, 1))),
        "0: AvgPool2d(2×2, stride 0×1): stride: expected at least 1×1, got 0×1"
    );
    assert_eq!(
        refusal(AdaptiveAvgPool2d::new((2, 0))),
        "0: AdaptiveAvgPool2d(2×0): output size: expected at least 1×1, got 2×0"
    );
    for pool in [
        Sequential::new().with(Flatten).with(AvgPool2d::new(1)),
        Sequential::new()
            .with(Flatten)
            .with(AdaptiveAvgPool2d::new(1)),
        Sequential::new().with(Flatten).with(GlobalAvgPool2d),
    ] {
        let line = refusal(pool);
        assert!(
            line.ends_with("expected (N, C, H, W), got (3, 120)"),
            "{line}"
        );
    }
}

#[test]
fn norms_have_text_forms_and_refuse_other_shapes() {
    let shape = || Shape::from([3, 4, 6, 5]);
    assert_eq!(
        first(GroupNorm::new(2, 4).eps(0.125)),
        (
            "0 = group_norm(images, 0.weight, 0.bias) groups 2, eps 0.125".to_owned(),
            shape()
        )
    );
    assert_eq!(
        first(GroupNorm::new(4, 4).affine(false)).0,
        "0 = group_norm(images) groups 4, eps 0.00001"
    );
    assert_eq!(
        first(LayerNorm::new([6, 5])),
        (
            "0 = layer_norm(images, 0.weight, 0.bias) shape 6×5, eps 0.00001".to_owned(),
            shape()
        )
    );
    assert_eq!(
        first(LayerNorm::new([4, 6, 5]).affine(false)).0,
        "0 = layer_norm(images) shape 4×6×5, eps 0.00001"
    );
    assert_eq!(first(Softmax), ("0 = softmax(images)".to_owned(), shape()));
    for (wrong, expected) in [
        ("group_norm(images) groups 2", "line 2"),
        ("layer_norm(images) shape 5x, eps 1", "line 2"),
        ("softmax(images) dimension 1", "line 2"),
        (
            "group_norm(images, images, images) groups 2, eps 1",
            "expected weight and bias of (4), or neither, got (3, 4, 6, 5) and (3, 4, 6, 5)",
        ),
        (
            "layer_norm(images, images) shape 5, eps 1",
            "expected weight and bias of (5), or neither, got (3, 4, 6, 5)",
        ),
    ] {
        let line = read(wrong).unwrap_err().to_string();
        assert!(line.contains(expected), "{wrong}: {line}");
    }
    assert_eq!(
        refusal(GroupNorm::new(3, 4)),
        "0: GroupNorm(3, 4): groups: expected a divisor of 4 channels, got 3"
    );
    assert_eq!(
        refusal(GroupNorm::new(0, 4)),
        "0: GroupNorm(0, 4): groups: expected a divisor of 4 channels, got 0"
    );
    assert_eq!(
        refusal(GroupNorm::new(2, 6)),
        "0: GroupNorm(2, 6): expected (N, 6, H, W) or (N, 6), got (3, 4, 6, 5)"
    );
    assert_eq!(
        refusal(GroupNorm::new(2, 4).eps(0.0)),
        "0: GroupNorm(2, 4, eps 0): eps: expected a finite number above 0, got 0"
    );
    assert_eq!(
        refusal(LayerNorm::new([4, 5])),
        "0: LayerNorm(4, 5): expected (N, …, 4, 5), got (3, 4, 6, 5)"
    );
    assert_eq!(
        refusal(LayerNorm::new([5]).eps(f32::NAN)),
        "0: LayerNorm(5, eps NaN): eps: expected a finite number above 0, got NaN"
    );
}

/// A value times another of that shape.
#[derive(Debug)]
struct Scaled(Conv2d);

impl Module for Scaled {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.mul(x.apply("conv", &self.0)?)
    }
}

#[test]
fn products_have_a_text_form_and_refuse_other_shapes() {
    let graph = graph(SqueezeExcitation::new(4, 2), [4, 6, 5]).unwrap();
    let lines = functions(&graph);
    assert_eq!(lines[0], "0.avgpool = global_avg_pool(images)");
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" = multiply(images, ")),
        "{lines:?}"
    );
    assert!(read("multiply(images, images) factor 2").is_err());
    let all = Scaled(Conv2d::new(4, 4, (6, 5)));
    assert!(self::graph(all, [4, 6, 5]).is_ok());
    for (conv, got) in [
        (Conv2d::new(4, 4, 3), "(3, 4, 4, 3)"),
        (Conv2d::new(4, 2, (6, 5)), "(3, 2, 1, 1)"),
    ] {
        let line = refusal(Scaled(conv));
        let expected = "expected a factor of (3, 4, 6, 5), (3, 4, 1, 1) or (3, 4)";
        assert!(line.ends_with(&format!("{expected}, got {got}")), "{line}");
    }
    assert_eq!(
        refusal(SqueezeExcitation::new(5, 2)),
        "0.fc1: Conv2d(5 → 2, 1×1): expected (N, 5, H, W), got (3, 4, 1, 1)"
    );
    let features = Sequential::new().with(Flatten).with(GroupNorm::new(5, 120));
    assert!(self::graph(features, [4, 6, 5]).is_ok());
}

#[test]
fn layers_print_their_options() {
    let model = Sequential::new()
        .with(
            Conv2d::new(1, 4, (3, 2))
                .stride(2)
                .padding((1, 0))
                .dilation(2)
                .groups(1)
                .bias(false),
        )
        .with(
            Conv2d::new(4, 8, 3)
                .padding(Padding::sides(0, 1, 2, 3))
                .groups(4),
        )
        .with(Conv2d::new(4, 8, 3).padding_same())
        .with(
            ConvTranspose2d::new(8, 4, 3)
                .stride(2)
                .padding(1)
                .output_padding(1)
                .groups(2),
        )
        .with(MaxPool2d::new(3).stride(2).padding(1).ties(Ties::All))
        .with(AvgPool2d::new(2).stride(1).count_padding(false))
        .with(BatchNorm2d::new(4).eps(0.5).momentum(0.25))
        .with(Dropout::new(0.5))
        .with(Dropout2d::new(0.25))
        .with(LeakyReLU::new(0.125))
        .with(GELU::tanh())
        .with(Flatten)
        .with(Linear::new(5).in_features(7).bias(false));
    let lines = [
        "Conv2d(1 → 4, 3×2, stride 2×2, padding 1×0, dilation 2×2, no bias)",
        "Conv2d(4 → 8, 3×3, padding top 0 bottom 1 left 2 right 3, groups 4)",
        "Conv2d(4 → 8, 3×3, padding same)",
        "ConvTranspose2d(8 → 4, 3×3, stride 2×2, padding 1×1, output padding 1×1, groups 2)",
        "MaxPool2d(3×3, stride 2×2, padding 1×1, all ties)",
        "AvgPool2d(2×2, stride 1×1, of pixels)",
        "BatchNorm2d(4, eps 0.5, momentum 0.25)",
        "Dropout(0.5)",
        "Dropout2d(0.25)",
        "LeakyReLU(0.125)",
        "GELU(tanh)",
        "Flatten",
        "Linear(7 → 5, no bias)",
    ];
    assert_eq!(model.to_string().lines().collect::<Vec<_>>(), lines);
}
