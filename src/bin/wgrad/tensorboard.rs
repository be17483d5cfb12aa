//! The results of the epochs as TensorBoard reads them: a file of records, each a protobuf message
//! `Event` between checksums (TensorFlow's `record_writer.h` and `event.proto`).

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use wgrad::{Error, Result};

use crate::run_folder::Epoch;

/// The folder of the files, in that of the run.
const FOLDER: &str = "tensorboard";

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional, since a zero would not be written otherwise.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// A file of events.
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// Begins a file in the folder of a run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(run: &Path) -> Result<Self> {
        let folder = run.join(FOLDER);
        let name = format!("events.out.tfevents.{:.0}.{}", now(), std::process::id());
        let path = folder.join(name);
        let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
        let file = file.map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        let mut events = Events { path, file };
        events.write(&Event {
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::at(0)
        })?;
        Ok(events)
    }

    /// Adds the results of an epoch.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn add(&mut self, epoch: &Epoch) -> Result<()> {
        let values = [
            ("loss/training", epoch.train_loss),
            ("loss/test", epoch.test_loss),
            ("accuracy/training", epoch.train_accuracy),
            ("accuracy/test", epoch.test_accuracy),
            ("images_per_second", epoch.images_per_second),
        ];
        let value = values.map(|(tag, value)| Value {
            tag: tag.to_owned(),
            simple_value: Some(value as f32),
        });
        self.write(&Event {
            summary: Some(Summary {
                value: value.to_vec(),
            }),
            ..Event::at(epoch.epoch)
        })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let written = self.file.write_all(&record(&event.encode_to_vec()));
        written.map_err(|source| Error::Io {
            path: self.path.clone(),
            source,
        })
    }
}

impl Event {
    fn at(step: u64) -> Self {
        Event {
            wall_time: now(),
            step: step as i64,
            ..Event::default()
        }
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// The length and the data, each followed by its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    let parts = [&len[..], &checksum(&len), data, &checksum(data)];
    parts.concat()
}

/// CRC-32C, rotated and with a constant added, since a record may hold checksums itself.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let sum = crc32c::crc32c(bytes).rotate_right(15);
    sum.wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_written() {
        let value = Value {
            tag: "t".to_owned(),
            simple_value: Some(0.0),
        };
        // Field 1, 1 byte; field 2, 4 bytes.
        assert_eq!(value.encode_to_vec(), [0x0a, 1, b't', 0x15, 0, 0, 0, 0]);
    }

    /// Length, checksum, message, checksum.
    #[test]
    fn a_record_has_the_checksums_of_tensorflow() {
        let data = b"brain.Event:2";
        let record = record(data);
        assert_eq!(record.len(), 8 + 4 + data.len() + 4);
        assert_eq!(record[..8], (data.len() as u64).to_le_bytes());
        // CRC-32C of "123456789" is 0xe3069283.
        let sum = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(checksum(b"123456789"), sum.to_le_bytes());
    }
}
