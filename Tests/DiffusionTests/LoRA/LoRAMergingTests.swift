import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

/// A whole pipeline: `Tests/Fixtures/sample/generate.py`.
private let model = ModelFolder(path: fixturePath("sample/model"))

/// Random adapters of every attention projection, and as arrays.
private func tuned() throws -> (unet: UNet, lora: LoRAWeights) {
  let adapters = AdapterSet.fresh(rank: 2, seed: 5) { $0.contains(".attn") }
  let unet = try model.unet(adapters: adapters).model
  for (index, adapter) in adapters.all.enumerated() {
    let count = adapter.up.storedValues.count
    adapter.up.assign((0..<count).map { 0.3 * sin(Float($0 + index)) })
  }
  return (unet, LoRAWeights(trained: adapters))
}

private func output(_ unet: UNet) -> [Float] {
  let sample = Tensor((0..<2 * 64 * 4).map { sin(Float($0)) }, shape: [2, 8, 8, 4])
  let width = unet.configuration.contextWidth
  let context = Tensor((0..<2 * 5 * width).map { cos(Float($0)) }, shape: [2, 5, width])
  return unet(sample, timesteps: [901, 1], conditioning: Conditioning(context)).values
}

private func difference(_ a: [Float], _ b: [Float]) -> Float {
  let largest = b.map(abs).max() ?? 0
  return (zip(a, b).map { abs($0 - $1) }.max() ?? .infinity) / largest
}

/// A copy of the model that a test may change.
private func withCopy(_ body: (ModelFolder, _ folder: String) throws -> Void) throws {
  try withTemporaryFolder { folder in
    try FileManager.default.copyItem(atPath: model.path, toPath: "\(folder)/model")
    try body(ModelFolder(path: "\(folder)/model"), folder)
  }
}

@Suite struct LoRAMergingTests {
  @Test(
    "a merged model predicts what the model with its LoRA predicts",
    arguments: WeightPrecision.allCases)
  func merged(precision: WeightPrecision) throws {
    let (unet, lora) = try tuned()
    let expected = output(unet)
    #expect(difference(output(try model.unet().model), expected) > 0.05)
    try withTemporaryFolder { folder in
      let path = "\(folder)/merged"
      try model.writeMerged(lora, precision: precision, to: path)
      let merged = ModelFolder(path: path)
      let limit: [WeightPrecision: Float] = [.f32: 1e-5, .f16: 5e-3, .bf16: 5e-2]
      #expect(difference(output(try merged.unet().model), expected) < limit[precision] ?? 0)
      let type: [WeightPrecision: ElementType] = [.f32: .f32, .f16: .f16, .bf16: .bf16]
      for file in [
        "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model",
      ] {
        let written = try SafetensorsFile(path: "\(path)/\(file).safetensors")
        let source = try SafetensorsFile(path: "\(model.path)/\(file).safetensors")
        #expect(written.entries.map(\.name) == source.entries.map(\.name))
        #expect(written.entries.map(\.shape) == source.entries.map(\.shape))
        #expect(written.entries.allSatisfy { $0.type == type[precision] })
      }
    }
  }

