import Files
import Foundation
import TestSupport
import Testing

/// The output of `spo sample`, with and without LoRA files.
@Suite(.serialized) struct SampleTests {
  private func sample(_ output: String, _ arguments: [String] = []) throws -> Outcome {
    try Program(
      [
        "sample", "--model", "data/tiny-sd", "--prompt", "a red circle", "--steps", "2", "--out",
        output,
      ] + arguments
    ).outcome()
  }

  @Test("the ending of --out says which format is written; others are refused before any work")
  func formats() throws {
    try withTemporaryFolder { folder in
      for (name, start) in [
        ("x.png", [0x89, 0x50]), ("x.jpg", [0xFF, 0xD8]), ("x.JPEG", [0xFF, 0xD8]),
        ("x", [0x89, 0x50]),
      ] as [(String, [UInt8])] {
        expectSuccess(try sample("\(folder)/\(name)"))
        let bytes = try RegularFile(path: "\(folder)/\(name)").readAll()
        #expect(Array(bytes.prefix(2)) == start, "\(name)")
      }
      expectSuccess(try sample("\(folder)/y.jpg", ["--count", "2"]))
      #expect(FileManager.default.fileExists(atPath: "\(folder)/y-2.jpg"))
      expect(try sample("\(folder)/x.webp"), failsAs: .usage, naming: "--out", ".jpg", ".webp")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/x.webp"))
    }
  }

  @Test(
    "a negative LoRA changes the image by its weight, and is refused where guidance has no use for it"
  )
  func negativeLoRA() throws {
    try withTemporaryFolder { folder in
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: 0.1)
      func image(_ arguments: String...) throws -> [UInt8] {
        expectSuccess(try sample("\(folder)/x.png", arguments))
        return try RegularFile(path: "\(folder)/x.png").readAll()
      }
      let plain = try image()
      let away = try image("--negative-lora", lora)
      #expect(away != plain)
      #expect(try image("--negative-lora", "\(lora)=1") == away)
      #expect(try image("--negative-lora", "\(lora)=0.5") != away)
      #expect(try image("--negative-lora", lora, "--lora", lora) != away)
      expect(
        try sample("\(folder)/x.png", ["--negative-lora", lora, "--guidance", "1"]),
        failsAs: .usage, naming: "--negative-lora has no effect", "above 1")
      expect(
        try sample("\(folder)/x.png", ["--negative-lora", "\(folder)/none.safetensors=0.5"]),
        failsAs: .input, naming: "none.safetensors")
    }
  }

  @Test("each LoRA file has a strength of its own, or all have one")
  func strengths() throws {
    try withTemporaryFolder { folder in
      let (one, other) = ("\(folder)/one.safetensors", "\(folder)/other.safetensors")
      try writeLoRA(to: one, up: 0.1)
      try writeLoRA(to: other, up: -0.2)
      func image(_ arguments: String...) throws -> [UInt8] {
        expectSuccess(try sample("\(folder)/x.png", arguments))
        return try RegularFile(path: "\(folder)/x.png").readAll()
      }
      let both = ["--lora", one, "--lora", other]
      let half = try image("--lora", one, "--lora-scale", "0.5")
      #expect(
        try image(both[0], both[1], both[2], both[3], "--lora-scale", "0.5", "--lora-scale", "0")
          == half)
      #expect(
        try image(both[0], both[1], both[2], both[3], "--lora-scale", "0.5") != half)
      expect(
        try sample(
          "\(folder)/x.png",
          both + ["--lora", one, "--lora-scale", "1", "--lora-scale", "2"]), failsAs: .usage,
        naming: "--lora-scale", "2 given for 3 --lora")
      expect(
        try sample("\(folder)/x.png", both + ["--lora-scale", "much"]), failsAs: .usage,
        naming: "--lora-scale", "much")
    }
  }

  @Test(
    "a scheduler that does not exist here, or has settings that do not, is refused with the option to do without",
    arguments: [
      ["_class_name": "EulerAncestralDiscreteScheduler"],
      ["_class_name": "UniPCMultistepScheduler"],
      [
        "_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": true,
        "algorithm_type": "sde-dpmsolver++",
      ],
    ] as [[String: JSON]])
  func schedulers(settings: [String: JSON]) throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      try model.configure("scheduler/scheduler_config.json", settings)
      func sample(_ words: String...) throws -> Outcome {
        try Program(
          [
            "sample", "--model", model.path, "--prompt", "x", "--steps", "2", "--out",
            "\(folder)/x.png",
          ] + words
        ).outcome()
      }
      expect(
        try sample(), failsAs: .input, naming: "scheduler_config.json", "--scheduler ddim")
      expectSuccess(try sample("--scheduler", "ddim"))
    }
  }

  @Test("a distilled model's scheduler and U-Net are refused by name, with those that there are")
  func consistencyModels() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      try model.configure(
        "scheduler/scheduler_config.json", ["_class_name": "LCMScheduler"])
      func outcome() throws -> Outcome {
        try spo(
          "sample", "--model", model.path, "--prompt", "x", "--steps", "2", "--out",
          "\(folder)/x.png")
      }
      expect(
        try outcome(), failsAs: .input, naming: "scheduler_config.json", "LCMScheduler",
        "DDIMScheduler", "EulerDiscreteScheduler", "--scheduler ddim")
      try model.configure(
        "scheduler/scheduler_config.json", ["_class_name": "DDIMScheduler"])
      try model.configure("unet/config.json", ["time_cond_proj_dim": 256])
      expect(try outcome(), failsAs: .input, naming: "unet/config.json", "time_cond_proj_dim")
    }
  }
}
