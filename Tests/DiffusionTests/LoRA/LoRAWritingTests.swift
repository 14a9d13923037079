import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

/// The U-Net that the files of `Tests/Fixtures/lora` belong to.
private let model = ModelFolder(path: fixturePath("lora"))

private func header() throws -> WebUIHeader { try model.webUIHeader(name: "soft") }

private func weights(_ file: String) throws -> LoRAWeights {
  try LoRAFile(path: fixturePath("lora/\(file)")).weights(for: try model.unetLayers())
}

/// Returns an adapter's contribution, in plain loops: `scale up down`.
private func delta(_ down: [Float], _ up: [Float], rank: Int, scale: Float = 1) -> [Float] {
  let (inputs, outputs) = (down.count / rank, up.count / rank)
  return (0..<outputs * inputs).map { place in
    (0..<rank).reduce(0) { sum, r in
      sum + scale * up[place / inputs * rank + r] * down[r * inputs + place % inputs]
    }
  }
}

private func deltas(_ lora: LoRAWeights) -> [String: [Float]] {
  Dictionary(
    uniqueKeysWithValues: lora.modules.map {
      ($0.layer.path, delta($0.down, $0.up, rank: $0.rank))
    })
}

/// The largest difference, relative to the largest expected value.
private func difference(_ found: [String: [Float]], _ expected: [String: [Float]]) -> Float {
  guard found.keys == expected.keys else { return .infinity }
  let largest = expected.values.joined().map(abs).max() ?? 0
  let differences = expected.flatMap { path, values in
    zip(found[path] ?? [], values).map { abs($0 - $1) }
  }
  return (differences.max() ?? 0) / max(largest, .leastNormalMagnitude)
}

@Suite struct LoRAWritingTests {
  static let files =
    [
      "diffusers", "diffusers-f16", "diffusers-bf16", "diffusers-metadata", "peft", "processor",
      "adapter/adapter_model", "kohya", "kohya-no-alpha", "kohya-alpha-1", "kohya-mixed-f16",
      "partial",
    ].map { "\($0).safetensors" } + ["processor.bin"]

  @Test("as arrays a file adds what it adds as adapters", arguments: files)
  func reading(file: String) throws {
    let adapters = AdapterSet()
    try LoRAFile(path: fixturePath("lora/\(file)")).addUNetAdapters(to: adapters)
    let lora = try weights(file)
    #expect(lora.modules.count == adapters.all.count)
    // Adapters are in the order of their modules with `_` for `.`.
    let inOrder = lora.modules.sorted {
      $0.layer.path.replacingOccurrences(of: ".", with: "_")
        < $1.layer.path.replacingOccurrences(of: ".", with: "_")
    }
    for (module, adapter) in zip(inOrder, adapters.all) {
      let expected = delta(
        adapter.down.storedValues, adapter.up.storedValues, rank: module.rank,
        scale: adapter.scale)
      let path = module.layer.path
      let found = delta(module.down, module.up, rank: module.rank)
      #expect(difference([path: found], [path: expected]) < 1e-6)
    }
  }

  @Test("every form of every file adds the same", arguments: files, WeightPrecision.allCases)
  func forms(file: String, precision: WeightPrecision) throws {
    let lora = try weights(file)
    let expected = deltas(lora)
    let limit: [WeightPrecision: Float] = [.f32: 0, .f16: 2e-3, .bf16: 2e-2]
    var sgm = try header()
    sgm.blockNames = .sgm
    let forms: [LoRAWeights.Form] = [.diffusers, .peft, .webUI(try header()), .webUI(sgm)]
    try withTemporaryFolder { folder in
      for (index, form) in forms.enumerated() {
        let path = "\(folder)/\(index).safetensors"
        try lora.write(to: path, as: form, precision: precision)
        let found = try LoRAFile(path: path).weights(for: try model.unetLayers())
        #expect(difference(deltas(found), expected) <= limit[precision] ?? 0)
      }
    }
  }

