import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PipelineCore
import Stages
import TestSupport
import Testing

/// Models that cannot be used are refused by `doctor` and by a run before its first stage.
@Suite struct ModelChecksTests {
  private func pipeline(_ overrides: [String], workspace: String) throws -> Pipeline {
    try Pipeline(
      path: repositoryPath("pipelines/quickstart.json5"), stages: stageTypes,
      overrides: [
        "ingest.source=\(repositoryPath("data/pickapic-sample/data"))/*.parquet",
        "model=\(repositoryPath("data/tiny-sd"))",
        "preference.start=\(repositoryPath("data/tiny-preference"))",
        "report.prompts=\(repositoryPath("data/validation-prompts.json"))",
      ] + overrides, workspace: workspace)
  }

  /// Both ways in give the same error, and nothing is written.
  private func refusal(_ overrides: [String], in folder: String) throws -> String {
    let workspace = "\(folder)/workspace"
    func make(_ more: [String]) throws -> Pipeline {
      try pipeline(overrides + more, workspace: workspace)
    }
    let limits = MachineLimits(memory: 1 << 36, freeDisk: nil)
    let error = try #require(
      #expect(throws: (any Error).self) {
        _ = try Doctor(limits: limits, rates: nil, makePipeline: make)
      })
    let check = RunCheck(overrides: [], limits: limits, makePipeline: make)
    let other = try #require(
      #expect(throws: (any Error).self) {
        try Runner(try make([]), check: check.require) { _ in }.run()
      })
    #expect("\(other)" == "\(error)")
    #expect(!FileManager.default.fileExists(atPath: "\(workspace)/catalog.sqlite"))
    return "\(error)"
  }

  struct Change: CustomTestStringConvertible, Sendable {
    /// The folder below `data`, the setting that names it, and the file that is changed.
    let model: String
    let setting: String
    let file: String
    let changes: [String: JSON?]
    let mention: String
    var testDescription: String { mention }
  }

  static let changes: [Change] = [
    .init(
      model: "tiny-sd", setting: "model", file: "unet/config.json", changes: ["in_channels": 9],
      mention: "in_channels is 9, but the autoencoder's latents have 4"),
    .init(
      model: "tiny-sd", setting: "model", file: "vae/config.json",
      changes: ["latent_channels": 16], mention: "latent_channels is 16, but"),
    .init(
      model: "tiny-sd", setting: "model", file: "unet/config.json",
      changes: ["layers_per_block": 2], mention: "there is no tensor down_blocks.0.resnets.1"),
    .init(
      model: "tiny-preference", setting: "preference.start", file: "config.json",
      changes: ["model_type": "siglip"], mention: "model_type \"siglip\" is not supported"),
    .init(
      model: "tiny-preference", setting: "preference.start", file: "config.json",
      changes: [
        "text_config": [
          "vocab_size": 500, "max_position_embeddings": 24, "hidden_size": 64,
          "num_attention_heads": 4, "eos_token_id": 2,
        ]
      ], mention: "text_config: vocab_size is 500, but"),
    .init(
      model: "tiny-preference", setting: "preference.start", file: "preprocessor_config.json",
      changes: ["size": 0], mention: "size: images are resized to 0, but"),
    .init(
      model: "tiny-preference", setting: "preference.start", file: "preprocessor_config.json",
      changes: ["image_std": [0.2, 0, 0.2]], mention: "image_std is 0, expected"),
    .init(
      model: "tiny-preference", setting: "preference.start", file: "config.json",
      changes: [
        "vision_config": [
          "hidden_size": 96, "num_attention_heads": 4, "image_size": 128, "patch_size": 10,
        ]
      ], mention: "image_size 128 is not a multiple of patch_size 10"),
  ]

  @Test("models that do not fit are refused by file and key before any work", arguments: changes)
  func refused(_ change: Change) throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(
        of: repositoryPath("data/\(change.model)"), in: folder, as: "model")
      try editJSON("\(copy)/\(change.file)", change.changes)
      let text = try refusal(["\(change.setting)=\(copy)"], in: folder)
      #expect(text.hasPrefix("\(copy)/") && text.contains(change.mention), "\(text)")
      #expect(!text.contains("\n"))
    }
  }

  @Test("every number of a preference model's configurations is refused or harmless")
  func hostilePreference() throws {
    let source = repositoryPath("data/tiny-preference")
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: source, in: folder, as: "model")
      for name in ["config.json", "preprocessor_config.json"] {
        let path = "\(copy)/\(name)"
        let original = try JSON(contentsOf: path)
        for place in original.numberPaths {
          for value: JSON? in [
            -1, 0, 0.5, 1e30, .integer(1 << 31), .integer(.max), "x", [], nil,
          ] {
            let changed = original.replacing(place, by: value)
            try AtomicFile.replace(path, with: Array(changed.text().utf8))
            do {
              let stages = try pipeline(
                ["preference.start=\(copy)"], workspace: "\(folder)/workspace"
              ).madeStages()
              let check = RunCheck(
                overrides: ["preference.start=\(copy)"],
                limits: MachineLimits(memory: 1 << 40, freeDisk: nil)
              ) { try pipeline($0, workspace: "\(folder)/workspace") }
              for stage in stages where type(of: stage).name == "preference" {
                try check.require([PlannedWork(stage: stage)])
              }
            } catch {
              #expect("\(error)".contains(copy) && !"\(error)".contains("\n"), "\(error)")
            }
          }
        }
        try AtomicFile.replace(path, with: Array(original.text().utf8))
      }
    }
  }

  @Test(
    "a U-Net that is not finite, or that overflows, ends stage preference by name",
    arguments: [
      (Float.nan, "tensor conv_out.weight contains NaN (element 0)"), (3e38, "unet, timesteps ["),
    ])
  func nonFinite(value: Float, mention: String) throws {
    try withTemporaryFolder { folder in
      let copy = try linkedCopy(of: repositoryPath("data/tiny-sd"), in: folder, as: "model")
      let path = "\(copy)/unet/diffusion_pytorch_model.safetensors"
      let file = try SafetensorsFile(path: path)
      var numbers = try file.floats("conv_out.weight")
      for index in numbers.indices where index == 0 || value.isFinite { numbers[index] = value }
      let changed = numbers
      try FileManager.default.removeItem(atPath: path)
      try writeSafetensors(
        file.entries.map { entry in
          entry.name == "conv_out.weight"
            ? OutgoingTensor(entry.name, shape: entry.shape, floats: { changed })
            : OutgoingTensor(
              entry.name, type: entry.type, shape: entry.shape,
              bytes: { try file.bytes(entry.name) })
        }, to: path)
      let run = MiniatureRun(in: folder, overrides: ["model=\(copy)"])
      try run.makeSources()
      let error = try #require(
        #expect(throws: (any Error).self) { try run.run(through: "preference") })
      #expect(FailureKind(error) == .notFinite && "\(error)".contains(mention), "\(error)")
    }
  }
}
