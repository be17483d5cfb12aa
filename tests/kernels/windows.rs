//! im2col, col2im and max-pool over odd, prime, tiny and large planes; uneven strides, paddings and
//! dilations; overlapping and tied windows.

use wgrad::ops::{
    Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvPoolBackwardWeight,
    ConvPoolForward, ConvSizes, Im2col, MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward, Step,
};
use wgrad::shape::{Size2d, Window, WindowedPlanes};

use super::{any_step, check, check_random, common, outputs_of, random_inputs};

fn geometry(
    planes: usize,
    input: (usize, usize),
    kernel: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
) -> WindowedPlanes {
    let window = Window {
        stride: stride.into(),
        padding: padding.into(),
        ..Window::new(kernel)
    };
    WindowedPlanes::new(planes, Size2d::from(input), window, "test").unwrap()
}

/// Windows valid for pooling too: the padding is at most half the kernel.
fn geometries() -> Vec<WindowedPlanes> {
    vec![
        geometry(1, (1, 1), (1, 1), (1, 1), (0, 0)),
        geometry(1, (2, 2), (2, 2), (2, 2), (0, 0)),
        geometry(3, (28, 28), (3, 3), (1, 1), (0, 0)),
        geometry(5, (13, 7), (3, 2), (2, 1), (1, 0)),
        geometry(2, (7, 13), (2, 3), (1, 2), (0, 1)),
        geometry(4, (11, 17), (5, 4), (2, 3), (2, 2)),
        geometry(7, (9, 9), (3, 3), (2, 2), (1, 1)),
        geometry(2, (10, 10), (2, 2), (3, 3), (0, 0)),
        geometry(1, (1, 101), (1, 7), (1, 3), (0, 3)),
        geometry(1, (97, 1), (7, 1), (5, 1), (3, 0)),
        geometry(13, (26, 26), (2, 2), (2, 2), (0, 0)),
    ]
}

/// Padding of more than half the kernel, valid for convolution only.
fn wide_padding() -> WindowedPlanes {
    geometry(2, (5, 6), (2, 3), (1, 2), (3, 4))
}

/// Dilated filters, valid for convolution only: overlapping in rows or not, covering the plane or
/// little but the padding.
fn dilated() -> Vec<WindowedPlanes> {
    let dilated = |input, kernel, stride, padding, dilation: (usize, usize)| {
        let window = Window {
            dilation: dilation.into(),
            ..geometry(3, (99, 99), kernel, stride, padding).window
        };
        WindowedPlanes::new(3, Size2d::from(input), window, "test").unwrap()
    };
    vec![
        dilated((13, 11), (3, 3), (1, 1), (0, 0), (2, 2)),
        dilated((12, 10), (3, 3), (1, 1), (2, 2), (2, 2)),
        dilated((11, 17), (3, 2), (2, 3), (1, 0), (2, 3)),
        dilated((17, 13), (2, 4), (3, 1), (0, 5), (5, 2)),
        dilated((16, 15), (4, 3), (2, 4), (3, 1), (3, 6)),
        dilated((5, 5), (3, 3), (1, 2), (7, 8), (6, 7)),
        dilated((9, 9), (1, 1), (2, 2), (0, 0), (4, 3)),
        dilated((7, 7), (2, 2), (1, 1), (0, 0), (6, 6)),
    ]
}

/// More than 65,535 workgroups of 64, for both input and output.
fn large() -> WindowedPlanes {
    geometry(67, (257, 251), (1, 1), (1, 1), (0, 0))
}

#[test]
fn im2col() {
    let Some(device) = common::gpu() else { return };
    let all = geometries().into_iter().chain([wide_padding(), large()]);
    for geometry in all.chain(dilated()) {
        let kernels = match geometry.output_area() % 4 {
            0 => &[false, true][..],
            _ => &[false],
        };
        for &fours in kernels {
            check_random(&device, Im2col { geometry, fours });
        }
    }
}

#[test]
fn col2im() {
    let Some(device) = common::gpu() else { return };
    let all = geometries().into_iter().chain([wide_padding(), large()]);
    for geometry in all.chain(dilated()) {
        check_random(&device, Col2im { geometry });
    }
}

#[test]
fn dilated_convolution() {
    let Some(device) = common::gpu() else { return };
    for geometry in dilated() {
        let sizes = ConvSizes {
            batch: 3,
            in_channels: 1,
            out_channels: 9,
            geometry,
        };
        let forward = ConvForward {
            sizes,
            bias: true,
            relu: true,
            tile: None,
        };
        check_random(&device, forward);
        check_random(&device, ConvBackwardInput { sizes, tile: None });
        check_random(
            &device,
            ConvBackwardWeight {
                sizes,
                parts: 2,
                tile: None,
            },
        );
        assert!(!ConvPoolForward::fits(&sizes));
    }
}

#[test]
fn max_pool_forward() {
    let Some(device) = common::gpu() else { return };
    for geometry in geometries().into_iter().chain([large()]) {
        check_random(
            &device,
            MaxPoolForward {
                geometry,
                relu: false,
            },
        );
    }
}

