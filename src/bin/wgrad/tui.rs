//! Training on the whole terminal: curves, speed, a table of the epochs.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use wgrad::{Error, Progress, Result};

use crate::common::left;
use crate::run_folder::Epoch;

/// The time between two pictures.
const PAUSE: Duration = Duration::from_millis(100);

/// Lines of the table: its head, and the last epochs.
const TABLE: u16 = 9;

/// Two colours that the colour-blind tell apart.
const TRAINING: Color = Color::LightBlue;
const TEST: Color = Color::Yellow;

/// The terminal, which is restored when this is dropped, and when the program panics.
pub struct Screen {
    terminal: DefaultTerminal,
    view: View,
    drawn: Option<Instant>,
    /// Whether `q` or Ctrl-C, which is no signal here, was typed.
    is_stopped: bool,
}

/// What is shown.
pub struct View {
    pub title: String,
    /// Epochs of the training.
    pub total: u64,
    pub epochs: Vec<Epoch>,
    pub progress: Option<Progress>,
}

impl Screen {
    /// # Errors
    /// Input or output is no terminal.
    pub fn check() -> Result<()> {
        match io::stdout().is_terminal() && io::stdin().is_terminal() {
            true => Ok(()),
            false => Err(Error::value("--tui", "a terminal", "a file or a pipe")),
        }
    }

    /// Takes the terminal.
    ///
    /// # Errors
    /// It does not do what terminals do.
    pub fn open(view: View) -> Result<Self> {
        // It restores the terminal before a panic's message.
        let terminal = ratatui::try_init().map_err(failed)?;
        Ok(Screen {
            terminal,
            view,
            drawn: None,
            is_stopped: false,
        })
    }

