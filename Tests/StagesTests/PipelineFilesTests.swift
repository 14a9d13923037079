import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

@Suite struct PipelineFilesTests {
  private static var folder: String { fixturePath("../../pipelines") }

  private static func names() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json5") }
  }

  @Test("every setting of the repository's pipelines is known", arguments: try names())
  func settings(name: String) throws {
    let pipeline = try Pipeline(path: "\(Self.folder)/\(name)", stages: stageTypes)
    #expect(!pipeline.stages.isEmpty)
  }

  @Test("the pipelines of full size say what SPO published", arguments: ["sd15", "sdxl"])
  func published(name: String) throws {
    let pipeline = try Pipeline(path: "\(Self.folder)/\(name).json5", stages: stageTypes)
    let spo = try #require(pipeline.stages.first { $0.name == "spo" }).settings
    let isXL = name == "sdxl"
    #expect(spo["rank"] == .integer(isXL ? 64 : 4))
    #expect(spo["candidates"] == .integer(isXL ? 2 : 4))
    #expect(spo["inner_steps"] == .integer(isXL ? 3 : 0))
    #expect(spo["threshold"] == .number(isXL ? 0.4 : 0.3))
    #expect(spo["only_listed"] == true)
    #expect(spo["seed"] == 42)
    let preference = try #require(pipeline.stages.first { $0.name == "preference" }).settings
    #expect(preference["steps"] == .integer(isXL ? 7_000 : 8_000))
    let path = "\(Self.folder)/report-prompts.json"
    let prompts = try JSONReader(try JSON(contentsOf: path), path: path).elements()
    #expect(try prompts.allSatisfy { try !$0.string("caption").isEmpty })
  }

  @Test(
    "the pipelines of full size take what the published code does, not what its settings say",
    arguments: ["sd15", "sdxl", "sd15-latent", "sdxl-latent"])
  func publishedBehaviour(name: String) throws {
    let stages = try Pipeline(path: "\(Self.folder)/\(name).json5", stages: stageTypes).stages
    func settings(_ stage: String) throws -> JSON.Object {
      let found = try #require(stages.first { $0.name == stage })
      return try #require(found.settings.object)
    }
    let (spo, preference) = (try settings("spo"), try settings("preference"))
    #expect(spo["gradient_limit"] == .null)
    #expect(spo["gradient_accumulation"] == .integer(name == "sdxl" ? 2 : 1))
    #expect(spo["pair_batch"] == .integer(["sdxl": 8, "sdxl-latent": 16][name] ?? 40))
    #expect(spo["judged_timestep"] == "source")
    #expect(preference["gradient_limit"] == .number(1))
    #expect(preference["warm_up"] == "log")
    #expect(preference["keep"] == "last")
    #expect(try settings("encode")["latents"] == "mean+logvar")
    #expect(try settings("report")["eta"] == .number(0))
    #expect(try settings("ingest")["only_on_best"] == false)
  }

  @Test("the latent ones say what LPO published", arguments: ["sd15-latent", "sdxl-latent"])
  func publishedLatent(name: String) throws {
    let pipeline = try Pipeline(path: "\(Self.folder)/\(name).json5", stages: stageTypes)
    let spo = try #require(pipeline.stages.first { $0.name == "spo" }).settings
    let isXL = name == "sdxl-latent"
    #expect(spo["beta"] == .number(500))
    #expect(spo["divert_step"] == .integer(0))
    #expect(spo["candidates"] == .integer(4))
    #expect(spo["threshold"] == .number(isXL ? 0.45 : 0.35))
    #expect(spo["highest_threshold"] == .number(isXL ? 0.6 : 0.5))
    let preference = try #require(pipeline.stages.first { $0.name == "preference" }).settings
    #expect(preference["kind"] == "latent")
    #expect(preference["feature_guidance"] == .number(7.5))
    #expect(preference["timestep_spacing"] == .integer(50))
  }
}
