import Apply
import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

/// LoCon and DoRA against peft (`Tests/Fixtures/lora/generate_kinds.py`).
@Suite("LoCon and DoRA")
struct LoRAKindsTests {
  static let names = [
    "dora-kohya", "dora-peft", "locon", "locon-dora", "locon-mid", "locon-peft",
  ]

  private func path(_ name: String) -> String { fixturePath("lora/\(name).safetensors") }

  private func output(_ model: ModelFolder, lora: String? = nil) throws -> [Float] {
    let operation = try #require(Operation.all.first { $0.name == "unet" })
    var options = OperationOptions(model: model)
    options.loraPath = lora
    let inputs = InputTensors(try SafetensorsFile(path: path("case")), prefix: "input.")
    return try #require(operation(options, inputs).first?.tensor.values)
  }

  private func expected(_ name: String) throws -> [Float] {
    try SafetensorsFile(path: path("kinds")).floats("output.\(name)")
  }

  @Test("a U-Net predicts what peft's predicts with each kind", arguments: names)
  func sampled(name: String) throws {
    let found = try output(ModelFolder(path: fixturePath("lora")), lora: path(name))
    #expect(relativeError(found, try expected(name)) < 1e-5)
  }

  /// A whole model with the fixture's U-Net.
  private func withModel(_ body: (ModelFolder, _ folder: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let model = "\(folder)/model"
      try FileManager.default.copyItem(atPath: fixturePath("sample/model"), toPath: model)
      try FileManager.default.removeItem(atPath: "\(model)/unet")
      try FileManager.default.copyItem(
        atPath: fixturePath("lora/unet"), toPath: "\(model)/unet")
      try body(ModelFolder(path: model), folder)
    }
  }

  @Test("a merged model predicts the same", arguments: names)
  func merged(name: String) throws {
    try withModel { model, folder in
      var changes = ModelChanges()
      try changes.add(try LoRAFile(path: path(name)), to: model)
      try model.writeMerged(changes, precision: .f32, to: "\(folder)/merged")
      let found = try output(ModelFolder(path: "\(folder)/merged"))
      #expect(relativeError(found, try expected(name)) < 1e-5)
    }
  }

  @Test("what cannot be written as a LoRA, or trained, is refused by its kind")
  func notPlain() throws {
    let model = ModelFolder(path: fixturePath("lora"))
    for (name, kind) in [("locon-mid", "LoCon"), ("dora-peft", "DoRA"), ("locon", "LoCon")] {
      let file = try LoRAFile(path: path(name))
      let written = #expect(throws: LoRAError.self) {
        try file.weights(for: model.unetLayers())
      }
      #expect("\(written.map { "\($0)" } ?? "")".contains("is of \(kind), which"))
      #expect(throws: (any Error).self) {
        let set = AdapterSet()
        try file.addUNetAdapters(to: set, isTrainable: true)
        _ = try model.unet(adapters: set)
      }
    }
  }

  @Test(
    "other kinds are refused by name",
    arguments: [
      ("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr"), ("oft_blocks", "OFT"), ("diff", "difference"),
      ("w_norm", "normalization"), ("on_input", "(IA)^3"), ("a1.weight", "GLoRA"),
    ])
  func foreign(key: String, kind: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.safetensors"
      let name = "lora_unet_mid_block_attentions_0_proj_in.\(key)"
      try writeSafetensors([OutgoingTensor(name, shape: [1], floats: { [1] })], to: path)
      let error = #expect(throws: LoRAError.self) { try LoRAFile(path: path) }
      let text = "\(error.map { "\($0)" } ?? "")"
      #expect(text.contains(kind) && text.contains(name) && text.contains(path), "\(text)")
    }
  }

  @Test("magnitudes of columns, and kernels of another size, are refused")
  func misshapen() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.safetensors"
      let stem = "lora_unet_down_blocks_0_resnets_0_conv1"
      func write(_ down: [Int], magnitude: [Int]) throws -> LoRAFile {
        try writeSafetensors(
          [
            ("lora_down.weight", down), ("lora_up.weight", [4, 2, 1, 1]), ("dora_scale", magnitude),
          ]
          .map { name, shape in
            OutgoingTensor(
              "\(stem).\(name)", shape: shape,
              floats: { Array(repeating: 1, count: shape.reduce(1, *)) })
          }, to: path)
        return try LoRAFile(path: path)
      }
      try withModel { model, _ in
        #expect(throws: Never.self) {
          var changes = ModelChanges()
          try changes.add(try write([2, 4, 3, 3], magnitude: [4, 1, 1, 1]), to: model)
        }
        for (down, magnitude) in [
          ([2, 4, 3, 3], [1, 3]), ([2, 4, 5, 5], [4]), ([2, 5, 3, 3], [4]),
        ] {
          #expect(throws: LoRAError.self) {
            var changes = ModelChanges()
            try changes.add(try write(down, magnitude: magnitude), to: model)
          }
        }
      }
    }
  }
}