    /// Shows how far the epoch is, at most ten times a second.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn advance(&mut self, progress: &Progress) -> Result<()> {
        self.view.progress = Some(*progress);
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw()?;
        }
        self.read_keys()
    }

    /// Whether the user wants the training to stop.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Shows the results of the epochs.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, epochs: &[Epoch]) -> Result<()> {
        epochs.clone_into(&mut self.view.epochs);
        self.view.progress = None;
        self.draw()
    }

    fn draw(&mut self) -> Result<()> {
        let view = &self.view;
        self.terminal
            .draw(|frame| view.draw(frame))
            .map_err(failed)?;
        self.drawn = Some(Instant::now());
        Ok(())
    }

    fn read_keys(&mut self) -> Result<()> {
        while event::poll(Duration::ZERO).map_err(failed)? {
            if let Event::Key(key) = event::read().map_err(failed)? {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                self.is_stopped |= match key.code {
                    KeyCode::Char('q') => true,
                    KeyCode::Char('c') => control,
                    _ => false,
                };
            }
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(source: io::Error) -> Error {
    Error::Io {
        path: "terminal".into(),
        source,
    }
}

impl View {
    fn draw(&self, frame: &mut Frame<'_>) {
        let rows = [
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(8),
            Constraint::Length(TABLE),
            Constraint::Length(1),
        ];
        let [title, bar, speed, charts, table, keys] = Layout::vertical(rows).areas(frame.area());
        frame.render_widget(Line::from(self.title.as_str()), title);
        self.bar(frame, bar);
        frame.render_widget(Line::from(self.speed()), speed);
        let halves = [Constraint::Fill(1), Constraint::Fill(1)];
        let [losses, accuracies] = Layout::horizontal(halves).areas(charts);
        self.chart(frame, losses, "loss", |epoch| {
            [epoch.train_loss, epoch.test_loss]
        });
        self.chart(frame, accuracies, "accuracy, %", |epoch| {
            [epoch.train_accuracy, epoch.test_accuracy].map(|share| 100.0 * share)
        });
        self.table(frame, table);
        frame.render_widget(Line::from("q: save and stop"), keys);
    }

    fn bar(&self, frame: &mut Frame<'_>, area: Rect) {
        let epoch = (self.epochs.last().map_or(0, |last| last.epoch) + 1).min(self.total);
        let (done, all) = self
            .progress
            .map_or((0, 0), |progress| (progress.samples, progress.total));
        let label = format!("epoch {epoch}/{}, image {done}/{all}", self.total);
        let gauge = Gauge::default()
            .ratio((done as f64 / all.max(1) as f64).clamp(0.0, 1.0))
            .gauge_style(Style::new().fg(TRAINING))
            .label(label);
        frame.render_widget(gauge, area);
    }

    fn speed(&self) -> String {
        let Some(progress) = &self.progress else {
            return "evaluating".to_owned();
        };
        let done = self.epochs.last().map_or(0, |last| last.epoch);
        let after = self.total.saturating_sub(done + 1);
        format!(
            "{:.0} images/s, loss {:.4}, rate {:.1e}, {} left",
            progress.samples_per_second,
            progress.loss,
            progress.learning_rate,
            HumanDuration(left(progress, after))
        )
    }

    /// A value of training and test, by epoch.
    fn chart(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        title: &str,
        value: impl Fn(&Epoch) -> [f64; 2],
    ) {
        let lines: [Vec<(f64, f64)>; 2] = [0, 1].map(|side| {
            let epochs = self.epochs.iter();
            let points = epochs.map(|epoch| (epoch.epoch as f64, value(epoch)[side]));
            points.filter(|point| point.1.is_finite()).collect()
        });
        let values = lines.iter().flatten().map(|point| point.1);
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |range, value| {
            (range.0.min(value), range.1.max(value))
        });
        let (least, most) = if least < most {
            (least, most)
        } else {
            (0.0, 1.0)
        };
        let sets = lines.iter().zip([("training", TRAINING), ("test", TEST)]);
        let sets = sets.map(|(points, (name, color))| {
            Dataset::default()
                .name(name)
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(Style::new().fg(color))
                .data(points)
        });
        let last = self.total.max(2) as f64;
        let chart = Chart::new(sets.collect())
            .block(Block::bordered().title(title))
            .x_axis(
                Axis::default()
                    .bounds([1.0, last])
                    .labels(["epoch 1".to_owned(), self.total.to_string()]),
            )
            .y_axis(
                Axis::default()
                    .bounds([least, most])
                    .labels([format!("{least:.2}"), format!("{most:.2}")]),
            );
        frame.render_widget(chart, area);
    }

    /// The last epochs.
    fn table(&self, frame: &mut Frame<'_>, area: Rect) {
        let head = [
            "epoch",
            "loss",
            "accuracy",
            "test loss",
            "test accuracy",
            "images/s",
        ];
        let room = usize::from(area.height.saturating_sub(1));
        let first = self.epochs.len().saturating_sub(room);
        let rows = self.epochs[first..].iter().map(|epoch| {
            Row::new([
                epoch.epoch.to_string(),
                format!("{:.4}", epoch.train_loss),
                format!("{:.2} %", 100.0 * epoch.train_accuracy),
                format!("{:.4}", epoch.test_loss),
                format!("{:.2} %", 100.0 * epoch.test_accuracy),
                format!("{:.0}", epoch.images_per_second),
            ])
        });
        let table = Table::new(rows, head.map(|_| Constraint::Length(13)));
        frame.render_widget(table.header(Row::new(head)), area);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn everything_is_on_the_screen() {
        let epoch = |epoch: u64| Epoch {
            epoch,
            train_loss: 1.5 / epoch as f64,
            train_accuracy: 0.5,
            test_loss: 2.0 / epoch as f64,
            test_accuracy: 0.25,
            images_per_second: 1234.0,
            seconds: 1.0,
        };
        let view = View {
            title: "resnet8 on a device".to_owned(),
            total: 20,
            epochs: (1..=12).map(epoch).collect(),
            progress: Some(Progress {
                samples: 100,
                total: 400,
                loss: 0.125,
                samples_per_second: 50.0,
                learning_rate: 0.05,
            }),
        };
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let text = terminal.backend().to_string();
        for shown in [
            "resnet8 on a device",
            "epoch 13/20, image 100/400",
            // 300 images of this epoch, and 400 of each of seven more.
            "50 images/s, loss 0.1250, rate 5.0e-2, 62 seconds left",
            "12            0.1250",
            "q: save and stop",
        ] {
            assert!(text.contains(shown), "{shown} is not in\n{text}");
        }
        assert!(!text.contains("4             0.3750"), "{text}");
    }
}
