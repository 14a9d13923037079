import Checkpoints
import Files
import Foundation
import PipelineCore
import Ranks
import Stages
import TestSupport

/// `pipelines/quickstart.json5`, or its variant, on a few comparisons, with a handful of steps of everything.
struct MiniatureRun {
  let folder: String
  let workspace: String
  /// Nil: the repository's.
  private let model: String?
  /// The name of the pipeline file.
  private let pipeline: String
  private let besides: String
  private let overrides: [String]

  static var tinyModel: String { "\(repository)/data/tiny-sd" }

  private static let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// - Parameters:
  ///   - folder: where sources and workspaces are
  ///   - other: a workspace to compare with
  ///   - model: another one
  ///   - overrides: further settings
  init(
    in folder: String, workspace: String = "workspace", pipeline: String = "quickstart",
    beside other: String = "none", model: String? = nil, overrides: [String] = []
  ) {
    self.model = model
    self.folder = folder
    self.workspace = "\(folder)/\(workspace)"
    self.pipeline = pipeline
    self.overrides = overrides
    besides = "[\"\(folder)/\(other)/report/summary.json\"]"
  }

  /// Writes sources and prompts.
  ///
  /// - Parameters:
  ///   - labels: of the rows, in turn
  ///   - hasTestSplit: whether there are comparisons for the finished preference model alone
  ///   - second: what stands for the second image of a row, of both
  func makeSources(
    labels: [(Double, Double)] = [(1, 0), (0, 1), (0.5, 0.5)], hasTestSplit: Bool = false,
    second: (_ first: [UInt8], _ second: [UInt8]) -> [UInt8] = { $1 }
  ) throws {
    let captions = [
      "a yellow circle on the left and a blue triangle on the right, dark background",
      "a purple circle on the top and a green square on the bottom, light background",
    ]
    try write(
      try rows(12, captions, labels, second), to: "\(folder)/train-00000-of-00001-0f1e2d3c.parquet")
    try write(
      try rows(6, captions, labels, second),
      to: "\(folder)/validation_unique-00000-of-00001-8796a5b4.parquet")
    if hasTestSplit {
      try write(
        try rows(9, captions, labels, second),
        to: "\(folder)/test_unique-00000-of-00001-1a2b3c4d.parquet")
    }
    try AtomicFile.replace(
      "\(folder)/prompts.json",
      with: Array(
        JSON.array(captions.map { ["caption": .string($0)] }).text().utf8))
  }

  private func rows(
    _ count: Int, _ captions: [String], _ labels: [(Double, Double)],
    _ second: ([UInt8], [UInt8]) -> [UInt8]
  ) throws -> [Row] {
    try (0..<count).map { number in
      let first = try samplePNG(number)
      var row = Row(
        first: ("\(count)-\(number)-a", first),
        second: ("\(count)-\(number)-b", second(first, try samplePNG(100 + number))))
      row.caption = captions[number % 2]
      row.labels = labels[number % labels.count]
      return row
    }
  }

  private static let settings = [
    "preference.steps=4", "preference.clean_steps=2", "preference.warm_up_steps=2",
    "preference.batch=4",
    "preference.micro_batch=3", "preference.estimates=1", "preference.checkpoint_every=1",
    "preference.validation_timesteps=[1, 501]",
    "spo.iterations=2", "spo.batch=2", "spo.sampling_steps=4", "spo.divert_step=2",
    "spo.stop_step=null",
    "spo.candidates=2", "spo.threshold=0", "spo.checkpoint_every=1",
    "dpo.steps=4", "dpo.batch=3", "dpo.micro_batch=2", "dpo.sampling_steps=2", "dpo.pictures=1",
    "dpo.checkpoint_every=2", "dpo.learning_rate=0.001",
    "report.pictures_per_prompt=1", "report.sampling_steps=2",
  ]

  /// Returns the settings of the stages that the pipeline has.
  private static func settings(for path: String) throws -> [String] {
    let stages = try Pipeline(path: path, stages: stageTypes).stages.map(\.name)
    return settings.filter { setting in stages.contains { setting.hasPrefix("\($0).") } }
  }

  func status() throws -> [StageStatus] { try configured().status() }
  func verify() throws -> [StageVerification] { try configured().verify() }
  func collectGarbage() throws -> [Garbage] { try configured().collectGarbage(isDry: false) }

  func configured(_ more: [String] = []) throws -> Pipeline {
    let path = "\(Self.repository)/pipelines/\(pipeline).json5"
    return try Pipeline(
      path: path, stages: stageTypes,
      overrides: Self.settings(for: path) + [
        "ingest.source=\(folder)/*.parquet", "model=\(model ?? Self.tinyModel)",
        "report.beside=\(besides)",
        "report.prompts=\(folder)/prompts.json",
      ]
        + (["quickstart", "quickstart-dpo"].contains(pipeline)
          ? ["preference.start=\(Self.repository)/data/tiny-preference"] : []) + overrides + more,
      workspace: workspace)
  }

  @discardableResult
  func run(
    through last: String? = nil, forced: Set<String> = [],
    observe: @escaping (RunEvent) throws -> Void = { _ in }
  ) throws -> [RunEvent] {
    var events: [RunEvent] = []
    var failure: (any Error)?
    let check = RunCheck(
      overrides: [], limits: MachineLimits(memory: 1 << 40, freeDisk: nil)
    ) { try configured($0) }
    try Runner(try configured(), check: check.require) { event in
      events.append(event)
      do { try observe(event) } catch { failure = error }
    }.run(through: last, forced: forced)
    if let failure { throw failure }
    return events
  }

  /// The part of one of several ranks in a run, as the program plays it.
  func run(over ranks: Communicator, through last: String? = nil) throws {
    let runner = Runner(try configured(), ranks: ranks) { _ in }
    guard !ranks.isFirst else {
      try runner.run(through: last)
      return try RankCall.end(exitCode: 0).send(by: ranks)
    }
    while case .stage(let stage) = try RankCall.next(from: ranks) {
      try runner.follow(stage)
    }
  }

  /// The essential results of a run, by name: the same bytes whatever happened on the way.
  func results(without lost: Set<String> = []) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in [
      "shards/index.json", "preference/model/model.safetensors", "preference/evaluation.json",
      "preference/metrics.jsonl", "preference/warnings.json", "spo/metrics.jsonl",
      "spo/warnings.json", "spo/pytorch_lora_weights.safetensors",
      "report/pictures/001-0-after.png",
    ] where !lost.contains(name) {
      files[name] = try RegularFile(path: "\(workspace)/\(name)").readAll()
    }
    // Its header says what it was made from.
    let merged = "export/merged/unet/diffusion_pytorch_model.safetensors"
    let start = try SafetensorsFile(path: "\(workspace)/\(merged)").dataOffset
    files[merged] = Array(
      try RegularFile(path: "\(workspace)/\(merged)").readAll().dropFirst(start))
    // All but the seconds that were measured.
    let candidates = "report/candidates/1-0.json"
    let judgements = try JSONReader(contentsOf: "\(workspace)/\(candidates)")["judgements"]
    files[candidates] = Array(judgements.value.text().utf8)
    return files
  }
}
