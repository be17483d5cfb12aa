//! A data set far larger than the host memory that training may take. The only test of its program,
//! whose peak memory is measured. It trains on an eighth of the samples, drawn from all of them;
//! WGRAD_WHOLE_EPOCH=1 trains on all.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

use wgrad::data::{Data, IdxFiles, Source};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::{Config, Device, Loss, Residency, Sgd, Trainer, block_on};

/// Samples of EXTENT×EXTENT bytes: 2 GiB.
const SAMPLES: usize = 1 << 15;
const EXTENT: usize = 256;

/// What a program may hold at its peak, on the CPU reference, and on an adapter: a software adapter's
/// own memory and compiler are the program's too.
const MOST: [u64; 2] = [200_000_000, 300_000_000];

/// The samples of a class differ by a bright band. The files have holes, which take no disk.
fn data() -> Data {
    let folder = std::env::temp_dir().join(format!("wgrad-large-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let create = |name: &str, words: &[u32], bytes: usize| {
        let path = folder.join(name);
        let file = File::create(&path).unwrap();
        let header: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        file.write_all_at(&header, 0).unwrap();
        file.set_len((header.len() + bytes) as u64).unwrap();
        (path, file, header.len())
    };
    let (count, extent) = (SAMPLES as u32, EXTENT as u32);
    let (area, band) = (EXTENT * EXTENT, vec![255; 16 * EXTENT]);
    let images = create("images", &[0x0803, count, extent, extent], SAMPLES * area);
    let labels = create("labels", &[0x0801, count], SAMPLES);
    for sample in (1..SAMPLES).step_by(2) {
        let at = |header, len| (header + sample * len) as u64;
        images.1.write_all_at(&band, at(images.2, area)).unwrap();
        labels.1.write_all_at(&[1], at(labels.2, 1)).unwrap();
    }
    let files = IdxFiles::open(&images.0, &labels.0, 2).unwrap();
    // Open files stay readable.
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(files.len(), SAMPLES);
    Data::new(files)
}

/// The most that this program has held, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() << 10
}

#[test]
fn a_data_set_of_2_gib_is_trained_in_200_mb_of_host_memory() {
    let data = data();
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 8).stride(8))
        .with(ReLU)
        .with(MaxPool2d::new(4))
        .with(Flatten)
        .with(Linear::new(2));
    let enough = match std::env::var_os("WGRAD_WHOLE_EPOCH") {
        Some(_) => SAMPLES as u64,
        None => SAMPLES as u64 / 8,
    };
    let devices = [Some(Device::cpu()), common::gpu()];
    for (device, most) in devices.into_iter().zip(MOST) {
        let Some(device) = device else { continue };
        let config = Config::new(Loss::CrossEntropy, Sgd::new(0.01))
            .batch_size(32)
            .residency(Residency::Streamed);
        let mut trainer = block_on(Trainer::new(&device, &model, &data, config)).unwrap();
        let trained = block_on(trainer.train_until(|progress| {
            if progress.samples < enough {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        }));
        let (trained, peak) = (trained.unwrap(), peak());
        println!(
            "{device}: {:.0} MB at the peak, {:.0} images/s, accuracy {:.3}",
            peak as f64 / 1e6,
            trained.samples_per_second,
            trained.accuracy
        );
        assert!(peak < most, "{peak} bytes at the peak on {device}");
        assert!(trained.accuracy > 0.9, "accuracy {}", trained.accuracy);
    }
}
