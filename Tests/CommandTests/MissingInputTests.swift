import Files
import Foundation
import TestSupport
import Testing

/// Files and folders that options name, of `sample`, `evaluate` and `export`.
@Suite(.serialized) struct MissingInputTests {
  private static let scorer = "clip=\(fixturePath("scorers/clip-hf"))"
  private static let sample = [
    "sample", "--model", "data/tiny-sd", "--prompt", "x", "--steps", "2", "--out", "OUT/x.png",
  ]
  private static let list = [
    "sample", "--model", "data/tiny-sd", "--steps", "2", "--out", "OUT/x",
  ]
  private static let evaluate = [
    "evaluate", "--model", "data/tiny-sd", "--steps", "2", "--out", "OUT/x",
  ]
  private static let prompts = ["--prompts", "data/validation-prompts.json"]
  private static let export = ["export", "--to", "merged", "--out", "OUT/x"]
  private static let calls: [(words: [String], option: String, value: String)] = [
    (sample, "lora", "none"), (sample, "negative-lora", "none"),
    (sample, "negative-lora", "none=0.5"), (sample, "vae", "none"), (sample, "tokenizer", "none"),
    (list, "prompts", "none"), (evaluate + ["--scorer", scorer], "prompts", "none"),
    (evaluate + prompts, "scorer", "clip=none"),
    (evaluate + prompts + ["--scorer", scorer], "lora", "none"),
    (evaluate + prompts + ["--scorer", scorer], "negative-lora", "none"),
    (evaluate + prompts + ["--scorer", scorer], "against", "none"),
    (evaluate + prompts + ["--scorer", scorer, "--against", "base"], "against-lora", "none"),
    (export + ["--lora", "README.md"], "model", "none"),
    (export + ["--model", "data/tiny-sd"], "lora", "none"),
    (export + ["--model", "data/tiny-sd", "--lora", "README.md"], "vae", "none"),
  ]

  @Test("an option that names nothing is named with its path", arguments: calls.indices)
  func missing(index: Int) throws {
    let (words, option, value) = Self.calls[index]
    try withTemporaryFolder { folder in
      let outcome = try Program(
        words.map { $0.replacing("OUT", with: folder) } + ["--\(option)", value]
      ).outcome()
      expect(outcome, failsAs: .input, naming: "--\(option): none does not exist; ")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("the oracle is no scorer of evaluate, which says where it scores", arguments: ["", "=x"])
  func oracle(value: String) throws {
    for name in ["oracle", "procedural-world"] {
      expect(
        try Program(Self.evaluate + Self.prompts + ["--scorer", name + value]).outcome(),
        failsAs: .usage, naming: "\(name)", "report.oracle=procedural-world")
    }
  }

  @Test("a scale in the name of a LoRA file leads to the option for it")
  func scaleInName() throws {
    try withTemporaryFolder { folder in
      let words = Self.sample.map { $0.replacing("OUT", with: folder) }
      expect(
        try Program(words + ["--lora", "x.safetensors=0.5"]).outcome(), failsAs: .input,
        naming: "--lora: x.safetensors=0.5 does not exist", "--lora-scale 0.5")
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: 0.1)
      let scales = ["--lora-scale", "1", "--lora-scale", "0.5"]
      expect(
        try Program(words + ["--lora", lora, "--negative-lora", lora] + scales).outcome(),
        failsAs: .usage, naming: "--negative-lora FILE=W")
    }
  }

  @Test("both sides of an evaluation have LoRA scales of their own; a scorer's shape is doubted")
  func scales() throws {
    try withTemporaryFolder { folder in
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: 0.1)
      try writeText("a red circle\n", to: "\(folder)/prompts.txt")
      func evaluate(_ words: String...) throws -> Outcome {
        try Program(
          [
            "evaluate", "--model", "data/tiny-sd", "--prompts", "\(folder)/prompts.txt", "--steps",
            "2", "--out", "\(folder)/out", "--scorer",
            "hpsv2=\(fixturePath("scorers/clip-hf"))", "--json",
          ] + words
        ).outcome()
      }
      expect(
        try evaluate("--against", "base", "--against-lora-scale", "1"), failsAs: .usage,
        naming: "--against-lora-scale needs --against-lora")
      let outcome = try evaluate(
        "--lora", lora, "--lora-scale", "0.75", "--against", "base", "--against-lora", lora,
        "--against-lora-scale", "0.25")
      expectSuccess(outcome)
      let page = String(
        decoding: try RegularFile(path: "\(folder)/out/index.html").readAll(), as: UTF8.self)
      for scale in ["0.75", "0.25"] { #expect(page.contains("lora.safetensors at \(scale)")) }
      #expect(outcome.errors.contains("warning: ") && outcome.errors.contains("ViT-H/14"))
    }
  }
}
