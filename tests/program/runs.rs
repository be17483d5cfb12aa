//! Training, and what it leaves.

use std::fs;
use std::path::Path;

use serde_json::Value;
use wgrad::Checkpoint;

use crate::{CLASSES, MODEL, on_device, run, stdout, train, workplace};

/// The lines of `results.csv` without the columns of time.
fn results(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("results.csv")).unwrap();
    let lines = text.lines().map(|line| {
        let columns: Vec<&str> = line.split(',').take(5).collect();
        columns.join(",")
    });
    lines.collect()
}

fn accuracy(line: &str) -> f64 {
    line.split(',').next_back().unwrap().parse().unwrap()
}

#[test]
fn three_commands_lead_from_pictures_to_predictions() {
    let folder = workplace("three_commands");
    let text = train(&folder, "--epochs 12 --augment shift=1,flip");
    assert!(
        text.contains("54 training and 6 test images of (3, 8, 8), 3 classes"),
        "{text}"
    );
    assert!(text.contains("Epoch 12/12: training loss 0."), "{text}");
    let run = folder.join("runs/model");
    for file in [
        "args.toml",
        "training_images.svg",
        "test_images.svg",
        "results.svg",
        "confusion_matrix.svg",
        "weights/last.safetensors",
    ] {
        assert!(fs::metadata(run.join(file)).unwrap().len() > 100, "{file}");
    }
    // Others may read what a program writes, as the user's mask says.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode(&run.join("results.csv")), mode(&run.join("log.txt")));
    }
    assert!(
        fs::read_to_string(run.join("log.txt"))
            .unwrap()
            .contains("Epoch 12/12")
    );
    let results = results(&run);
    assert_eq!(results.len(), 13);
    assert_eq!(
        results[0],
        "epoch,train_loss,train_accuracy,test_loss,test_accuracy"
    );
    let best = results[1..]
        .iter()
        .map(|line| accuracy(line))
        .fold(0.0, f64::max);
    assert!(best > 0.95, "{results:?}");

    let evaluated = on_device(&folder, "eval runs/model --data pictures --json");
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["accuracy"].as_f64().unwrap(), best);
    assert_eq!(evaluated["classes"][2]["class"], "red");
    let table = on_device(&folder, "eval runs/model --data pictures");
    assert!(table.contains("6 images on "), "{table}");

    let predicted = on_device(&folder, "predict runs/model pictures --format json");
    let predicted: Value = serde_json::from_str(&predicted).unwrap();
    let predicted = predicted.as_array().unwrap();
    assert_eq!(predicted.len(), 60);
    for row in predicted {
        let path = row["picture"].as_str().unwrap();
        let first = &row["classes"][0];
        assert!(path.contains(first["class"].as_str().unwrap()), "{row}");
        let probabilities = row["classes"].as_array().unwrap().iter();
        let sum: f64 = probabilities
            .map(|class| class["probability"].as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row}");
    }
    let csv = on_device(
        &folder,
        "predict runs/model pictures/red/00.png --top 1 --format csv",
    );
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "picture,rank,class,probability");
    assert!(lines[1].starts_with("pictures/red/00.png,1,red,"), "{csv}");
}

#[test]
fn checkpoints_hold_the_model_file_and_the_classes() {
    let folder = workplace("metadata");
    train(&folder, "--epochs 1 --name mine");
    let checkpoint = Checkpoint::load(folder.join("runs/mine/weights/last.safetensors")).unwrap();
    assert_eq!(checkpoint.metadata["model_file"], MODEL);
    let classes: Vec<String> = serde_json::from_str(&checkpoint.metadata["classes"]).unwrap();
    assert_eq!(classes, CLASSES);
}

#[test]
fn args_toml_repeats_a_run() {
    let folder = workplace("repeated");
    train(
        &folder,
        "--epochs 3 --optimizer adamw --average 0.9 --balance --seed 5",
    );
    on_device(&folder, "train --args runs/model/args.toml");
    let [first, second] = ["runs/model", "runs/model-2"].map(|run| results(&folder.join(run)));
    assert_eq!(first.len(), 4);
    assert_eq!(first, second);
    // What is typed overrides the file.
    on_device(
        &folder,
        "train --args runs/model/args.toml --epochs 1 --name short",
    );
    assert_eq!(results(&folder.join("runs/short")).len(), 2);
}

#[test]
fn resuming_gives_what_an_uninterrupted_run_gives() {
    let folder = workplace("resumed");
    train(&folder, "--epochs 3");
    let text = train(&folder, "--epochs 3 --time 0");
    assert!(
        text.contains("`wgrad train --resume runs/model-2` continues"),
        "{text}"
    );
    let text = on_device(&folder, "train --resume runs/model-2 --time 60");
    assert!(text.contains("Continuing with epoch 1"), "{text}");
    let [whole, resumed] = ["runs/model", "runs/model-2"].map(|run| results(&folder.join(run)));
    // The first epoch's training loss is over the part after the interruption.
    assert_eq!(whole[2..], resumed[2..]);
    assert_eq!(resumed.len(), 4);
}