  @Test("a 1 x 1 convolution's matrices have its extents, as diffusers requires")
  func convolutions() throws {
    let module = "down_blocks.0.attentions.0.proj_in"
    func tensor(_ name: String, _ shape: [Int]) -> OutgoingTensor {
      let count = shape.reduce(1, *)
      return OutgoingTensor(name, shape: shape, floats: { (0..<count).map { Float($0 + 1) } })
    }
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/unet", withIntermediateDirectories: true)
      try writeSafetensors(
        [tensor("\(module).weight", [6, 4, 1, 1])],
        to: "\(folder)/unet/diffusion_pytorch_model.safetensors")
      let layers = try ModelFolder(path: folder).unetLayers()
      // Some writers leave the extents out.
      for kernel in [[1, 1], []] {
        let given = "\(folder)/given.safetensors"
        try writeSafetensors(
          [
            tensor("unet.\(module).lora_A.weight", [2, 4] + kernel),
            tensor("unet.\(module).lora_B.weight", [6, 2] + kernel),
          ], to: given)
        let lora = try LoRAFile(path: given).weights(for: layers)
        for form in [LoRAWeights.Form.diffusers, .peft, .webUI(try header())] {
          let path = "\(folder)/lora.safetensors"
          try lora.write(to: path, as: form, precision: .f32)
          let file = try SafetensorsFile(path: path)
          let shapes = Set(file.entries.map(\.shape).filter { !$0.isEmpty })
          #expect(shapes == [[2, 4, 1, 1], [6, 2, 1, 1]])
          #expect(try LoRAFile(path: path).weights(for: layers) == lora)
        }
      }
    }
  }

  @Test("diffusers and PEFT keys have the model's dots, no alpha and only a format in the header")
  func diffusersKeys() throws {
    let lora = try weights("kohya-alpha-1.safetensors")
    let path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"
    try withTemporaryFolder { folder in
      for (form, keys) in [
        (LoRAWeights.Form.diffusers, ["lora.down.weight", "lora.up.weight"]),
        (.peft, ["lora_A.weight", "lora_B.weight"]),
      ] {
        let file = "\(folder)/lora.safetensors"
        try lora.write(to: file, as: form, precision: .bf16)
        let written = try SafetensorsFile(path: file)
        #expect(written.metadata == ["format": "pt"])
        #expect(written.entries.count == 2 * lora.modules.count)
        for key in keys { #expect(written.find("unet.\(path).\(key)")?.type == .bf16) }
      }
    }
  }

  @Test("the webui's form has underscores, alpha = rank, and the header that the webui reads")
  func webUIKeys() throws {
    let lora = try weights("kohya-alpha-1.safetensors")
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      try lora.write(to: path, as: .webUI(try header()), precision: .f16)
      let file = try SafetensorsFile(path: path)
      let stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0"
      #expect(file.entries.count == 3 * lora.modules.count)
      #expect(file.find("\(stem).alpha")?.shape == [])
      #expect(try file.floats("\(stem).alpha") == [2])
      #expect(file.find("\(stem).lora_down.weight")?.shape == [2, 8])
      #expect(file.find("\(stem).lora_up.weight")?.shape == [8, 2])
      let metadata = file.metadata
      #expect(metadata["ss_network_dim"] == "2" && metadata["ss_network_alpha"] == "2")
      #expect(metadata["ss_output_name"] == "soft" && metadata["ss_v2"] == "False")
      #expect(metadata["ss_base_model_version"] == "sd_v1")
      #expect(metadata["modelspec.architecture"] == "stable-diffusion-v1/lora")
      // The fixture has no autoencoder, so nobody knows the size of its images.
      #expect(metadata["modelspec.resolution"] == nil)
      let digest = try SHA256.digest(of: RegularFile(path: path), from: file.dataOffset)
      #expect(metadata["sshs_model_hash"] == digest.hexadecimal)
    }
  }

  @Test("SDXL's header says so, and ranks that differ are dynamic")
  func otherHeaders() throws {
    var xl = try header()
    xl.base = .stableDiffusionXL
    let lora = try weights("partial.safetensors")
    try withTemporaryFolder { folder in
      try lora.write(to: "\(folder)/xl.safetensors", as: .webUI(xl), precision: .f32)
      let metadata = try SafetensorsFile(path: "\(folder)/xl.safetensors").metadata
      #expect(metadata["ss_base_model_version"] == "sdxl_base_v1-0")
      #expect(metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora")
      #expect(metadata["ss_network_dim"] == "Dynamic")
    }
  }

  @Test("a model's family and image size are in its header; sgm has no names for odd blocks")
  func headers() throws {
    let found = try ModelFolder(path: fixturePath("sample/model")).webUIHeader(name: "a")
    #expect(found.base == .stableDiffusion1 && found.blockNames == .diffusers)
    #expect(found.modelName == "model" && found.pixels == 32)
    #expect(throws: LoRAError.self) { try model.webUIHeader(name: "a", blockNames: .sgm) }
  }

  @Test("equal LoRAs give equal bytes")
  func determinism() throws {
    let lora = try weights("diffusers.safetensors")
    try withTemporaryFolder { folder in
      for name in ["a", "b"] {
        try lora.write(to: "\(folder)/\(name)", as: .webUI(try header()), precision: .f16)
      }
      let bytes = try ["a", "b"].map { try RegularFile(path: "\(folder)/\($0)").readAll() }
      #expect(bytes[0] == bytes[1])
    }
  }

  @Test("sgm's names and diffusers' translate into each other")
  func blockNames() throws {
    let table = [
      ("down_blocks_1_attentions_0", "input_blocks_4_1"),
      ("down_blocks_1_attentions_1", "input_blocks_5_1"),
      ("down_blocks_2_attentions_1", "input_blocks_8_1"),
      ("mid_block_attentions_0", "middle_block_1"),
      ("up_blocks_0_attentions_2", "output_blocks_2_1"),
      ("up_blocks_1_attentions_0", "output_blocks_3_1"),
      ("up_blocks_3_attentions_2", "output_blocks_11_1"),
    ]
    let rest = "_transformer_blocks_0_attn1_to_q"
    for (diffusers, sgm) in table {
      #expect(LDMBlockNames.ldm(diffusers + rest) == sgm + rest)
      #expect(LDMBlockNames.diffusers(sgm + rest) == diffusers + rest)
    }
    for other in ["", "_", "conv_x", "down_blocks_x_attentions_0_a", "input_blocks_0_1_a"] {
      #expect(LDMBlockNames.ldm(other) == other)
      #expect(LDMBlockNames.diffusers(other) == other)
    }
  }

  @Test("what training made is taken with the layers' own paths")
  func trained() throws {
    let adapters = AdapterSet.fresh(rank: 3, seed: 1) { $0.hasSuffix("attn2.to_v") }
    _ = try model.unet(adapters: adapters)
    let lora = LoRAWeights(trained: adapters)
    #expect(lora.modules.count == adapters.all.count && !lora.modules.isEmpty)
    try withTemporaryFolder { folder in
      // `up` is still zero, which every precision holds.
      try lora.write(to: "\(folder)/a", as: .webUI(try header()), precision: .f16)
      try lora.write(to: "\(folder)/b", as: .diffusers, precision: .f32)
      let layers = try model.unetLayers()
      #expect(try LoRAFile(path: "\(folder)/b").weights(for: layers) == lora)
    }
  }
}

