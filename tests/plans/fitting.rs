//! Convolutions on adapters with little memory.

use crate::common;
use wgrad::nn::{Conv2d, Flatten, Linear, ReLU, Sequential};
use wgrad::tune::Effort;
use wgrad::wgpu::Limits;
use wgrad::{Config, Device, Loss, Planning, Sgd, Trainer};

/// Columns are nine times the image, and several times what the other strategies need.
#[test]
fn convolutions_are_computed_without_columns_if_these_do_not_fit() {
    let Some(device) = common::gpu() else { return };
    let model = Sequential::new()
        .with(Conv2d::new(2, 16, 3).padding(1))
        .with(ReLU)
        .with(Conv2d::new(16, 16, 3).padding(1))
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(4));
    let data = common::random_data(40, 0);
    let small = device.clone().with_limits(Limits {
        max_storage_buffer_binding_size: 1 << 20,
        ..Limits::default()
    });
    let training = |device: Device, effort: Effort| {
        wgrad::block_on(async {
            let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05))
                .batch_size(20)
                .planning(Planning::Fused(effort));
            let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
            let report = trainer.train_epoch(|_| {}).await.unwrap();
            // Those of the first convolution, which has few channels, fit.
            let tensors = trainer.plan().tensors().iter();
            let columns = tensors.filter(|tensor| tensor.name == "2.columns");
            (report.loss, columns.count())
        })
    };
    let (expected, columns) = training(device, Effort::Off);
    assert!(columns > 0);
    for effort in [Effort::Off, Effort::Quick] {
        let (loss, columns) = training(small.clone(), effort);
        assert!((loss - expected).abs() < 1e-4, "{loss} {expected}");
        assert_eq!(columns, 0);
    }
}
