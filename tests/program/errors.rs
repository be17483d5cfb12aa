//! What is wrong at the prompt: one line, and status 1.

use crate::{run, train, workplace};

/// Wrong arguments, and a part of the line that says what is wrong.
const WRONG: &[(&str, &str)] = &[
    (
        "tran",
        "unrecognized subcommand 'tran'; some similar subcommands exist: 'man', 'train'",
    ),
    ("train --model lenet5", "--data <PATH>"),
    (
        "train --modle lenet5 --data pictures",
        "a similar argument exists: '--model'",
    ),
    (
        "train --model lenet4 --data pictures",
        "model: expected a .toml file, or one of tutorial, lenet5",
    ),
    (
        "train --model lenet4 --data pictures",
        "did you mean `lenet5`?",
    ),
    (
        "train --model other.toml --data pictures",
        "other.toml: No such file",
    ),
    (
        "train --model wrong.toml --data pictures",
        "wrong.toml, line 3: layer",
    ),
    (
        "train --model model.toml --data nowhere",
        "nowhere: No such file",
    ),
    (
        "train --model model.toml --data model.toml",
        "a folder, or a file that ends in .npz",
    ),
    ("train --model model.toml --data runs", "expected"),
    (
        "train --model model.toml --data pictures --size 0",
        "expected a number of pixels",
    ),
    (
        "train --model model.toml --data pictures --augment flop",
        "did you mean flip?",
    ),
    (
        "train --model model.toml --data pictures --augment crop",
        "expected crop=a number of pixels",
    ),
    (
        "train --model model.toml --data pictures --augment scale=1",
        "as 0.9:1.1",
    ),
    (
        "train --model model.toml --data pictures --optimizer adams",
        "a similar value exists: 'adam'",
    ),
    (
        "train --model model.toml --data pictures --epochs 0",
        "'0' for '--epochs <N>'",
    ),
    (
        "train --model model.toml --data pictures --batch-size 0",
        "at least 1",
    ),
    (
        "train --model model.toml --data pictures --fraction 1.5",
        "above 0 and up to 1",
    ),
    (
        "train --model model.toml --data pictures --lr -1 --device cpu",
        "learning rate",
    ),
    (
        "train --model model.toml --data pictures --device cpu --adapter x",
        "no --device cpu beside it",
    ),
    (
        "train --model model.toml --data pictures --test-fraction 2",
        "fraction of test pictures",
    ),
    (
        "train --resume runs/model --epochs 2",
        "--resume: expected --epochs 1, as the run was begun, got --epochs 2",
    ),
    (
        "train --resume runs/model --optimizer lion",
        "--resume: expected --optimizer \"sgd\", as the run was begun",
    ),
    (
        "train --resume runs/model --name other",
        "cannot be used with",
    ),
    (
        "train --model model.toml --data pictures --fraction 0",
        "above 0 and up to 1",
    ),
    (
        "train --model model.toml --data pictures --time nan",
        "expected minutes",
    ),
    (
        "train --model model.toml --data pictures --name ../up",
        "the name of a folder, without a path",
    ),
    (
        "train --model model.toml --data one --device cpu",
        "data set: expected at least 2 classes, got 1, red",
    ),
    (
        "train --model model.toml --data pictures --augment flip=3",
        "flip=3: expected flip, without a value",
    ),
    (
        "train --model model.toml --data pictures --optimizer adam --momentum 0.5 --device cpu",
        "--momentum: expected --optimizer sgd or rmsprop beside it",
    ),
    ("train --args broken.toml", "expected options in TOML, got "),
    (
        "plot damaged",
        "required arguments were not provided: --model",
    ),
    (
        "eval runs/model --data renamed --device cpu",
        "data set: expected the classes blue, green, red, as the model's, got azure, green, red",
    ),
    ("predict runs/model pictures --top 0", "0 is not in 1.."),
    (
        "import nothing.pt --model lenet5 --output x --classes a,b,a",
        "--classes: expected a name of its own for each, got a twice",
    ),
    ("train --resume nowhere", "nowhere/args.toml: No such file"),
    ("train --args model.toml", "unexpected argument"),
    ("eval nowhere --data pictures", "nowhere: No such file"),
    ("eval model.toml --data pictures", "model.toml: expected"),
    (
        "eval runs/model --data two --device cpu",
        "3 classes, as the model's",
    ),
    ("predict runs/model", "<PICTURE>"),
    (
        "predict runs/model nowhere.png --device cpu",
        "nowhere.png: expected a picture",
    ),
    (
        "predict runs/model empty --device cpu",
        "pictures: expected at least 1 file, got none in empty",
    ),
    ("plot empty", "empty/args.toml: No such file"),
    (
        "plot runs/model --image nowhere.png --device cpu",
        "nowhere.png: expected a picture",
    ),
    ("plot runs/model --format gif", "possible values: svg, png"),
    ("import", "--model"),
    (
        "bench --models resnet9",
        "a similar value exists: 'resnet8'",
    ),
    ("bench --adapter nonsense", "no adapter for"),
    ("bench --seconds 0", "above 0"),
    (
        "report --output nowhere/report",
        "nowhere/report.md: No such file",
    ),
    ("compare runs/model", "2 values required"),
    ("compare runs/model empty", "empty/args.toml: No such file"),
    ("verify --adapter nonsense", "no adapter for"),
    ("verify --model lenet4", "did you mean `lenet5`?"),
    ("verify --model missing.toml", "missing.toml: No such file"),
    ("plan lenet5 --batch-size 0 --device cpu", "batch size"),
    ("plan resnet9", "did you mean `resnet8`?"),
    ("completions bsh", "a similar value exists: 'bash'"),
];

#[test]
fn every_mistake_is_told_in_one_line() {
    let folder = workplace("errors");
    train(&folder, "--epochs 1");
    std::fs::create_dir(folder.join("empty")).unwrap();
    let wrong = "input = [3, 8, 8]\nlayers = [\n  { layer = \"Con2d\", out = 2 },\n]\n";
    std::fs::write(folder.join("wrong.toml"), wrong).unwrap();
    std::fs::write(folder.join("broken.toml"), "epochs = = 2").unwrap();
    std::fs::create_dir(folder.join("damaged")).unwrap();
    std::fs::write(folder.join("damaged/args.toml"), "epochs = 2").unwrap();
    for (set, class, name) in [
        ("two", "blue", "blue"),
        ("two", "red", "red"),
        ("one", "red", "red"),
        ("renamed", "blue", "azure"),
        ("renamed", "green", "green"),
        ("renamed", "red", "red"),
    ] {
        let from = folder.join("pictures").join(class);
        let to = folder.join(set).join(name);
        std::fs::create_dir_all(&to).unwrap();
        for number in 0..20 {
            let name = format!("{number:02}.png");
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
    let mut faults = Vec::new();
    for (arguments, expected) in WRONG {
        let output = run(&folder, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_one_line = text.lines().count() == 1 && text.ends_with('\n');
        if output.status.code() != Some(1) || !is_one_line || !text.contains(expected) {
            faults.push(format!(
                "{arguments}: {:?}: expected {expected}: {text}",
                output.status
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
