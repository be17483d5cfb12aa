//! `wgrad plan`.

use wgrad::data::{Dataset, Samples};
use wgrad::nn::ModelFile;
use wgrad::plan::{CARDS, Phase, Plan};
use wgrad::{Config, Loss, Planning, Result, Sgd, Trainer};

use crate::common::{DeviceArgs, say};
use crate::tables;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A built-in model, or a TOML file
    #[arg(value_name = "NAME or FILE")]
    model: String,
    /// Images of a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch_size: usize,
    /// The readable ops: im2col, products, col2im, one op each
    #[arg(long)]
    readable: bool,
    /// Predict the time of a training step on some cards, from their data sheets
    #[arg(long)]
    cards: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wgrad plan resnet8
  wgrad plan my_model.toml --batch-size 128 --readable
  wgrad plan resnet20 --cards";

pub async fn run(args: &Args) -> Result<()> {
    let model = ModelFile::find(&args.model)?;
    let device = args.device.open().await?;
    // A plan depends on the shape of the images, not on their values.
    let image = Samples {
        images: vec![0; model.input().elements()],
        labels: vec![0],
    };
    let data = Dataset::new(
        model.input().clone(),
        model.classes(),
        image,
        Samples::default(),
    )?;
    let mut config = Config::new(Loss::CrossEntropy, Sgd::new(0.05)).batch_size(args.batch_size);
    if args.readable {
        config = config.planning(Planning::Unfused);
    }
    let trainer = Trainer::new(&device, &model, &data, config).await?;
    let plan = trainer.plan();
    match args.json {
        true => {
            let mut plan_of = json(plan);
            if args.cards {
                plan_of["predicted_seconds"] = predicted(plan).collect();
            }
            say!("{plan_of:#}")
        }
        false => {
            say!(
                "{device}: {}\n\n{}\n",
                device.reason(),
                tables::layers(plan)
            )?;
            say!("{}\n\n{}", ops(plan), total(plan))?;
            if args.cards {
                say!("\n{}", cards(plan, args.batch_size))?;
            }
            Ok(())
        }
    }
}

/// The ops of a training step: what they write, their work, and the memory that they move.
fn ops(plan: &Plan) -> String {
    let rows = plan.nodes_of(&Phase::TRAIN).map(|node| {
        let node = &plan.nodes()[node];
        let cost = node.op.cost();
        let written = node.outputs.iter().map(|&output| {
            let tensor = plan.tensor(output);
            format!("{} {}", tensor.name, tensor.shape)
        });
        let written: Vec<String> = written.collect();
        vec![
            node.op.name().to_owned(),
            format!("{:.2}", cost.flop as f64 / 1e6),
            format!("{:.2}", cost.bytes as f64 / 1e6),
            written.join(", "),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    tables::table(&["<op", "MFLOP", "MB", "<writes"], &rows)
}

fn total(plan: &Plan) -> String {
    let (count, flop, bytes) = tables::work(plan);
    let readable = match plan.written_readably() {
        [] => String::new(),
        nodes => format!("; without a fused form: {}", nodes.join(", ")),
    };
    format!(
        "A training step: {count} ops, {:.3} GFLOP, {:.1} MB read and written; device memory without \
         the data set {}{readable}",
        flop as f64 / 1e9,
        bytes as f64 / 1e6,
        tables::mebibytes(plan.words())
    )
}

/// The predicted time of a training step on each card.
fn cards(plan: &Plan, batch_size: usize) -> String {
    let rows = predicted(plan).map(|(card, step)| {
        vec![
            card,
            format!("{:.2}", step * 1e3),
            format!("{:.0}", batch_size as f64 / step),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let table = tables::table(&["<card", "ms a step", "images/s"], &rows);
    format!("Predicted, mostly within a factor of 1.5:\n{table}")
}

/// The cards, and the predicted seconds of a training step.
fn predicted(plan: &Plan) -> impl Iterator<Item = (String, f64)> {
    CARDS.iter().map(|(card, figures)| {
        let step = plan.predicted_time(&Phase::TRAIN, figures);
        ((*card).to_owned(), step.as_secs_f64())
    })
}

fn json(plan: &Plan) -> serde_json::Value {
    let layers = plan.layers().iter().map(|layer| {
        serde_json::json!({
            "name": layer.name,
            "layer": layer.layer,
            "output": layer.output.dims(),
            "parameters": layer.parameters,
        })
    });
    let ops = plan.nodes_of(&Phase::TRAIN).map(|node| {
        let node = &plan.nodes()[node];
        let names = |tensors: &[wgrad::plan::TensorId]| -> Vec<String> {
            let names = tensors.iter().map(|&id| plan.tensor(id).name.clone());
            names.collect()
        };
        serde_json::json!({
            "op": node.op.name(),
            "reads": names(&node.inputs),
            "writes": names(&node.outputs),
            "flop": node.op.cost().flop,
            "bytes": node.op.cost().bytes,
        })
    });
    serde_json::json!({
        "layers": layers.collect::<Vec<_>>(),
        "ops": ops.collect::<Vec<_>>(),
        "bytes_of_memory": 4 * plan.words(),
        "without_a_fused_form": plan.written_readably(),
    })
}
