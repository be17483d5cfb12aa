//! The pictures of a run.

use std::fs;
use std::path::Path;

use crate::{on_device, run, stdout, train, workplace};

const PLOTS: [&str; 7] = [
    "activations",
    "calibration",
    "confusion_matrix",
    "filters",
    "occlusion",
    "results",
    "worst",
];

/// The names of a folder's files.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_run_can_be_looked_at() {
    let folder = workplace("plots");
    train(&folder, "--epochs 12");
    let text = on_device(&folder, "plot runs/model");
    assert!(
        text.contains("wrote runs/model/plots/occlusion.svg"),
        "{text}"
    );
    let plots = folder.join("runs/model/plots");
    assert_eq!(names(&plots), PLOTS.map(|name| format!("{name}.svg")));
    let read = |name: &str| fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
    let images = |svg: &str| svg.matches("<image ").count();
    // Four filters of three channels.
    let filters = read("filters");
    assert_eq!(images(&filters), 4);
    assert!(filters.contains("0.weight (4, 3, 3, 3)"), "{filters}");
    // The image, then the four channels after the ReLU, and after the pool.
    let activations = read("activations");
    assert_eq!(images(&activations), 1 + 4 + 4);
    assert!(activations.contains("0: convolution, relu, (4, 8, 8)"));
    assert!(activations.contains("2: max_pool, (4, 4, 4)"));
    assert_eq!(images(&read("occlusion")), 3);
    assert_eq!(images(&read("worst")), 6);
    assert!(read("calibration").contains("expected error"));
}

/// The class of a picture rests on the only thing that it shows.
#[test]
fn pngs_of_a_picture_of_ones_own() {
    let folder = workplace("png");
    train(&folder, "--epochs 12");
    let arguments = "plot runs/model --image pictures/red/03.png --format png --output red";
    let output = run(&folder, &format!("{arguments} --device cpu"));
    if !output.status.success() {
        // A system may have no fonts.
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("expected a font on the system"), "{text}");
        return;
    }
    assert_eq!(
        names(&folder.join("red")),
        PLOTS.map(|name| format!("{name}.png"))
    );
    for name in PLOTS {
        let picture = image::open(folder.join(format!("red/{name}.png"))).unwrap();
        let picture = picture.to_rgb8();
        let colors: std::collections::HashSet<_> = picture.pixels().collect();
        assert!(picture.width() > 500 && colors.len() > 10, "{name}");
    }
}

#[test]
fn a_data_set_may_have_moved() {
    let folder = workplace("moved");
    train(&folder, "--epochs 1");
    fs::rename(folder.join("pictures"), folder.join("elsewhere")).unwrap();
    let output = run(&folder, "plot runs/model --device cpu");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        text,
        "error: pictures: No such file or directory (os error 2)\n"
    );
    stdout(&folder, "plot runs/model --data elsewhere --device cpu");
}
