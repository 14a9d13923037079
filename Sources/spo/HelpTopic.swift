import CommandSyntax
import DataStages
import Files
import PipelineCore
import Scorers
import Stages

/// The topics of `spo help TOPIC` other than commands; the documents in `docs/` have more detail.
enum HelpTopic: String, CaseIterable {
  case data
  case columns
  case models
  case scorers
  case pipelines
  case workspaces
  case devices
  case cluster

  /// Synonyms of the topics.
  static let otherNames: [String: [String]] = [
    "checkpoint": ["models"], "config": ["pipelines"], "cuda": ["devices"], "dataset": ["data"],
    "gpu": ["devices"], "hpsv2": ["scorers"], "json5": ["pipelines"], "lora": ["models"],
    "mpi": ["cluster"], "opencl": ["devices"], "parquet": ["data"], "partition": ["cluster"],
    "pickscore": ["scorers"], "prompt": ["data"], "prompts": ["data"], "slurm": ["cluster"],
    "stages": ["pipelines"],
  ]

  var summary: String {
    switch self {
    case .data: "what stage ingest reads"
    case .columns: "the keys of ingest.columns"
    case .models: "which models and LoRA files are read"
    case .scorers: "the scores of spo evaluate and report.scorers"
    case .pipelines: "what a pipeline file contains, and its stages"
    case .workspaces: "the files of a run"
    case .devices: "computing on a GPU"
    case .cluster: "many machines"
    }
  }

  /// The document with more detail.
  private var document: String {
    switch self {
    case .data, .columns: "docs/data.md"
    case .models, .pipelines, .workspaces: "docs/recipes.md"
    case .scorers: "docs/evaluation.md"
    case .devices: "docs/devices.md"
    case .cluster: "docs/cluster.md"
    }
  }

  var text: String {
    (lines + ["", "More in \(document)."]).joined(separator: "\n")
  }

  private var lines: [String] {
    switch self {
    case .data:
      [
        "Files and folders with names ending in \(DataReference.endings), and folders of images.",
        "The format is inferred from the columns, or set by ingest.format:", "",
      ] + CommandSyntax.columns(DataReference.formats.map { ($0.name, $0.meaning) }) + [
        "",
        "spo ingest --dry-run FILE shows how a file would be read, spo audit FILE what is wrong with its labels,",
        "and spo help columns the columns.",
      ]
    case .columns:
      [
        "ingest.columns maps these to the columns of your files, for example",
        "ingest: { columns: { prompt: \"text\", image_0: \"left\", image_1: \"right\" } }:", "",
      ] + CommandSyntax.columns(DataReference.columns.map { ($0.name, $0.meaning) })
    case .models:
      [
        "Stable Diffusion 1.x, 2.x and SDXL: a folder in diffusers layout, or one .safetensors or .ckpt file",
        "as the webui uses it (then with --tokenizer DIR, or the setting tokenizer). --vae and the setting vae",
        "replace the VAE. LoRA files of diffusers, kohya's scripts and peft are read, LoCon and DoRA too.",
        "spo inspect PATH shows what a file or folder is.",
      ]
    case .scorers:
      ["Each needs its published weights: --scorer NAME=FOLDER.", ""]
        + ScorerKind.allCases.map { "  \($0.rawValue)" }
    case .pipelines:
      [
        "A JSON5 file: workspace, seed, model, guidance, and under stages a block of settings for each stage.",
        "--set STAGE.KEY=VALUE overrides a setting for one run; spo settings STAGE lists them. The stages, in order:",
        "",
      ]
        + stageTypes.map { "  \($0.name)" }
    case .workspaces:
      [
        "catalog.sqlite  comparisons and prompts, from stage ingest",
        "cache.sqlite    latents and text embeddings, from stage encode",
        "shards/         training data, from stage shard",
        "preference/     the preference model and its metrics",
        "spo/, dpo/      checkpoints, metrics, images and the LoRA",
        "export/         the LoRA for diffusers, the one for the webui, and the merged model",
        "report/         index.html and summary.json",
        "state/          what each stage has done and with which settings",
        "",
        "Deleting the folder starts over; spo gc removes only what finished stages no longer need.",
      ]
    case .devices:
      [
        "The setting device, or --device, chooses where models compute: cpu, cuda, cuda:1, opencl.",
        "spo doctor lists the devices of this machine.",
      ]
    case .cluster:
      [
        "--partition auto/N runs one part of N, by the job array's own variable; --merge joins the parts.",
        "mpirun or srun trains over several processes. spo doctor --partitions N estimates the parts.",
      ]
    }
  }
}