@Suite struct LoRARefusalTests {
  private func write(_ tensors: [(String, [Int])], _ folder: String) throws -> String {
    let path = "\(folder)/lora.safetensors"
    try writeSafetensors(
      tensors.map { name, shape in
        OutgoingTensor(
          name, shape: shape,
          floats: { [Float](repeating: 1e30, count: shape.reduce(1, *)) })
      }, to: path)
    return path
  }

  private let layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"

  private func expectError(
    _ tensors: [(String, [Int])], mentions text: String,
    precision: WeightPrecision? = nil, _ location: SourceLocation = #_sourceLocation
  ) throws {
    try withTemporaryFolder { folder in
      let path = try write(tensors, folder)
      let error = #expect(throws: LoRAError.self, sourceLocation: location) {
        let lora = try LoRAFile(path: path).weights(for: try model.unetLayers())
        if let precision {
          try lora.write(to: "\(folder)/out", as: .diffusers, precision: precision)
        }
      }
      #expect("\(error.map { "\($0)" } ?? "")".contains(text), sourceLocation: location)
    }
  }

  @Test("modules that the model does not have, or of other sizes, are named")
  func mismatches() throws {
    func pair(_ stem: String, _ down: [Int], _ up: [Int]) -> [(String, [Int])] {
      [("\(stem).lora.down.weight", down), ("\(stem).lora.up.weight", up)]
    }
    try expectError(
      pair("unet.down_blocks.7.to_q", [1, 8], [8, 1]), mentions: "down_blocks_7_to_q")
    try expectError(pair("unet.\(layer)", [1, 9], [8, 1]), mentions: "maps 8 to 8")
    try expectError(pair("unet.\(layer)", [1, 8], [4, 1]), mentions: "maps 8 to 8")
    try expectError(pair("unet.\(layer)", [1, 8], [8, 2]), mentions: "ranks")
    try expectError(pair("unet.\(layer)", [8], [8, 1]), mentions: "expected a matrix")
    try expectError(
      pair("unet.\(layer)", [1, 8], [8, 1])
        + pair("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", [1, 8], [8, 1]),
      mentions: "text encoders")
  }

  @Test("one array in two names is refused")
  func twoSpellings() throws {
    try expectError(
      [
        ("unet.\(layer).lora.down.weight", [1, 8]), ("unet.\(layer).lora_A.weight", [1, 8]),
        ("unet.\(layer).lora.up.weight", [8, 1]),
      ], mentions: "two names")
  }

  @Test("numbers that a precision cannot hold are an error that says which one can")
  func overflow() throws {
    let tensors = [
      ("unet.\(layer).lora.down.weight", [1, 8]), ("unet.\(layer).lora.up.weight", [8, 1]),
    ]
    try expectError(tensors, mentions: "use bf16 or f32", precision: .f16)
  }

  @Test("an array that is not finite is named, in the file that was given", arguments: [0, 1])
  func notFinite(place: Int) throws {
    let keys = ["unet.\(layer).lora.down.weight", "unet.\(layer).lora.up.weight"]
    try withTemporaryFolder { folder in
      for value in [Float.nan, .infinity, -.infinity] {
        let path = "\(folder)/lora.safetensors"
        try writeSafetensors(
          keys.enumerated().map { index, key in
            OutgoingTensor(key, shape: index == 0 ? [1, 8] : [8, 1]) {
              [Float](repeating: 1, count: 7) + [index == place ? value : 1]
            }
          }, to: path)
        #expect(throws: LoRAError.self) {
          do { _ = try LoRAFile(path: path).weights(for: try model.unetLayers()) } catch {
            #expect("\(error)".hasPrefix("\(path): \(keys[place]) contains "))
            #expect(FailureKind(error) == .notFinite)
            throw error
          }
        }
      }
    }
  }

  @Test("an export that fails leaves what was there, and nothing under a new name")
  func keepsOldFile() throws {
    try withTemporaryFolder { folder in
      let good = try weights("diffusers.safetensors")
      let path = "\(folder)/mine.safetensors"
      try good.write(to: path, as: .diffusers, precision: .f32)
      let before = try RegularFile(path: path).readAll()
      // One number of many is too large, another array too small to be kept.
      for value in [Float(1e6), 1e-12] {
        let given = "\(folder)/given.safetensors"
        try writeSafetensors(
          [
            OutgoingTensor("unet.\(layer).lora.down.weight", shape: [1, 8]) {
              [Float](repeating: value, count: 8)
            },
            OutgoingTensor("unet.\(layer).lora.up.weight", shape: [8, 1]) {
              [Float](repeating: 1, count: 8)
            },
          ], to: given)
        let bad = try LoRAFile(path: given).weights(for: try model.unetLayers())
        for form in [LoRAWeights.Form.diffusers, .peft, .webUI(try header())] {
          for target in [path, "\(folder)/new.safetensors"] {
            #expect(throws: LoRAError.self) {
              try bad.write(to: target, as: form, precision: .f16)
            }
          }
        }
        try FileManager.default.removeItem(atPath: given)
      }
      #expect(try RegularFile(path: path).readAll() == before)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["mine.safetensors"])
    }
  }
}
