//! Training on a whole terminal, and files for TensorBoard.

use std::fs;

use crate::{on_device, run, train, workplace};

#[test]
fn a_whole_terminal_needs_a_terminal() {
    let folder = workplace("no_terminal");
    let arguments = "train --model model.toml --data pictures --device cpu --tui";
    let output = run(&folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        text,
        "error: --tui: expected a terminal, got a file or a pipe\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// `q` ends the training with a checkpoint, and what was on the terminal comes back.
#[cfg(target_os = "linux")]
#[test]
fn q_saves_and_gives_the_terminal_back() {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::process::Command;
    use std::time::Duration;

    use nix::pty::{Winsize, openpty};

    let folder = workplace("terminal");
    let size = Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let ends = openpty(&size, None).unwrap();
    let (mut master, slave) = (File::from(ends.master), File::from(ends.slave));
    let arguments = "train --model model.toml --data pictures --device cpu --tui --epochs 1000000";
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command
        .current_dir(&folder)
        .args(arguments.split(' '))
        .env("TERM", "xterm-256color")
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave);
    let mut child = command.spawn().unwrap();
    // Its own ends of the terminal close with the process.
    drop(command);
    let (mut text, mut piece, mut has_typed) = (String::new(), [0; 4096], false);
    while let Ok(len @ 1..) = master.read(&mut piece) {
        text += &String::from_utf8_lossy(&piece[..len]);
        // Spaces are not written: the terminal was blank.
        if !has_typed && text.contains("save") {
            std::thread::sleep(Duration::from_millis(300));
            master.write_all(b"q").unwrap();
            has_typed = true;
        }
    }
    assert!(child.wait().unwrap().success(), "{text}");
    let (screen, after) = text.split_once("\u{1b}[?1049l").unwrap();
    assert!(screen.contains("\u{1b}[?1049h") && screen.contains("images/s"));
    assert!(after.contains("Interrupted "), "{after}");
    let run = folder.join("runs/model");
    assert!(run.join("weights/last.safetensors").exists());
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains("Epoch 1/1000000: training loss "), "{log}");
    on_device(&folder, "train --resume runs/model --time 0");
}

/// Records of a length, its checksum, a message and its checksum.
#[test]
fn tensorboard_gets_a_record_for_each_epoch() {
    let folder = workplace("tensorboard");
    train(&folder, "--epochs 3 --tensorboard");
    let events = folder.join("runs/model/tensorboard");
    let files: Vec<_> = fs::read_dir(events).unwrap().collect();
    let [Ok(file)] = &files[..] else {
        panic!("{files:?}");
    };
    let name = file.file_name().into_string().unwrap();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
    let bytes = fs::read(file.path()).unwrap();
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        messages.push(String::from_utf8_lossy(&rest[12..12 + len]).into_owned());
        rest = &rest[12 + len + 4..];
    }
    assert_eq!(messages.len(), 1 + 3);
    assert!(messages[0].contains("brain.Event:2"));
    for message in &messages[1..] {
        assert!(message.contains("loss/training") && message.contains("accuracy/test"));
    }
}
