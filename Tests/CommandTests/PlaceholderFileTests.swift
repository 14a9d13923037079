import Files
import Foundation
import TestSupport
import Testing

/// Git LFS pointers, web pages and empty files in the place of others are recognized.
@Suite(.serialized) struct PlaceholderFileTests {
  static let pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "0", count: 64))\n"
    + "size 3285520\n"
  static let page =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>\n"

  /// The contents of the file, and the word that must name it.
  static let contents = [(pointer, "Git LFS pointer"), (page, "HTML"), ("", "empty")]

  private func write(_ text: String, to path: String) throws {
    try AtomicFile.replace(path, with: Array(text.utf8))
  }

  /// The file of a model folder that is replaced.
  static let parts = [
    "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors", "unet/config.json", "scheduler/scheduler_config.json",
    "tokenizer/vocab.json", "tokenizer/merges.txt",
  ]

  @Test("in place of a model's file", arguments: parts)
  func model(part: String) throws {
    for (text, word) in Self.contents where !(text.isEmpty && part.hasSuffix("txt")) {
      try withTemporaryFolder { folder in
        let model = try ModelVariant(in: folder)
        try write(text, to: "\(model.path)/\(part)")
        let outcome = try spo(
          "sample", "--model", model.path, "--prompt", "x", "--steps", "2", "--out",
          "\(folder)/x.png")
        expect(outcome, failsAs: .input, naming: part, word)
      }
    }
  }

  @Test(
    "in place of a LoRA or of a checkpoint file",
    arguments: [
      "lora.safetensors", "lora.bin", "lora.pt", "lora.pth", "lora.ckpt", "lora.download", "lora",
    ])
  func lora(name: String) throws {
    for (text, word) in Self.contents {
      try withTemporaryFolder { folder in
        try write(text, to: "\(folder)/\(name)")
        let outcome = try spo(
          "sample", "--model", "data/tiny-sd", "--lora", "\(folder)/\(name)", "--prompt", "x",
          "--steps", "2", "--out", "\(folder)/x.png")
        expect(outcome, failsAs: .input, naming: name, word)
        let model = try spo(
          "sample", "--model", "\(folder)/\(name)", "--tokenizer", "data/tiny-sd/tokenizer",
          "--prompt", "x", "--steps", "2", "--out", "\(folder)/x.png")
        expect(model, failsAs: .input, naming: name, word)
      }
    }
  }

  @Test(
    "in place of a source", arguments: ["train.parquet", "train.jsonl", "train.json", "train.csv"])
  func source(name: String) throws {
    for (text, word) in Self.contents where !text.isEmpty || name.hasSuffix("parquet") {
      try withTemporaryFolder { folder in
        try write(text, to: "\(folder)/\(name)")
        let outcome = try SmallRun(in: folder).run(
          "--through", "ingest", "--set", "ingest.source=\(folder)/\(name)")
        expect(outcome, failsAs: .input, naming: name, word)
      }
    }
  }

  @Test("in place of an image, for decode and inspect")
  func image() throws {
    for (text, word) in Self.contents {
      try withTemporaryFolder { folder in
        let path = "\(folder)/image.jpg"
        try write(text, to: path)
        expect(
          try spo("decode", path, "--out", "\(folder)/x.png"), failsAs: .input, naming: path, word)
        expect(try spo("inspect", path), failsAs: .input, naming: path, word)
      }
    }
  }

  @Test("in place of a preference model")
  func preference() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(
        atPath: "\(repository)/data/tiny-preference", toPath: "\(folder)/preference")
      try write(Self.pointer, to: "\(folder)/preference/model.safetensors")
      let outcome = try spo(
        "doctor", "pipelines/quickstart.json5", "--set", "preference.start=\(folder)/preference",
        "--set", "preference.starts_fresh=false")
      expect(outcome, failsAs: .input, naming: "model.safetensors", "Git LFS pointer")
    }
  }

  @Test("a LoRA of torch is read, as a model of torch is")
  func torchLoRA() throws {
    try withTemporaryFolder { folder in
      let image = "\(folder)/x.png"
      let plain = try draw(to: image)
      let outcome = try spo(
        "sample", "--model", "data/tiny-sd", "--lora",
        fixturePath("commands/pytorch_lora_weights.bin"), "--prompt", "x", "--steps", "2", "--out",
        image)
      if outcome.exitCode == 0 {
        #expect(try RegularFile(path: image).readAll() != plain, "it changes nothing")
      } else {
        expect(outcome, failsAs: .input, naming: "torch")
      }
    }
  }

  private func draw(to image: String) throws -> [UInt8] {
    expectSuccess(
      try spo(
        "sample", "--model", "data/tiny-sd", "--prompt", "x", "--steps", "2", "--out", image))
    return try RegularFile(path: image).readAll()
  }
}
