import Backends
import Files
import Foundation
import HostResources
import PipelineCore
import StageSupport
import Stages
import TestSupport
import Testing

/// Compares plans with the actual computation.
@Suite("Plans of stages", .serialized) struct StagePlanTests {
  private static let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// Stages of a quickstart, made small.
  private func stages(_ name: String, _ folder: String) throws -> [any Estimating] {
    guard name != "label" else { return try labelling(in: folder) }
    let prompts = "\(Self.repository)/data/validation-prompts.json"
    // Gradients are not limited: whether they need it, numbers would have to tell.
    var overrides = [
      "ingest.source=\(Self.repository)/data/pickapic-sample/data/*.parquet",
      "model=\(Self.repository)/data/tiny-sd", "encode.batch=1",
      "preference.batch=4", "preference.micro_batch=1", "preference.validation_pairs=2",
      "spo.batch=2", "spo.prompts_at_once=1", "spo.sampling_steps=4", "spo.divert_step=2",
      "spo.stop_step=4", "spo.gradient_limit=null", "spo.pair_batch=2", "spo.micro_batch=1",
      "spo.pictures=1", "spo.held_out_every=4", "spo.held_out_prompts=1",
      "report.sampling_steps=2", "report.pictures_per_prompt=1", "report.oracle=none",
      "report.prompts=\(prompts)",
    ]
    if name == "quickstart-dpo" {
      overrides += [
        "dpo.batch=2", "dpo.micro_batch=1", "dpo.gradient_limit=null", "dpo.pictures=1",
        "dpo.sampling_steps=2", "spo.divert_step=0", "spo.inner_steps=2", "spo.window=4",
      ]
    }
    if name == "quickstart-latent" {
      overrides += ["spo.loss=gradspo", "spo.average_decay=0.9"]
    } else {
      overrides += [
        "preference.start=\(Self.repository)/data/tiny-preference", "preference.estimates=0",
        "preference.estimate_batch=1", "preference.clean_steps=1",
      ]
    }
    return try Pipeline(
      path: "\(Self.repository)/pipelines/\(name).json5", stages: stageTypes,
      overrides: overrides, workspace: "/tmp/no-such-workspace"
    ).estimatingStages()
  }

  private func labelling(in folder: String) throws -> [any Estimating] {
    try writeFreshPreferenceModel("\(folder)/judge")
    let text = """
      { workspace: "\(folder)/run", model: "\(Self.repository)/data/tiny-sd",
        stages: { ingest: { source: "\(Self.repository)/data/pickapic-sample/data/*.parquet" }, encode: {},
          label: { scorer: "\(folder)/judge" } } }
      """
    try AtomicFile.replace("\(folder)/pipeline.json5", with: Array(text.utf8))
    return try Pipeline(path: "\(folder)/pipeline.json5", stages: stageTypes).estimatingStages()
  }

  private func costs(_ plan: StagePlan) -> [[OperationProfile.Kind: [Int]]] {
    plan.units.map { $0.profile.costs.mapValues { [$0.calls, $0.flop, $0.byteCount] } }
  }

  @Test(
    "operations that are planned are those that are computed, and the pool takes what was planned",
    arguments: [
      ("label", "label"), ("quickstart", "encode"), ("quickstart", "preference"),
      ("quickstart", "spo"),
      ("quickstart", "report"), ("quickstart-dpo", "dpo"), ("quickstart-dpo", "spo"),
      ("quickstart-dpo", "report"),
      ("quickstart-latent", "preference"), ("quickstart-latent", "spo"),
    ])
  func planned(pipeline: String, stage: String) throws {
    try withTemporaryFolder { try compare(stages(pipeline, $0), stage) }
  }

  private func compare(_ all: [any Estimating], _ stage: String) throws {
    var volume = DataVolume()
    volume.rowsBySplit = ["train": 4_096, "validation": 2]
    let scale = try PipelineScale(all, volume: volume)
    let found = try #require(all.first { type(of: $0).name == stage })
    let backend = PlanningBackend()
    let planned = try found.plan(scale, on: backend)
    let before = BufferPool.shared.usedBytes
    BufferPool.shared.releaseFreeBlocks()
    let computed = try found.plan(scale, on: HostBackend.shared)
    let held = BufferPool.shared.heldPeakBytes - before
    #expect(!planned.units.isEmpty && planned.units.count == computed.units.count)
    for (expected, found) in zip(costs(planned), costs(computed)) {
      let unlike = Set(expected.keys).union(found.keys).filter { expected[$0] != found[$0] }
      #expect(unlike.isEmpty, "\(unlike.map { ($0, expected[$0], found[$0]) })")
    }
    let expected = backend.poolHeldPeakBytes
    #expect(abs(held - expected) * 10 <= expected, "\(held) bytes, planned \(expected)")
  }
}
