import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

@Suite struct ModelFitTests {
  private func message(
    _ overrides: String..., in name: String = "quickstart"
  ) throws -> String? {
    let root = fixturePath("../..")
    let pipeline = try Pipeline(
      path: "\(root)/pipelines/\(name).json5", stages: stageTypes,
      overrides: ["model=\(root)/data/tiny-sd"] + overrides)
    do {
      try pipeline.checkFit()
      return nil
    } catch { return "\(error)" }
  }

  @Test(
    "settings that the model cannot follow are refused from its configuration",
    arguments: [
      ("spo.rank=33", "spo.rank: must be at most 32, the width of the narrowest attention layer"),
      ("spo.sampling_steps=1000", "spo.sampling_steps: "),
      ("report.sampling_steps=1000", "report.sampling_steps: "),
      ("encode.size=66", "encode.size: must be a multiple of 8"),
    ])
  func refused(override: String, expected: String) throws {
    let message = try message(override, "spo.stop_step=null") ?? "accepted"
    #expect(message.hasPrefix(expected), "\(message)")
  }

  @Test("so are those of stage dpo")
  func direct() throws {
    for (override, expected) in [
      ("dpo.rank=33", "dpo.rank: must be at most 32, the width of the narrowest attention layer"),
      ("dpo.sampling_steps=1000", "dpo.sampling_steps: "),
    ] {
      let message = try message(override, in: "quickstart-dpo") ?? "accepted"
      #expect(message.hasPrefix(expected), "\(message)")
    }
  }

  @Test("a preference model that is trained step-blind must be asked as one")
  func blind() throws {
    let message = try message("preference.step_aware=false") ?? "accepted"
    #expect(message.hasPrefix("spo.judged_timestep: must be \"none\""), "\(message)")
    #expect(
      try self.message("preference.step_aware=false", "spo.judged_timestep=none") == nil)
  }

  @Test(
    "a LoRA is not exported for, nor drawn with, a model that computes otherwise than the tuned one",
    arguments: [
      ("scheduler/scheduler_config.json", "prediction_type", JSON.string("v_prediction")),
      ("unet/config.json", "attention_head_dim", .integer(8)),
      ("vae/config.json", "scaling_factor", .number(0.5)),
    ])
  func otherModel(file: String, key: String, value: JSON) throws {
    try withTemporaryFolder { folder in
      let other = try linkedCopy(of: repositoryPath("data/tiny-sd"), in: folder, as: "model")
      #expect(try message("export.model=\(other)", "report.model=\(other)") == nil)
      try editJSON("\(other)/\(file)", [key: value])
      for stage in ["export", "report"] {
        let message = try message("\(stage).model=\(other)") ?? "accepted"
        #expect(
          message.hasPrefix("\(stage).model: \(other) does not match spo.model"), "\(message)")
      }
    }
  }

  @Test("what the model has is accepted")
  func accepted() throws {
    #expect(try message("spo.rank=32", "encode.size=64", "preference.timestep_limit=1000") == nil)
  }

  @Test(
    "a preference model of another tokenizer is refused",
    arguments: ["preference.start", "spo.preference"])
  func otherVocabulary(setting: String) throws {
    let foreign = fixturePath("models/preference-gelu")
    let message = try message("\(setting)=\(foreign)") ?? "accepted"
    #expect(
      message.hasPrefix("\(foreign)/config.json: text_config.vocab_size is "), "\(message)")
    #expect(message.contains("the diffusion model's tokenizer has 581 tokens"))
  }

  @Test("a preference model that labels is held to the tokenizer that prompts are encoded with")
  func otherLabels() throws {
    let root = fixturePath("../..")
    try withTemporaryFolder { folder in
      let file: JSON = [
        "workspace": .string(folder), "model": .string("\(root)/data/tiny-sd"),
        "stages": [
          "encode": [:], "label": ["scorer": .string(fixturePath("models/preference-gelu"))],
        ],
      ]
      let path = "\(folder)/pipeline.json5"
      try AtomicFile.replace(path, with: Array(file.text().utf8))
      let pipeline = try Pipeline(path: path, stages: stageTypes)
      let message = failure { try pipeline.checkFit() } ?? "accepted"
      #expect(message.contains("config.json: text_config.vocab_size is "), "\(message)")
    }
  }

  @Test("a preference model's own tokenizer must make the ids of the diffusion model's")
  func otherIDs() throws {
    let root = fixturePath("../..")
    try withTemporaryFolder { folder in
      let own = "\(folder)/preference"
      try FileManager.default.copyItem(atPath: "\(root)/data/tiny-preference", toPath: own)
      for name in ["vocab.json", "merges.txt"] {
        try FileManager.default.copyItem(
          atPath: "\(root)/data/tiny-sd/tokenizer/\(name)", toPath: "\(own)/\(name)")
      }
      #expect(try message("preference.start=\(own)") == nil)
      // Two words change places.
      var ids = try #require(try JSON(contentsOf: "\(own)/vocab.json").object)
      let words = ids.keys.filter { $0.hasSuffix("</w>") && $0.count > 5 }
      (ids[words[0]], ids[words[1]]) = (ids[words[1]], ids[words[0]])
      try AtomicFile.replace("\(own)/vocab.json", with: Array(JSON.object(ids).text().utf8))
      let message = try message("preference.start=\(own)") ?? "accepted"
      #expect(message.hasPrefix("\(own): its tokenizer gives different ids"), "\(message)")
    }
  }
}