#[test]
fn training_stops_for_lack_of_progress() {
    let folder = workplace("patience");
    let text = train(&folder, "--epochs 50 --patience 2 --lr 0");
    assert!(
        text.contains("No better result on the test set in 2 epochs: stopping"),
        "{text}"
    );
    assert_eq!(results(&folder.join("runs/model")).len(), 4);
}

#[test]
fn parts_of_the_data_can_be_trained_on() {
    let folder = workplace("parts");
    let text = train(&folder, "--epochs 1 --fraction 0.5");
    assert!(text.contains("27 training and 6 test images"), "{text}");
    let text = train(&folder, "--epochs 40 --overfit-batch --batch-size 8");
    assert!(text.contains("8 training and 8 test images"), "{text}");
    let last = results(&folder.join("runs/model-2")).pop().unwrap();
    assert_eq!(accuracy(&last), 1.0, "{last}");
}

#[test]
fn dry_runs_and_rate_tests_leave_no_run() {
    let folder = workplace("dry");
    let text = train(&folder, "--dry-run");
    assert!(text.contains("total") && text.contains("GFLOP"), "{text}");
    let text = train(&folder, "--lr-find");
    assert!(text.contains("lr_find.svg"), "{text}");
    assert!(
        fs::read_to_string(folder.join("lr_find.svg"))
            .unwrap()
            .contains("learning rate")
    );
    assert!(!folder.join("runs").exists());
}

#[test]
fn predicting_goes_on_after_a_broken_picture() {
    let folder = workplace("broken");
    train(&folder, "--epochs 1");
    fs::write(folder.join("pictures/red/00.png"), "no picture").unwrap();
    let device = crate::device().join(" ");
    let output = run(
        &folder,
        &format!("predict runs/model pictures/red --format csv {device}"),
    );
    assert_eq!(output.status.code(), Some(1));
    let [printed, complained] =
        [output.stdout, output.stderr].map(|t| String::from_utf8(t).unwrap());
    assert_eq!(printed.lines().count(), 1 + 19 * 3);
    assert!(complained.contains("pictures/red/00.png: expected a picture that can be read"));
    assert!(complained.contains("pictures: expected all to be readable, got 1 that are not"));
}

#[test]
fn runs_are_compared_by_what_differs() {
    let folder = workplace("compared");
    train(&folder, "--epochs 2");
    train(&folder, "--epochs 3 --schedule cosine");
    let text = stdout(&folder, "compare runs/model runs/model-2");
    let head = text.lines().next().unwrap();
    assert!(
        head.starts_with("run") && head.contains("schedule"),
        "{text}"
    );
    assert!(!head.contains("optimizer"), "{text}");
    assert!(text.contains("\"cosine\""), "{text}");
    let picture = fs::read_to_string(folder.join("compare.svg")).unwrap();
    assert!(picture.contains("runs/model-2"));
}

#[test]
fn mnist_is_read_as_it_is() {
    let folder = workplace("mnist");
    let mnist = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let arguments = format!("train --model lenet5 --data {mnist} --dry-run --device cpu");
    assert!(stdout(&folder, &arguments).contains("61706"));
}

/// An epoch may be over before there is a chance to stop within it.
#[test]
fn short_epochs_are_stopped_too() {
    let folder = workplace("short_epochs");
    let arguments = "train --model model.toml --data pictures --device cpu --epochs 10000000";
    let text = stdout(&folder, &format!("{arguments} --time 0.01"));
    let said = "`wgrad train --resume runs/model` continues";
    let line = text.lines().find(|line| line.contains(said)).unwrap();
    assert!(line.starts_with("The time is over "), "{line}");
}

/// The options of a run stay as they were if a change of them is refused; another learning rate is
/// taken, and said.
#[test]
fn a_refused_resumption_leaves_the_run_as_it_was() {
    let folder = workplace("refused");
    train(&folder, "--epochs 3 --time 0");
    let args = folder.join("runs/model/args.toml");
    let before = fs::read_to_string(&args).unwrap();
    for other in [
        "--epochs 9",
        "--optimizer adam",
        "--seed 7",
        "--batch-size 8",
    ] {
        let output = run(
            &folder,
            &format!("train --resume runs/model --device cpu {other}"),
        );
        assert_eq!(output.status.code(), Some(1), "{other}");
        assert_eq!(fs::read_to_string(&args).unwrap(), before, "{other}");
    }
    let text = on_device(&folder, "train --resume runs/model --lr 0.025");
    let line = "The learning rate was 0.1, and is 0.025 from here on";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("Epoch 3/3"), "{text}");
    assert!(fs::read_to_string(&args).unwrap().contains("lr = 0.025"));
}

/// Every random change, of which mixup leaves shares of two classes.
#[test]
fn every_change_can_be_seen() {
    let folder = workplace("changes");
    let all = "shift=1,flip,rotation=5,scale=0.9:1.1,contrast=0.1,brightness=0.1,cutout=2,mixup=1";
    train(&folder, &format!("--epochs 1 --augment {all}"));
    let sheet = fs::read_to_string(folder.join("runs/model/training_images.svg")).unwrap();
    assert!(
        sheet.contains(" % red") && sheet.contains(" % blue"),
        "{sheet}"
    );
}