#[test]
fn max_pool_forward_of_nan_infinity_and_equal_pixels() {
    let Some(device) = common::gpu() else { return };
    let geometry = geometry(1, (8, 8), (3, 3), (1, 1), (1, 1));
    let specials = [
        f32::NAN,
        f32::NEG_INFINITY,
        f32::INFINITY,
        -0.0,
        0.0,
        f32::from_bits(1),
        -1.0,
    ];
    for special in specials {
        for period in [1, 2, 3, 5, 64] {
            let pixels = (0..64).map(|i| if i % period == 0 { special } else { -2.0 });
            let input = common::words(&pixels.collect::<Vec<_>>());
            check(
                &device,
                MaxPoolForward {
                    geometry,
                    relu: false,
                },
                &[input],
                &any_step(),
            );
        }
    }
}

/// The forward pass's indices for random pixels, many of which tie.
fn indices(geometry: WindowedPlanes) -> Vec<u32> {
    let op = MaxPoolForward {
        geometry,
        relu: false,
    };
    let inputs = random_inputs(&op, 3);
    outputs_of(&op, &inputs, &any_step()).remove(1)
}

#[test]
fn max_pool_backward() {
    let Some(device) = common::gpu() else { return };
    for geometry in geometries().into_iter().chain([large()]) {
        let op = MaxPoolBackward {
            geometry,
            disjoint: false,
        };
        let gradients = random_inputs(&op, 5).remove(1);
        check(&device, op, &[indices(geometry), gradients], &any_step());
    }
}

#[test]
fn max_pool_backward_to_all_ties() {
    let Some(device) = common::gpu() else { return };
    for geometry in geometries() {
        let forward = MaxPoolForward {
            geometry,
            relu: false,
        };
        let input = random_inputs(&forward, 3).remove(0);
        // Few distinct values, so that nearly every window ties, and some NaN.
        let tied: Vec<u32> = input
            .iter()
            .map(|word| match word % 9 {
                0 => f32::NAN.to_bits(),
                1..4 => 0.0f32.to_bits(),
                4 => (-0.0f32).to_bits(),
                5 => 1,
                _ => 0.5f32.to_bits(),
            })
            .collect();
        let pooled = outputs_of(&forward, std::slice::from_ref(&tied), &any_step()).remove(0);
        let op = MaxPoolBackwardAll { geometry };
        let gradients = random_inputs(&op, 5).remove(2);
        check(&device, op, &[tied, pooled, gradients], &any_step());
    }
}

/// Rows that begin up to six pixels before the first one of the input, as floats or packed bytes.
#[test]
fn convolution_with_its_pool_and_padding_wider_than_the_kernel() {
    let Some(device) = common::gpu() else { return };
    for padding in 1..=6 {
        let window = Window {
            padding: (padding, padding).into(),
            ..Window::new((3, 2))
        };
        let sizes = ConvSizes {
            batch: 2,
            in_channels: 1,
            out_channels: 3,
            geometry: WindowedPlanes::new(2, (5, 7).into(), window, "wide").unwrap(),
        };
        for gathered in [None, Some(4)] {
            let forward = ConvPoolForward { sizes, gathered };
            let mut inputs = random_inputs(&forward, 7);
            if gathered.is_some() {
                inputs[3] = (0..4).collect();
            }
            let step = Step::new(0, 2, 0, 0.01);
            check(&device, forward.clone(), &inputs, &step);

            let indices = outputs_of(&forward, &inputs, &step).remove(1);
            inputs[1] = indices;
            for is_wide in [false, true] {
                let backward = ConvPoolBackwardWeight {
                    sizes,
                    gathered,
                    accumulate: false,
                    is_wide,
                };
                inputs[2] = random_inputs(&backward, 8).remove(2);
                check(&device, backward, &inputs, &step);
            }
        }
    }
}

/// On the tutorial's own example, its rule gives every pixel of a tied window the full gradient;
/// PyTorch's gives it to the first.
#[test]
fn ties_first_and_all_differ_where_pixels_tie() {
    let Some(device) = common::gpu() else { return };
    use wgrad::nn::{Flatten, Linear, MaxPool2d, Sequential, Ties, Training};
    use wgrad::{Loss, Session, Sgd};
    let gradients = |ties| {
        // A layer with parameters first, so that the pool needs an input gradient.
        let model = Sequential::new()
            .with(wgrad::nn::Conv2d::new(1, 1, 1).bias(false))
            .with(MaxPool2d::new(2).ties(ties))
            .with(Flatten)
            .with(Linear::new(2));
        let training = Training::new([1, 2, 2], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(1);
        wgrad::block_on(async {
            let mut session = Session::new(&device, &model, &training, 1).await.unwrap();
            session.set_batch(&[0.5; 4], &[0]).unwrap();
            session.forward().unwrap();
            session.loss().await.unwrap();
            session.backward().unwrap();
            session.read("1.d_input").await.unwrap()
        })
    };
    let first = gradients(Ties::First);
    assert!(first[0] != 0.0 && first[1..] == [0.0; 3], "{first:?}");
    assert_eq!(gradients(Ties::All), [first[0]; 4]);
}