  @Test("every file of the model is there, and nothing else")
  func files() throws {
    let lora = try tuned().lora
    try withCopy { model, folder in
      for name in ["unet/weights.ckpt", "picture.png", ".hidden", "unet/x.safetensors.index.json"] {
        try AtomicFile.replace("\(model.path)/\(name)", with: [1])
      }
      try AtomicFile.replace("\(model.path)/LICENSE", with: [1])
      try model.writeMerged(lora, precision: .f16, to: "\(folder)/merged/")
      let expected = try FileManager.default.subpathsOfDirectory(
        atPath: fixturePath("sample/model"))
      let found = try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/merged")
      #expect(Set(found) == Set(expected + ["LICENSE"]))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    }
  }

  @Test("configurations that name a precision name the new one; absent optional parts are null")
  func configurations() throws {
    let lora = try tuned().lora
    try withCopy { model, folder in
      for (file, key, value) in [
        ("text_encoder/config.json", "torch_dtype", "float32" as JSON),
        ("model_index.json", "safety_checker", ["stable_diffusion", "Checker"]),
      ] {
        var object = try JSONReader(contentsOf: "\(model.path)/\(file)").object()
        object[key] = value
        try AtomicFile.replace(
          "\(model.path)/\(file)", with: Array(JSON.object(object).text().utf8))
      }
      try model.writeMerged(lora, precision: .bf16, to: "\(folder)/merged")
      let merged = ModelFolder(path: "\(folder)/merged")
      #expect(try merged.configuration("text_encoder").string("torch_dtype") == "bfloat16")
      let index = try JSONReader(contentsOf: "\(merged.path)/model_index.json")
      #expect(index.value["safety_checker"] == [nil, nil])
    }
  }

  @Test("a folder that exists, a missing part, and links out of the model are refused")
  func refusals() throws {
    let lora = try tuned().lora
    func expectRefusal(_ mentions: String, _ change: (String, String) throws -> Void) throws {
      try withCopy { model, folder in
        try change(model.path, folder)
        let error = #expect(throws: (any Error).self) {
          try model.writeMerged(lora, precision: .f16, to: "\(folder)/merged")
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains(mentions))
        let left = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(!left.contains { $0.contains(".tmp.") })
      }
    }
    let manager = FileManager.default
    try expectRefusal("already exists") { _, folder in
      try manager.createDirectory(atPath: "\(folder)/merged", withIntermediateDirectories: false)
    }
    try expectRefusal("no folder vae") { model, _ in try manager.removeItem(atPath: "\(model)/vae")
    }
    try expectRefusal("merges.txt: links out") { model, folder in
      try AtomicFile.replace("\(folder)/secret", with: [1])
      try manager.removeItem(atPath: "\(model)/tokenizer/merges.txt")
      try manager.createSymbolicLink(
        atPath: "\(model)/tokenizer/merges.txt", withDestinationPath: "\(folder)/secret")
    }
    try expectRefusal("config.json: links out") { model, folder in
      try manager.moveItem(atPath: "\(model)/unet", toPath: "\(folder)/elsewhere")
      try manager.createSymbolicLink(
        atPath: "\(model)/unet", withDestinationPath: "../elsewhere")
      try manager.moveItem(
        atPath: "\(folder)/elsewhere/config.json", toPath: "\(folder)/secret.json")
      try manager.createSymbolicLink(
        atPath: "\(folder)/elsewhere/config.json", withDestinationPath: "../secret.json")
    }
  }

  @Test("parts that are links to folders elsewhere, and weights that are links, are merged")
  func links() throws {
    let lora = try tuned().lora
    try withCopy { model, folder in
      let manager = FileManager.default
      for part in ["unet", "vae", "scheduler", "tokenizer"] {
        try manager.moveItem(atPath: "\(model.path)/\(part)", toPath: "\(folder)/\(part)")
        try manager.createSymbolicLink(
          atPath: "\(model.path)/\(part)", withDestinationPath: "../\(part)")
      }
      // Nothing but what models consist of is taken from elsewhere.
      try AtomicFile.replace("\(folder)/vae/diary.txt", with: [1])
      try manager.createDirectory(
        atPath: "\(folder)/home", withIntermediateDirectories: false)
      try AtomicFile.replace("\(folder)/home/config.json", with: Array("{}".utf8))
      try manager.createSymbolicLink(
        atPath: "\(model.path)/feature_extractor", withDestinationPath: "../home")
      try editJSON(
        "\(model.path)/model_index.json",
        ["feature_extractor": ["transformers", "CLIPImageProcessor"]])
      let weights = "\(model.path)/text_encoder/model.safetensors"
      try manager.moveItem(atPath: weights, toPath: "\(folder)/text.safetensors")
      try manager.createSymbolicLink(
        atPath: weights, withDestinationPath: "../../text.safetensors")
      try model.writeMerged(lora, precision: .f32, to: "\(folder)/merged")
      let merged = ModelFolder(path: "\(folder)/merged")
      try merged.check()
      #expect(!manager.fileExists(atPath: "\(merged.path)/vae/diary.txt"))
      #expect(!manager.fileExists(atPath: "\(merged.path)/feature_extractor/config.json"))
      #expect(try output(merged.unet().model) != output(model.unet().model))
      #expect(
        try RegularFile(path: "\(merged.path)/tokenizer/vocab.json").readAll()
          == RegularFile(path: "\(folder)/tokenizer/vocab.json").readAll())
    }
  }

  @Test("a download cache of the Hub, whose files are links to blobs, is a model")
  func downloadCache() throws {
    let lora = try tuned().lora
    try withTemporaryFolder { folder in
      let manager = FileManager.default
      let snapshot = "\(folder)/snapshots/0123"
      for part in ["snapshots", "blobs"] {
        try manager.createDirectory(
          atPath: "\(folder)/\(part)", withIntermediateDirectories: true)
      }
      try manager.copyItem(atPath: model.path, toPath: snapshot)
      let file = "\(snapshot)/unet/config.json"
      try manager.moveItem(atPath: file, toPath: "\(folder)/blobs/abc")
      try manager.createSymbolicLink(atPath: file, withDestinationPath: "../../../blobs/abc")
      try ModelFolder(path: snapshot).writeMerged(
        lora, precision: .f16, to: "\(folder)/merged")
      let attributes = try manager.attributesOfItem(atPath: "\(folder)/merged/unet/config.json")
      #expect(attributes[.type] as? FileAttributeType == .typeRegular)
    }
  }
}
